"""An error is logged with its place, and without the words of people that it quotes."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from smtplib import SMTPRecipientsRefused
from typing import Any

import pytest
import structlog
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from trellis.db import new_id, utcnow
from trellis.jobs.run import run
from trellis.observe.logs import configure_logging
from trellis.outbox.lease import claim_fresh
from trellis.privacy.models import Erasure
from trellis.unit_of_work import unit_of_work

PERSON = new_id()
REFUSAL = {"ada@example.org": (550, b"no ada here")}


def fail() -> None:
    """Raise what a mail server says, because of what a database says."""
    try:
        with unit_of_work() as uow:
            for _ in range(2):
                uow.session.execute(insert(Erasure).values(id=PERSON, requested_at=utcnow()))
    except IntegrityError as error:
        raise SMTPRecipientsRefused(REFUSAL) from error


@pytest.fixture(autouse=True, params=["json", "console"])
def _logged(request: pytest.FixtureRequest, app: Flask) -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    configure_logging("info", request.param)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


def told(said: str) -> None:
    assert "in fail" in said
    assert "IntegrityError" in said
    assert said.index("IntegrityError") < said.index("SMTPRecipientsRefused in fail")
    assert not any(word in said for word in ("ada@", "ada here", str(PERSON), PERSON.hex))


def test_an_unhandled_error_of_a_request_quotes_nobody(
    app: Flask,
    client: FlaskClient,
    as_user: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def view(**_: Any) -> Any:
        fail()

    view.__dict__.update(app.view_functions["analytics.track"].__dict__)
    monkeypatch.setitem(app.view_functions, "analytics.track", view)
    answer = client.post("/v1/analytics/events", headers=as_user(), json={"events": []})
    assert answer.status_code == 500
    told(capsys.readouterr().err)


def test_a_failed_task_quotes_nobody(
    app_context: None, declare_task: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with unit_of_work() as uow:
        uow.enqueue(declare_task(fail))
    (held,) = claim_fresh("light", 1)
    assert run(held).outcome == "failed"
    told(capsys.readouterr().err)


def test_what_code_and_the_system_say_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[Callable[[], object]] = [
        lambda: json.dumps(PERSON),
        lambda: Path("/nowhere/of/ada").read_text(),
    ]
    for call in calls:
        try:
            call()
        except (TypeError, OSError):
            structlog.get_logger("a").exception("failed")
    said = capsys.readouterr().err
    assert "UUID is not JSON serializable" in said
    assert "FileNotFoundError (No such file or directory)" in said
