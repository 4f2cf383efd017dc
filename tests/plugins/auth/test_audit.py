from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from tests.plugins.auth.conftest import DEVICE, PASSWORD, Person

from trellis.db import fetch_all
from trellis.observe.audit import AuditEntry, subject_refs
from trellis_auth.models import Session

ADDRESS = "new@example.com"


def trail(app: Flask, person: Person | None) -> list[tuple[str, Any]]:
    """What auth has noted of a person, or of nobody, in order."""
    with app.app_context():
        about = (
            AuditEntry.subject_ref.in_(subject_refs(person.id))
            if person
            else AuditEntry.subject_ref.is_(None)
        )
        columns = select(AuditEntry.action, AuditEntry.details).where(
            about, AuditEntry.action.startswith("auth.")
        )
        return [(row.action, row.details) for row in fetch_all(columns.order_by(AuditEntry.id))]


def test_what_happens_to_an_account_leaves_a_trail(
    app: Flask, client: FlaskClient, ada: Person, age: Callable[..., None]
) -> None:
    def sign_in(email: str, password: str) -> Any:
        body = {"email": email, "password": password, "device": DEVICE}
        return client.post("/v1/auth/sessions", json=body).get_json()

    sign_in(ada.email, "not the password")
    sign_in("stranger@example.com", "not the password")
    pair = sign_in(ada.email, PASSWORD)
    client.post("/v1/auth/tokens", json={"refresh_token": ada.refresh_token})
    age(Session, seconds=11)
    client.post("/v1/auth/tokens", json={"refresh_token": ada.refresh_token})
    headers = {"Authorization": f"Bearer {pair['access_token']}"}
    client.delete("/v1/auth/account", headers=headers, json={"password": PASSWORD})
    assert trail(app, ada) == [
        ("auth.password_refused", {}),
        ("auth.signed_in", {}),
        ("auth.session_ended", {"reason": "refresh_token_reused"}),
        ("auth.session_ended", {"reason": "account_closed"}),
        ("auth.account_closed", {}),
    ]
    assert trail(app, None)[0] == ("auth.password_refused", {})


def test_a_new_account_and_a_spoilt_code_leave_one_too(
    app: Flask, client: FlaskClient, code_for: Callable[[str], str]
) -> None:
    client.post("/v1/auth/accounts", json={"email": ADDRESS, "password": PASSWORD})
    code = code_for(ADDRESS)
    for guess in (f"{(int(code) + 1) % 1_000_000:06}", code):
        client.post("/v1/auth/accounts/verify", json={"email": ADDRESS, "code": guess})
    with app.app_context():
        rows = fetch_all(select(AuditEntry.action, AuditEntry.details).order_by(AuditEntry.id))
    assert [row.action for row in rows] == ["auth.code_refused", "auth.account_verified"]
    assert all(row.details == {} for row in rows)
