"""Notes that one person shares with another, as events; and services that publish them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal
from uuid import UUID

import pytest
from flask import Flask

from trellis.events import Event, user_audience
from trellis.runtime import Runtime
from trellis.unit_of_work import unit_of_work


@dataclass(frozen=True)
class NoteShared(Event):
    """An event of these tests."""

    resource: ClassVar[str] = "note"
    operation: ClassVar[Literal["created"]] = "created"
    number: int
    reader_id: UUID | None = None

    def resource_id(self) -> str:
        return str(self.number)

    def audience(self) -> str | None:
        return None if self.reader_id is None else user_audience(self.reader_id)

    def subject(self) -> UUID | None:
        return self.reader_id


@pytest.fixture
def runtime(app: Flask) -> Iterator[Runtime]:
    """The runtime of an application that knows notes."""
    runtime: Runtime = app.extensions["trellis"]
    runtime.event_types[NoteShared] = "core.note_shared/1"
    yield runtime
    del runtime.event_types[NoteShared]
    runtime.listeners.pop("core.note_shared/1", None)


@pytest.fixture
def share(app: Flask, runtime: Runtime) -> Callable[..., None]:
    """``share(reader, 1, 2)`` commits a note of each number for a reader, in one unit of work."""

    def share(reader_id: UUID | None, *numbers: int) -> None:
        with app.app_context(), unit_of_work() as uow:
            for number in numbers:
                uow.publish(NoteShared(number, reader_id))

    return share
