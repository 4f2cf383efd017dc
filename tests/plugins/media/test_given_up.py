"""A picture whose decoder is ended again and again, as where memory is short: its owner hears."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from tests.plugins.media.conftest import of_type

from trellis.db import database_now, fetch_value, new_id
from trellis.jobs.dead import given_up
from trellis.jobs.operate import retry_dead
from trellis.observe.statements import start_counting, statement_count
from trellis.outbox.models import OutboxRow
from trellis.unit_of_work import unit_of_work
from trellis_media.factories import picture
from trellis_media.services import decoding, renditions
from trellis_media.tasks import close_given_up

ASSETS = "/v1/media/assets"
TASK = "media.make_renditions"


def run_the_last_attempt(app: Flask, run_tasks: Callable[..., list[str]]) -> str:
    """Run the task as often as it may be run; the reason why it was given up."""
    with app.app_context():
        with unit_of_work() as uow:
            last = {"attempts": 19, "due_at": database_now()}
            uow.session.execute(update(OutboxRow).where(OutboxRow.task == TASK).values(last))
        run_tasks(failures=True)
        return str(fetch_value(select(OutboxRow.error).where(OutboxRow.dead_at.is_not(None))))


def test_f23_the_owner_of_a_picture_that_was_given_up_is_told_and_a_retry_makes_it_ready(
    app: Flask,
    client: FlaskClient,
    as_user: Callable[..., dict[str, str]],
    upload: Callable[..., str],
    run_tasks: Callable[..., list[str]],
    feed: Callable[[], list[dict[str, Any]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    me = as_user()
    asset_id = upload(me, picture())

    def asset() -> dict[str, Any]:
        found: dict[str, Any] = client.get(f"{ASSETS}/{asset_id}", headers=me).get_json()
        return found

    with app.app_context():
        close_given_up()
    assert asset()["state"] == "processing"
    program = tmp_path / "ended.py"
    program.write_text(f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})")
    with monkeypatch.context() as patch:
        patch.setattr(decoding, "_DECODER", program)
        assert "the decoder was ended by SIGKILL" in run_the_last_attempt(app, run_tasks)
    with app.app_context():
        assert given_up(TASK, "asset_id", [asset_id, str(new_id())]) == [asset_id]
        for _ in range(2):
            close_given_up()
    assert (asset()["state"], asset()["failure"]) == ("failed", "given_up")
    (failed,) = of_type(feed(), "media.asset_failed/1")
    assert failed["payload"]["reason"] == "given_up"

    with app.app_context():
        assert retry_dead(TASK) == 1
        assert given_up(TASK, "asset_id", [asset_id]) == []
    run_tasks()
    assert (asset()["state"], asset()["failure"]) == ("ready", None)
    assert len(of_type(feed(), "media.asset_ready/1")) == 1


def give_up_all() -> None:
    with unit_of_work() as uow:
        uow.session.execute(
            update(OutboxRow).where(OutboxRow.task == TASK).values(dead_at=database_now())
        )


def test_dead_letters_of_old_cost_no_queries(app_context: None) -> None:
    with unit_of_work() as uow:
        for _ in range(30):
            uow.enqueue(TASK, asset_id=str(new_id()))
    give_up_all()
    start_counting()
    close_given_up()
    assert statement_count() < 5


def test_a_batch_is_bounded_and_the_next_one_follows(
    app: Flask,
    client: FlaskClient,
    as_user: Callable[..., dict[str, str]],
    upload: Callable[..., str],
    run_tasks: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(renditions, "_AT_ONCE", 2)
    me = as_user()
    for _ in range(5):
        upload(me, picture())

    def failures() -> int:
        found = client.get(ASSETS, headers=me).get_json()["items"]
        return sum(asset["failure"] == "given_up" for asset in found)

    with app.app_context():
        give_up_all()
        close_given_up()
    assert failures() == 2
    run_tasks()
    assert failures() == 5
