"""The routes of auth."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from trellis.api import Blueprint, cached_response, current_principal
from trellis.errors import NotFound, ServiceUnavailable
from trellis.paging import Page
from trellis_auth import errors, schemas, services
from trellis_auth.models import DeviceInfo

blueprint = Blueprint("auth", __name__, description="Accounts, sessions and tokens.")
jwks_blueprint = Blueprint("auth", __name__, mount="/.well-known/jwks.json")

_NO_ACCOUNT_YET = "whoever calls it has no session yet"


def _body_bytes() -> int:
    """Room for the longest password with every character escaped; a megabyte is not even read."""
    return 16 * 1024


@blueprint.route("/accounts", methods=["POST"])
@blueprint.access(public=_NO_ACCOUNT_YET)
@blueprint.body_limit(_body_bytes)
@blueprint.arguments(schemas.SignUpSchema, as_kwargs=True)
@blueprint.errors(ServiceUnavailable)
@blueprint.response(202)
def sign_up(email: str, password: str) -> dict[str, Any]:
    """Sign up.

    A mail brings a code of six digits to verify the address with. The answer is the same for an
    address that has an account; then the mail says so.
    """
    services.sign_up(email, password)
    return {}


@blueprint.route("/accounts/verification", methods=["POST"])
@blueprint.access(public=_NO_ACCOUNT_YET)
@blueprint.body_limit(_body_bytes)
@blueprint.arguments(schemas.ResendSchema, as_kwargs=True)
@blueprint.response(202)
def resend_code(email: str) -> dict[str, Any]:
    """Send the code again.

    The code sent before is no longer valid. The answer is the same when nobody waits for a code.
    """
    services.resend_code(email)
    return {}


@blueprint.route("/accounts/verify", methods=["POST"])
@blueprint.access(public=_NO_ACCOUNT_YET)
@blueprint.body_limit(_body_bytes)
@blueprint.arguments(schemas.VerifySchema, as_kwargs=True)
@blueprint.errors(errors.InvalidCode)
@blueprint.response(204)
def verify(email: str, code: str) -> None:
    """Verify an address.

    A code is valid for ten minutes and five guesses, and once.
    """
    services.verify(email, code)


@blueprint.route("/sessions", methods=["POST"])
@blueprint.access(public=_NO_ACCOUNT_YET)
@blueprint.body_limit(_body_bytes)
@blueprint.arguments(schemas.SignInSchema, as_kwargs=True)
@blueprint.errors(
    errors.InvalidCredentials, errors.NotVerified, errors.TooManyAttempts, ServiceUnavailable
)
@blueprint.response(201, schemas.TokensSchema)
def sign_in(email: str, password: str, device: DeviceInfo) -> services.Tokens:
    """Sign in from a device."""
    return services.sign_in(email, password, device)


@blueprint.route("/tokens", methods=["POST"])
@blueprint.access(public="the refresh token is the credential")
@blueprint.body_limit(_body_bytes)
@blueprint.arguments(schemas.RefreshSchema, as_kwargs=True)
@blueprint.errors(errors.InvalidRefreshToken)
@blueprint.response(200, schemas.TokensSchema)
def refresh(refresh_token: str) -> services.Tokens:
    """Refresh the tokens.

    Each refresh token is good for one refresh. When the answer was lost, send the same one again
    within ten seconds; used later, it ends the session.
    """
    return services.refresh(refresh_token)


@blueprint.route("/sessions")
@blueprint.access(user=True)
@blueprint.paginated(schemas.SessionSchema)
def list_sessions(cursor: str | None, limit: int) -> Page[services.SessionInfo]:
    """List one's sessions, the newest first."""
    caller = current_principal()
    return services.page_of_sessions(caller.id, caller.session_id, cursor=cursor, limit=limit)


@blueprint.route("/sessions", methods=["DELETE"])
@blueprint.access(user=True)
@blueprint.response(204)
def end_all_sessions() -> None:
    """End all of one's sessions, this one included."""
    services.end_all_sessions(current_principal().id)


@blueprint.route("/sessions/<uuid:session_id>", methods=["DELETE"])
@blueprint.access(user=True)
@blueprint.errors(NotFound)
@blueprint.response(204)
def end_session(session_id: UUID) -> None:
    """End one of one's sessions."""
    services.end_own_session(current_principal().id, session_id)


@blueprint.route("/sessions/current", methods=["DELETE"])
@blueprint.access(user=True)
@blueprint.errors(NotFound)
@blueprint.response(204)
def sign_out() -> None:
    """Sign out: end the session that asks."""
    caller = current_principal()
    if caller.session_id is None:
        raise NotFound
    services.end_own_session(caller.id, caller.session_id)


@blueprint.route("/account")
@blueprint.access(user=True)
@blueprint.errors(NotFound)
@blueprint.response(200, schemas.AccountSchema)
def get_account() -> services.Account:
    """Show one's own account."""
    return services.account(current_principal().id)


@blueprint.route("/account", methods=["DELETE"])
@blueprint.access(user=True)
@blueprint.body_limit(_body_bytes)
@blueprint.arguments(schemas.CloseAccountSchema, as_kwargs=True)
@blueprint.errors(errors.WrongPassword, errors.TooManyAttempts, NotFound, ServiceUnavailable)
@blueprint.response(202, schemas.ErasureStartedSchema)
def close_account(password: str) -> dict[str, UUID]:
    """Delete one's account and everything of oneself.

    All sessions end at once and the address is free again; every plugin then erases what it holds.
    """
    return {"erasure_id": services.close_account(current_principal().id, password)}


@jwks_blueprint.route("")
@jwks_blueprint.access(public="public keys, for whoever verifies tokens")
@cached_response(tags=lambda _: [services.KEYS_TAG], seconds=300)
@jwks_blueprint.response(200, schemas.JwkSetSchema)
def jwks() -> Any:
    """Give out the public keys that verify access tokens."""
    return {"keys": services.published()}, {"Cache-Control": "public, max-age=300"}
