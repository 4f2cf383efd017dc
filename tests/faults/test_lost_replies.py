"""A request is done and its reply is lost: the client asks again, and it was done once (row 18)."""

from __future__ import annotations

import json
import re
import secrets
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from tests.faults.conftest import SteadyLoad
from tests.faults.invariants import until_idle
from tests.faults.load import picture
from tests.installation import Installation
from tests.journal import Journal
from tests.patient import PatientPhone
from tests.processes import until

_KEY = re.compile(rb"^idempotency-key: *(\S+)\r$", re.IGNORECASE | re.MULTILINE)

OF_THE_LOAD = {
    "POST /v1/auth/accounts",
    "POST /v1/auth/accounts/verify",
    "POST /v1/auth/sessions",
    "POST /v1/auth/tokens",
    "POST /v1/media/assets",
    "POST /v1/analytics/events",
    "POST /v1/notifications/messages/{}/read",
    "PUT /v1/notifications/devices/{}",
}
OF_A_PHONE = {
    "POST /v1/auth/accounts/verification",
    "DELETE /v1/auth/sessions/{}",
    "DELETE /v1/auth/sessions/current",
    "DELETE /v1/auth/sessions",
    "DELETE /v1/auth/account",
    "PATCH /v1/media/assets/{}",
    "DELETE /v1/media/assets/{}",
    "DELETE /v1/notifications/devices/{}",
}
OF_AN_OPERATOR = {
    "POST /v1/webhooks/endpoints",
    "PATCH /v1/webhooks/endpoints/{}",
    "POST /v1/webhooks/endpoints/{}/rotate",
    "POST /v1/webhooks/endpoints/{}/test",
    "POST /v1/webhooks/deliveries/{}/redeliver",
    "DELETE /v1/webhooks/endpoints/{}",
    "POST /v1/jobs/{}/retry",
    "DELETE /v1/jobs/{}",
    "POST /v1/jobs/retry",
    "POST /v1/jobs/drop",
}


def test_f18_every_unsafe_operation_is_tried(site: Installation) -> None:
    paths = json.loads(site.run("openapi", "export").stdout)["paths"]
    unsafe = {
        f"{method.upper()} {re.sub(r'{[a-z_]+}', '{}', path)}"
        for path, operations in paths.items()
        for method in operations
        if method in ("post", "put", "patch", "delete")
    }
    assert unsafe == OF_THE_LOAD | OF_A_PHONE | OF_AN_OPERATOR


class EachReplyOnce:
    """Cuts the reply to the first try of every call that carries a key."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._lock = threading.Lock()

    def __call__(self, data: bytes) -> bool:
        found = _KEY.search(data)
        if found is None:
            return False
        with self._lock:
            first = found[1] not in self._seen
            self._seen.add(found[1])
        return first


def test_f18_every_first_reply_is_lost(site: Installation, steady_load: SteadyLoad) -> None:
    site.clients.cut(EachReplyOnce())
    with steady_load(site) as load:
        load.until_round()
        site.clients.restore()
    unsafe = [call for call in load.journal.calls if not call.operation.startswith("GET ")]
    lost = {call.operation.replace("{id}", "{}") for call in unsafe if call.answers[0] == 0}
    assert lost >= OF_THE_LOAD


@pytest.fixture
def phone(site: Installation) -> Iterator[PatientPhone]:
    """Somebody for whom the first reply to every unsafe call is lost."""
    site.intact = False
    site.clients.cut(EachReplyOnce())
    phone = PatientPhone(site, Journal(), "lost")
    try:
        yield phone
    finally:
        phone.leave()
        site.clients.restore()
    until_idle(site)
    site.intact = True


def twice(phone: PatientPhone, method: str, path: str, **options: Any) -> httpx2.Response:
    """The answer to a call whose first reply is lost."""
    headers = {**phone.headers, **options.pop("headers", {}), "Idempotency-Key": str(uuid.uuid4())}
    with pytest.raises(httpx2.TransportError):
        phone.http.request(method, path, headers=headers, **options)
    return phone.http.request(method, path, headers=headers, **options)


def test_f18_what_ends_something_is_done_once(site: Installation, phone: PatientPhone) -> None:
    phone.sign_up()
    mails = len(site.mail.mails(phone.email))
    body = {"email": phone.email}
    assert twice(phone, "POST", "/v1/auth/accounts/verification", json=body).status_code == 202
    until_idle(site)
    assert len(site.mail.mails(phone.email)) == mails + 1
    phone.verify(until(lambda: site.mail.code(phone.email), "a code"))
    phone.join_verified()

    asset_id = phone.send_picture(picture(1))
    phone.until_ready(asset_id)
    asset = f"/v1/media/assets/{asset_id}"
    kind = {"Content-Type": "application/merge-patch+json"}
    shown = twice(phone, "PATCH", asset, headers=kind, json={"visibility": "public"})
    assert shown.json()["visibility"] == "public"
    assert twice(phone, "DELETE", asset).status_code == 204
    device = f"/v1/notifications/devices/{phone.installation_id}"
    assert twice(phone, "DELETE", device).status_code == 204

    # A token of a session that has ended lets nobody in, but to hear that it has.
    phone.sign_in()
    (session,) = [one for one in phone.sessions() if one["current"]]
    assert twice(phone, "DELETE", f"/v1/auth/sessions/{session['id']}").status_code == 204
    phone.sign_in()
    assert twice(phone, "DELETE", "/v1/auth/sessions/current").status_code == 204
    phone.sign_in()
    assert twice(phone, "DELETE", "/v1/auth/sessions").status_code == 204
    query = "SELECT count(*) FROM auth_session WHERE ended_at IS NULL AND user_id = "
    assert site.rows(f"{query}'{phone.user_id}'") == [(0,)]

    phone.sign_in()
    erasures = site.rows("SELECT count(*) FROM core_erasure")[0][0]
    left = twice(phone, "DELETE", "/v1/auth/account", json={"password": phone.password})
    assert left.status_code == 202
    assert site.rows("SELECT count(*) FROM core_erasure") == [(erasures + 1,)]
    erasure = phone.http.get(f"/v1/erasures/{left.json()['erasure_id']}")
    assert erasure.status_code == 200, erasure.text


@pytest.fixture
def operator(site: Installation, phone: PatientPhone) -> PatientPhone:
    """The same for somebody who may do everything."""
    phone.email, phone.password = f"{secrets.token_hex(6)}@example.com", secrets.token_urlsafe(16)
    made = site.run("auth", "create-operator", phone.email, "--password-stdin", told=phone.password)
    assert made.returncode == 0, made.stderr
    phone.sign_in()
    return phone


def test_f18_what_an_operator_does_is_done_once(operator: PatientPhone) -> None:
    endpoints = "/v1/webhooks/endpoints"
    body = {"url": "https://hooks.example.com/trellis", "events": ["media.*"]}
    created = twice(operator, "POST", endpoints, json=body)
    assert created.status_code == 201, created.text
    listed = operator.http.get(endpoints, headers=operator.headers).json()["items"]
    assert [one["id"] for one in listed] == [created.json()["id"]]
    endpoint = f"{endpoints}/{created.json()['id']}"
    kind = {
        "Content-Type": "application/merge-patch+json",
        "If-Match": operator.http.get(endpoint, headers=operator.headers).headers["ETag"],
    }
    changed = twice(operator, "PATCH", endpoint, headers=kind, json={"description": "Warehouse"})
    assert changed.json()["description"] == "Warehouse"
    assert twice(operator, "POST", f"{endpoint}/rotate", json={}).status_code == 200
    tested = twice(operator, "POST", f"{endpoint}/test").json()["id"]
    again = twice(operator, "POST", f"/v1/webhooks/deliveries/{tested}/redeliver")
    assert again.status_code == 202, again.text
    listed = operator.http.get("/v1/webhooks/deliveries", headers=operator.headers).json()["items"]
    assert len(listed) == 1
    assert twice(operator, "DELETE", endpoint).status_code == 204


def test_f18_dead_work_is_retried_and_dropped_once(
    site: Installation, operator: PatientPhone
) -> None:
    retried, dropped = dead(site), dead(site)
    assert twice(operator, "POST", f"/v1/jobs/{retried}/retry").status_code == 204
    assert twice(operator, "DELETE", f"/v1/jobs/{dropped}").status_code == 204
    until_idle(site)  # what was retried ran, and would not have been there for a second time

    task = {"task": "auth.sweep"}
    dead(site), dead(site)
    assert twice(operator, "POST", "/v1/jobs/retry", json=task).json() == {"count": 2}
    until_idle(site)
    dead(site)
    assert twice(operator, "POST", "/v1/jobs/drop", json=task).json() == {"count": 1}
    assert site.undone() == []


def dead(site: Installation) -> str:
    """The id of a piece of work that was given up."""
    ((id_,),) = site.rows(
        "INSERT INTO core_outbox (id, task, queue, arguments, created_at, due_at, fence, dead_at)"
        " VALUES (gen_random_uuid(), 'auth.sweep', 'light', '{}', now(), now(), 0, now())"
        " RETURNING id"
    )
    return str(id_)
