"""Load of auth: people who open the app again, look at their sessions, and sign up."""

from __future__ import annotations

import json
import re
import secrets
import time
from typing import Any

from locust import task

from trellis_perf.user import TrellisUser

_MAIL_SECONDS = 10.0
_LOOK_SECONDS = 0.1


class ReturningUser(TrellisUser):
    """Opens the app: refreshes the tokens, looks at the account; at times signs in anew."""

    weight = 2

    @task(6)
    def open_app(self) -> None:
        self.refresh()
        self.call("auth_get_account")

    @task(3)
    def look_at_sessions(self) -> None:
        self.call("auth_list_sessions")

    @task(1)
    def change_phone(self) -> None:
        self.call("auth_sign_out")
        self.session = None
        self.on_start()

    @task(1)
    def fetch_keys(self) -> None:
        self.call("auth_jwks", anonymous=True)


class Newcomer(TrellisUser):
    """Signs up with the code from the mail, looks round, and leaves for good."""

    weight = 1
    reads_mail = True

    def on_start(self) -> None:
        """Nobody yet."""

    @task
    def try_it(self) -> None:
        email, password = f"newcomer.{secrets.token_hex(6)}@example.com", secrets.token_urlsafe(16)
        self.session = None
        self.call("auth_sign_up", json={"email": email, "password": password})
        self.call("auth_verify", json={"email": email, "code": self._code(email)})
        self.session = self.sign_in(email, password)
        self.call("auth_get_account")
        self.call("auth_close_account", json={"password": password})

    def _code(self, email: str) -> str:
        deadline = time.monotonic() + _MAIL_SECONDS
        while time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
            for mail in self._mails(email):
                if code := re.search(r"\b\d{6}\b", mail["text"]):
                    return code.group()
        raise TimeoutError(f"no mail within {_MAIL_SECONDS:g} seconds")

    def _mails(self, email: str) -> list[dict[str, Any]]:
        """What the mailbox shows; a page for people, and no operation of the API."""
        shown = self.client.get(
            f"/local/mailbox?to={email}",
            name="local mailbox",
            headers={"Accept": "application/json"},
        )
        return list(json.loads(shown.text or '{"items": []}')["items"])
