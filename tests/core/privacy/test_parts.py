"""An erasure has a part for each plugin, and passes over none: not one that fails or is away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select

from trellis.db import fetch_all, fetch_value, new_id, utcnow
from trellis.db.clock import database_now
from trellis.errors import NotFound
from trellis.feed.models import FeedEntry
from trellis.observe.audit import AuditEntry, subject_refs
from trellis.outbox.models import OutboxRow
from trellis.privacy import erasure, request_erasure
from trellis.privacy.models import Erasure, ErasurePart
from trellis.runtime import PersonalDataRooms, Runtime
from trellis.testing import Scenario
from trellis.unit_of_work import unit_of_work

RunTasks = Callable[..., list[str]]


class Shelf:
    """What a plugin holds of people, and how often it was asked to erase."""

    def __init__(self) -> None:
        self.held: dict[UUID, int] = {}
        self.asked: list[UUID] = []
        self.fails = False
        self.meanwhile: Callable[[UUID], None] = lambda _: None

    def erase(self, user_id: UUID) -> Mapping[str, int]:
        self.asked.append(user_id)
        if self.fails:
            raise ConnectionError("the shelf is out of reach")
        self.meanwhile(user_id)
        return {"things": self.held.pop(user_id, 0)}

    def rooms(self) -> PersonalDataRooms:
        return PersonalDataRooms(export=lambda user_id: {}, erase=self.erase)


@pytest.fixture
def shelves(app: Flask, monkeypatch: pytest.MonkeyPatch) -> dict[str, Shelf]:
    """Two plugins that hold personal data, instead of those that are installed."""
    shelves = {"books": Shelf(), "films": Shelf()}
    rooms = {name: shelf.rooms() for name, shelf in shelves.items()}
    monkeypatch.setattr(app.extensions["trellis"], "personal_data", rooms)
    return shelves


@pytest.fixture
def ada(shelves: dict[str, Shelf]) -> UUID:
    ada = new_id()
    for shelf in shelves.values():
        shelf.held |= {ada: 3, new_id(): 1}
    return ada


def begin(person: UUID) -> UUID:
    with unit_of_work() as uow:
        return request_erasure(uow, person)


def completed(erasure_id: UUID) -> dict[str, bool]:
    state = erasure.state(erasure_id)
    return {part.plugin: part.completed_at is not None for part in state.parts}


def test_every_plugin_has_its_part_and_the_core_comes_last(
    app_context: None, shelves: dict[str, Shelf], ada: UUID, run_tasks: RunTasks
) -> None:
    erasure_id = begin(ada)
    assert completed(erasure_id) == {"books": False, "core": False, "films": False}
    assert run_tasks() == ["core.erase_part"] * 3 + ["core.complete_erasure"]
    assert completed(erasure_id) == {"books": True, "core": True, "films": True}
    ends = {part.plugin: part.completed_at for part in erasure.state(erasure_id).parts}
    assert ends["core"] == max(ends.values())  # type: ignore[type-var]
    assert [list(shelf.held.values()) for shelf in shelves.values()] == [[1], [1]]
    proof = dict(map(tuple, fetch_all(select(ErasurePart.plugin, ErasurePart.erased))))
    assert proof["books"] == proof["films"] == {"things": 3}


def test_who_it_was_is_forgotten_when_it_is_complete(
    app_context: None, ada: UUID, run_tasks: RunTasks
) -> None:
    erasure_id = begin(ada)
    assert fetch_value(select(Erasure.subject)) == ada
    run_tasks()
    assert erasure.state(erasure_id).completed_at is not None
    assert fetch_value(select(Erasure.subject)) is None
    trail = fetch_all(select(AuditEntry.action, AuditEntry.subject_ref, AuditEntry.details))
    assert [row.action for row in trail] == ["core.erasure_requested", "core.erasure_completed"]
    assert trail[0].subject_ref == subject_refs(ada)[0]
    assert str(ada) not in str(trail)
    assert ada.hex not in str(trail)


def test_one_that_fails_is_repeated_and_holds_the_end_up(
    app_context: None, shelves: dict[str, Shelf], ada: UUID, run_tasks: RunTasks
) -> None:
    shelves["films"].fails = True
    erasure_id = begin(ada)
    run_tasks(failures=True)
    assert completed(erasure_id) == {"books": True, "core": False, "films": False}
    assert erasure.state(erasure_id).completed_at is None
    assert fetch_value(select(Erasure.subject)) == ada

    shelves["films"].fails = False
    due_now()
    run_tasks()
    assert all(completed(erasure_id).values())
    assert shelves["books"].asked.count(ada) == 2, "once by itself, once more at the end"


def test_one_that_is_left_out_for_a_while_is_waited_for(
    app: Flask, app_context: None, shelves: dict[str, Shelf], ada: UUID, run_tasks: RunTasks
) -> None:
    runtime: Runtime = app.extensions["trellis"]
    erasure_id = begin(ada)
    films = runtime.personal_data.pop("films")
    for _ in range(3):
        run_tasks(failures=True)
        due_now()
    assert completed(erasure_id) == {"books": True, "core": False, "films": False}
    assert fetch_value(select(OutboxRow.attempts).where(OutboxRow.done_at.is_(None))) == 0

    runtime.personal_data["films"] = films
    run_tasks()
    assert all(completed(erasure_id).values())
    assert ada not in shelves["films"].held


def test_what_a_slower_plugin_sent_meanwhile_is_erased_too(
    app_context: None, shelves: dict[str, Shelf], ada: UUID, run_tasks: RunTasks
) -> None:
    books, films = shelves["books"], shelves["films"]

    def send_what_was_under_way(person: UUID) -> None:
        if films.held.get(person):
            books.held[person] = 1

    films.meanwhile = send_what_was_under_way
    erasure_id = begin(ada)
    erasure.erase_part(erasure_id, "books")
    run_tasks()
    assert ada not in books.held


def test_the_same_part_twice_is_done_once(
    app_context: None, shelves: dict[str, Shelf], ada: UUID, run_tasks: RunTasks
) -> None:
    erasure_id = begin(ada)
    erasure.erase_part(erasure_id, "books")
    erasure.erase_part(erasure_id, "books")
    assert shelves["books"].asked == [ada]
    run_tasks()
    assert all(completed(erasure_id).values())


def test_the_core_erases_entries_and_work_also_what_is_dead(
    app_context: None, ada: UUID, run_tasks: RunTasks
) -> None:
    bob = new_id()
    with unit_of_work() as uow:
        for person in (ada, bob):
            uow.enqueue("core.purge_outbox", subject=person, delay=3600)
            uow.session.add(_entry(person))
        uow.session.flush()
    with unit_of_work() as uow:
        uow.enqueue("core.purge_outbox", subject=ada)
    with unit_of_work() as uow:
        table = OutboxRow.__table__
        uow.session.execute(
            table.update()  # type: ignore[attr-defined]
            .where(table.c.due_at <= database_now())
            .values(dead_at=database_now(), error="it was about ada")
        )
    begin(ada)
    run_tasks(failures=True)
    assert {row.subject for row in fetch_all(select(FeedEntry.subject))} == {bob}
    subjects = {row.subject for row in fetch_all(select(OutboxRow.subject))}
    assert subjects == {None, bob}


def test_its_state_is_public_and_names_nobody(
    app: Flask, ada: UUID, run_tasks: RunTasks, check: Callable[[Scenario], Any]
) -> None:
    with app.app_context():
        erasure_id = begin(ada)
    keys = frozenset({"id", "requested_at", "completed_at", "parts"})
    path = f"/v1/erasures/{erasure_id}"
    row = Scenario("GET", path, 200, keys=keys, lacks=(str(ada), ada.hex))
    assert check(row).get_json()["completed_at"] is None
    run_tasks()
    state = check(row).get_json()
    assert state["completed_at"].endswith("Z")
    assert [part["plugin"] for part in state["parts"]] == ["books", "core", "films"]


def test_nobody_asks_for_an_erasure_that_is_not_there(
    app_context: None, check: Callable[[Scenario], Any]
) -> None:
    with pytest.raises(NotFound):
        erasure.state(new_id())
    check(Scenario("GET", f"/v1/erasures/{new_id()}", 404, code="core.not_found"))
    check(Scenario("GET", "/v1/erasures/1", 404, code="core.not_found"))


def test_an_erasure_that_rolls_back_never_was(
    app_context: None, ada: UUID, outbox: Callable[[], list[str]]
) -> None:
    with pytest.raises(ZeroDivisionError), unit_of_work() as uow:
        request_erasure(uow, ada)
        raise ZeroDivisionError
    assert fetch_value(select(Erasure.id)) is None
    assert outbox() == []


def due_now() -> None:
    """What was put off is due."""
    with unit_of_work() as uow:
        table = OutboxRow.__table__
        uow.session.execute(table.update().values(due_at=database_now(-1)))  # type: ignore[attr-defined]


def _entry(person: UUID) -> FeedEntry:
    return FeedEntry(
        event_id=new_id(),
        type="core.thing_done/1",
        audience=None,
        subject=person,
        resource="thing",
        resource_id="1",
        operation="created",
        payload={},
        created_at=utcnow(),
    )
