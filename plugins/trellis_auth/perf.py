"""Load of auth: phones that refresh and look, people who come and go, and strangers who try."""

from __future__ import annotations

import secrets

from locust import between, task

from trellis_auth.factories import PASSWORD
from trellis_perf.user import TrellisUser


class SettledUser(TrellisUser):
    """Has the app open: looks at account and sessions, and refreshes now and then."""

    weight = 3

    @task(6)
    def look_at_account(self) -> None:
        self.call("auth_get_account")

    @task(3)
    def look_at_sessions(self) -> None:
        self.call("auth_list_sessions")

    @task(3)
    def renew(self) -> None:
        self.refresh()

    @task(1)
    def fetch_keys(self) -> None:
        self.call("auth_jwks", anonymous=True)


class RestlessUser(TrellisUser):
    """Signs out and in again, as another one of the people, and changes phones."""

    weight = 1
    wait_time = between(0.5, 1.5)

    @task
    def come_back(self) -> None:
        self.call("auth_sign_out")
        self.session = None
        self.on_start()

    @task
    def lose_phone(self) -> None:
        lost = self.session
        assert lost is not None
        self.session = self.sign_in(self.email)
        self.call("auth_end_session", path={"session_id": lost.id})


class Stranger(TrellisUser):
    """Signs up, and guesses the code that it cannot read."""

    weight = 1
    wait_time = between(0.5, 1.5)

    def on_start(self) -> None:
        """It has no account to sign in to."""

    @task
    def try_to_get_in(self) -> None:
        email = f"stranger-{secrets.token_hex(8)}@example.com"
        signs_up = {"email": email, "password": PASSWORD}
        guesses = {"email": email, "code": "000000"}
        self.call("auth_sign_up", anonymous=True, json=signs_up)
        self.call("auth_resend_code", anonymous=True, json={"email": email})
        self.call("auth_verify", anonymous=True, json=guesses, variant="wrong", status=400)
