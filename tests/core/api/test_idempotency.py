"""E-08: an unsafe request that is sent twice with one `Idempotency-Key` happens once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, insert, select, text, update
from werkzeug.test import TestResponse

from trellis.api import idempotency
from trellis.api.models import StoredAnswer
from trellis.api.tasks import purge_answers
from trellis.db import database_now, fetch_all, fetch_value
from trellis.db.base import db
from trellis.errors import CommittedRefusal, ServiceUnavailable
from trellis.outbox.models import OutboxRow
from trellis.privacy import request_erasure
from trellis.runtime import Runtime
from trellis.unit_of_work import unit_of_work
from trellis_analytics.models import AnalyticsEvent
from trellis_demo import phone

Headers = dict[str, str]
SignIn = Callable[..., Headers]

PHOTO = phone.PHOTO.read_bytes()
EVENTS = "/v1/analytics/events"
ASSETS = "/v1/media/assets"
DEVICE = "/v1/notifications/devices/phone-1"


def events(name: str = "opened", event_id: str = "01990000-0000-7000-8000-000000000001") -> Any:
    event = {"id": event_id, "name": name, "occurred_at": "2026-11-22T12:00:00Z", "properties": {}}
    return {"events": [event]}


def photo(content: bytes = PHOTO) -> dict[str, Any]:
    return {"file": (BytesIO(content), "photo.jpg", "image/jpeg")}


@pytest.fixture
def ada(as_user: SignIn) -> Headers:
    return as_user()


@pytest.fixture
def send(client: FlaskClient, ada: Headers) -> Callable[..., TestResponse]:
    def send(
        method: str, path: str, key: str, headers: Headers | None = None, **body: Any
    ) -> TestResponse:
        sent = {**(ada if headers is None else headers), "Idempotency-Key": key}
        return client.open(path, method=method, headers=sent, **body)

    return send


Send = Callable[..., TestResponse]


def count(app: Flask, model: Any) -> int:
    with app.app_context():
        return int(fetch_value(select(func.count()).select_from(model)))


@contextmanager
def replaced(app: Flask, endpoint: str, view: Callable[..., Any]) -> Iterator[None]:
    """The same route, with another body of its view."""
    own = app.view_functions[endpoint]
    app.view_functions[endpoint] = view
    view.__dict__.update(own.__dict__)  # what its decorators stated
    try:
        yield
    finally:
        app.view_functions[endpoint] = own


def is_replay(response: TestResponse) -> bool:
    return response.headers.get("Idempotency-Replayed") == "true"


# --- a repeat -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "make"),
    [
        ("POST", EVENTS, lambda: {"json": events()}),
        ("POST", ASSETS, lambda: {"data": photo()}),
        ("PUT", DEVICE, lambda: {"json": {"platform": "ios", "push_token": "t"}}),
    ],
)
def test_e08_a_repeat_gets_the_stored_answer(
    app: Flask, send: Send, outbox: Callable[[], list[str]], method: str, path: str, make: Any
) -> None:
    first = send(method, path, "k-1", **make())
    assert first.status_code < 300, first.text
    assert not is_replay(first)
    work = outbox()

    again = send(method, path, "k-1", **make())  # of a form, the boundary is another

    assert is_replay(again)
    assert (again.status_code, again.data) == (first.status_code, first.data)
    kept = ("Content-Type", "Location", "ETag", "Cache-Control")
    assert [again.headers.get(name) for name in kept] == [first.headers.get(name) for name in kept]
    assert again.headers["X-Request-ID"] != first.headers["X-Request-ID"]
    assert outbox() == work
    assert count(app, StoredAnswer) == 1


def test_e08_a_deletion_that_is_sent_again_is_still_done(send: Send) -> None:
    send("PUT", DEVICE, "k-1", json={"platform": "ios", "push_token": "t"})
    assert [send("DELETE", DEVICE, "k-2").status_code for _ in range(2)] == [204, 204]
    assert send("DELETE", DEVICE, "k-3").status_code == 404


def test_e08_a_quoted_key_is_the_same_key(send: Send) -> None:
    send("POST", EVENTS, '"k-1"', json=events())
    assert is_replay(send("POST", EVENTS, "k-1", json=events()))


def test_e08_another_payload_is_refused_and_does_nothing(app: Flask, send: Send) -> None:
    send("POST", EVENTS, "k-1", json=events())
    send("POST", ASSETS, "k-2", data=photo())
    work = count(app, OutboxRow)
    for method, path, key, body in (
        ("POST", EVENTS, "k-1", {"json": events("closed")}),
        ("POST", ASSETS, "k-2", {"data": photo(PHOTO + b"\0")}),
    ):
        refused = send(method, path, key, **body)
        assert refused.status_code == 422
        assert refused.json is not None
        assert refused.json["code"] == "core.idempotency_key_reused"
    assert count(app, OutboxRow) == work


def test_e08_keys_are_each_callers_and_each_operations_own(as_user: SignIn, send: Send) -> None:
    send("POST", EVENTS, "k-1", json=events())
    other = send("POST", EVENTS, "k-1", headers=as_user(), json=events(event_id=str(uuid4())))
    elsewhere = send("PUT", DEVICE, "k-1", json={"platform": "ios", "push_token": "t"})
    assert (other.status_code, elsewhere.status_code) == (202, 200)
    assert not is_replay(other)
    assert not is_replay(elsewhere)


@pytest.mark.parametrize("key", ["", '""', "k" * 256, "schlüssel", "a\tb"])
def test_e08_what_is_no_key_is_refused(send: Send, key: str) -> None:
    refused = send("POST", EVENTS, key.encode().decode("latin-1"), json=events())
    assert (refused.status_code, refused.json and refused.json["code"]) == (400, "core.bad_request")


def test_e08_safe_methods_take_no_notice(app: Flask, send: Send) -> None:
    assert send("GET", ASSETS, "k-1").status_code == 200
    assert count(app, StoredAnswer) == 0


# --- at the same time ---------------------------------------------------------------------------


def test_e08_twenty_at_once_have_one_effect(app: Flask, ada: Headers) -> None:
    def call(_: int) -> TestResponse:
        with app.test_client() as client:
            return client.post(ASSETS, data=photo(), headers={**ada, "Idempotency-Key": "k-1"})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(call, range(20)))
    done = [answer for answer in answers if answer.status_code == 201]
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.data for answer in done}) == 1
    assert sum(not is_replay(answer) for answer in done) == 1
    assert count(app, StoredAnswer) == 1
    with app.app_context():
        tasks = fetch_all(select(OutboxRow.task).where(OutboxRow.task == "media.make_renditions"))
    assert len(tasks) == 1


@pytest.mark.parametrize("process", ["the same", "another"])
def test_e08_while_the_first_is_in_flight_the_second_waits_or_is_told(
    app: Flask, ada: Headers, process: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if process == "another":  # it does not know what is under way here
        monkeypatch.setattr(idempotency, "_under_way", lambda _: nullcontext())
    begun, go_on = threading.Event(), threading.Event()
    own = app.view_functions["analytics.track"]

    def slow(**arguments: Any) -> Any:
        answer = own(**arguments)  # which has written, and not committed
        begun.set()
        assert go_on.wait(60)
        return answer

    def call() -> TestResponse:
        with app.test_client() as client:
            return client.post(EVENTS, json=events(), headers={**ada, "Idempotency-Key": "k-1"})

    with replaced(app, "analytics.track", slow), ThreadPoolExecutor(2) as pool:
        first = pool.submit(call)
        assert begun.wait(60)
        second = pool.submit(call)
        with app.app_context():
            waits = (
                process == "another"
                and app.config["SQLALCHEMY_DATABASE_URI"].get_backend_name() == "sqlite"
            )
        if not waits:
            refused = second.result(60)
            assert refused.status_code == 409
            assert refused.json is not None
            assert refused.json["code"] == "core.request_in_flight"
            assert refused.headers["Retry-After"] == "1"
        go_on.set()
        assert first.result(60).status_code == 202
        if waits:  # for SQLite's one writer
            assert is_replay(second.result(60))
    assert is_replay(call())


# --- what is kept, and what is not --------------------------------------------------------------


@pytest.mark.parametrize(("fault", "status"), [(ZeroDivisionError, 500), (ServiceUnavailable, 503)])
def test_e08_a_fault_of_ours_is_not_pinned(
    app: Flask, send: Send, fault: type[Exception], status: int
) -> None:
    def broken(**_: Any) -> Any:
        with unit_of_work() as uow:
            uow.enqueue("core.purge_outbox")
        raise fault

    with replaced(app, "analytics.track", broken):
        answer = send("POST", EVENTS, "k-1", json=events())
    assert answer.status_code == status
    assert answer.json is not None
    assert answer.json["status"] == status
    assert (count(app, OutboxRow), count(app, StoredAnswer)) == (0, 0)
    answer = send("POST", EVENTS, "k-1", json=events())
    assert (answer.status_code, is_replay(answer)) == (202, False)


def test_e08_a_refusal_that_wrote_nothing_is_not_pinned(send: Send) -> None:
    assert send("POST", EVENTS, "k-1", json={"events": "none"}).status_code == 422
    assert send("POST", EVENTS, "k-1", json=events()).status_code == 202


class _Counted(CommittedRefusal):
    code = "core.counted"
    status = 403


def test_e08_a_refusal_that_is_remembered_is_counted_once(app: Flask, send: Send) -> None:
    def refuse(**_: Any) -> Any:
        with unit_of_work() as uow:
            uow.enqueue("core.purge_outbox")
            raise _Counted

    with replaced(app, "analytics.track", refuse):
        first = send("POST", EVENTS, "k-1", json=events())
        again = send("POST", EVENTS, "k-1", json=events())
    assert (first.status_code, again.status_code) == (403, 403)
    assert first.data == again.data
    assert is_replay(again)
    assert count(app, OutboxRow) == 1


def test_e08_units_of_one_view_fail_each_for_itself_and_commit_together(
    app: Flask, send: Send
) -> None:
    own = app.view_functions["analytics.track"]

    def three(**arguments: Any) -> Any:
        with unit_of_work() as uow:
            uow.enqueue("core.purge_outbox")
            assert uow.session is not None
        with pytest.raises(ZeroDivisionError), unit_of_work() as uow:
            uow.enqueue("core.purge_answers")
            assert uow.session is not None
            raise ZeroDivisionError
        assert count(app, OutboxRow) == 0, "nothing is committed before the answer"
        return own(**arguments)

    with replaced(app, "analytics.track", three):
        assert send("POST", EVENTS, "k-1", json=events()).status_code == 202
    with app.app_context():
        tasks = {row.task for row in fetch_all(select(OutboxRow.task))}
    assert "core.purge_outbox" in tasks
    assert "core.purge_answers" not in tasks


@pytest.mark.postgresql_only
def test_e08_an_answer_that_comes_between_the_look_and_the_lock_is_met(
    app: Flask, send: Send
) -> None:
    own = app.view_functions["analytics.track"]

    def raced(**arguments: Any) -> Any:
        answered = own(**arguments)
        with db.engine.connect() as other:
            row = {"id": idempotency._row_id("k-1"), "fingerprint": "another", "answer": b""}
            other.execute(insert(StoredAnswer).values(**row, created_at=database_now()))
            other.execute(text("COMMIT"))
        return answered

    with replaced(app, "analytics.track", raced):
        assert send("POST", EVENTS, "k-1", json=events()).status_code == 422
    assert count(app, AnalyticsEvent) == 0
    assert count(app, OutboxRow) == 0


def test_e08_answers_with_secrets_do_not_lie_in_clear(app: Flask, client: FlaskClient) -> None:
    from trellis_auth import factories

    with app.app_context():
        factories.users(1, seed=7)
        [email] = factories.emails(1, seed=7)
    body = {
        "email": email,
        "password": factories.PASSWORD,
        "device": {"installation_id": "phone-1", "name": "Phone", "platform": "ios"},
    }
    key = str(uuid4())
    first = client.post("/v1/auth/sessions", json=body, headers={"Idempotency-Key": key})
    assert first.status_code == 201, first.text
    assert first.json is not None
    again = client.post("/v1/auth/sessions", json=body, headers={"Idempotency-Key": key})
    assert again.json == first.json
    with app.app_context():
        (stored,) = fetch_all(select(StoredAnswer.id, StoredAnswer.answer))
    for secret in (first.json["access_token"], first.json["refresh_token"], key):
        assert secret.encode() not in stored.answer
        assert secret not in stored.id


def test_e08_answers_go_after_a_day_and_with_whoever_leaves(
    app: Flask, as_user: SignIn, send: Send, run_tasks: Callable[[], list[str]]
) -> None:
    bob = UUID(int=0xB0B)
    send("POST", EVENTS, "k-1", json=events())
    send("POST", EVENTS, "k-2", headers=as_user(bob), json=events(event_id=str(uuid4())))
    with app.app_context():
        with unit_of_work() as uow:
            request_erasure(uow, bob)
        run_tasks()
        (left,) = fetch_all(select(StoredAnswer.subject))
        assert left.subject != bob
        purge_answers()
        assert count(app, StoredAnswer) == 1
        with unit_of_work() as uow:
            day = database_now(-idempotency.KEEP_SECONDS - 1)
            uow.session.execute(update(StoredAnswer).values(created_at=day))
        purge_answers()
    assert count(app, StoredAnswer) == 0


def test_e08_a_newer_secret_key_leaves_stored_answers_readable(
    app: Flask, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    send("POST", EVENTS, "k-1", json=events())
    runtime: Runtime = app.extensions["trellis"]
    core = runtime.settings.core
    newer = core.model_copy(
        update={"secret_keys": [type(core.secret_keys[0])("n" * 32), *core.secret_keys]}
    )
    monkeypatch.setattr(runtime, "settings", replace(runtime.settings, core=newer))
    assert is_replay(send("POST", EVENTS, "k-1", json=events()))


def test_e08_the_document_tells_of_the_header(client: FlaskClient) -> None:
    document = client.get("/v1/openapi.json").get_json()
    for path in document["paths"].values():
        for method, operation in path.items():
            if method in ("get", "head", "parameters"):
                continue
            names = [p.get("name") for p in operation["parameters"] if p.get("in") == "header"]
            assert "Idempotency-Key" in names, operation["operationId"]
            assert {"400", "409", "422"} <= operation["responses"].keys()
