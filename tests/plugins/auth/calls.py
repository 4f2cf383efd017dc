"""What an app calls to sign in and to stay so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask.testing import FlaskClient
from tests.plugins.auth.conftest import DEVICE, PASSWORD

from trellis.testing import Scenario

SESSIONS = "/v1/auth/sessions"
TOKENS = "/v1/auth/tokens"
ACCOUNT = "/v1/auth/account"
ENDED = "auth.session_ended/1"

Age = Callable[..., None]
AtOnce = Callable[..., list[Any]]
Check = Callable[[Scenario], Any]
Feed = Callable[[], list[dict[str, Any]]]


def sign_in(client: FlaskClient, email: str, password: str = PASSWORD, **device: Any) -> Any:
    body = {"email": email, "password": password, "device": {**DEVICE, **device}}
    return client.post(SESSIONS, json=body)


def refresh(client: FlaskClient, token: str) -> Any:
    return client.post(TOKENS, json={"refresh_token": token})


def is_in(client: FlaskClient, access_token: str) -> bool:
    answer = client.get(ACCOUNT, headers={"Authorization": f"Bearer {access_token}"})
    assert answer.status_code in (200, 401)
    return answer.status_code == 200
