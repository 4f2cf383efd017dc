"""The refusals of auth. None of them tells whether an address has an account."""

from __future__ import annotations

from trellis.errors import CommittedRefusal, DomainError


class InvalidCredentials(CommittedRefusal):
    """No account has this address and this password."""

    code = "auth.invalid_credentials"
    status = 401
    title = "The address or the password is wrong"


class NotVerified(CommittedRefusal):
    """The password is right, but nobody has proved that the address is theirs."""

    code = "auth.not_verified"
    status = 403
    title = "The address is not verified yet"


class WrongPassword(CommittedRefusal):
    """A signed-in person did not repeat their password rightly."""

    code = "auth.wrong_password"
    status = 403
    title = "The password is wrong"


class InvalidCode(CommittedRefusal):
    """The code is wrong, expired, used, or was guessed at too often; or nobody waits for one."""

    code = "auth.invalid_code"
    status = 400
    title = "The code is not valid"


class InvalidRefreshToken(CommittedRefusal):
    """The refresh token is not ours or was used before, or its session has ended: sign in again."""

    code = "auth.invalid_refresh_token"
    status = 401
    title = "The refresh token is not valid"


class TooManyAttempts(DomainError):
    """There were too many wrong passwords for this address; wait `retry_after` seconds."""

    code = "auth.too_many_attempts"
    status = 429
    title = "Too many attempts"
