"""An application that knows notes, and a way to publish them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from flask import Flask
from tests.core.feed.notes import TYPE, NoteShared

from trellis.runtime import Runtime
from trellis.unit_of_work import unit_of_work


@pytest.fixture
def runtime(app: Flask) -> Iterator[Runtime]:
    """The runtime of an application that knows notes."""
    runtime: Runtime = app.extensions["trellis"]
    runtime.event_types[NoteShared] = TYPE
    yield runtime
    del runtime.event_types[NoteShared]
    runtime.listeners.pop(TYPE, None)


@pytest.fixture
def share(app: Flask, runtime: Runtime) -> Callable[..., None]:
    """``share(reader, 1, 2)`` commits a note of each number for a reader, in one unit of work."""

    def share(reader_id: UUID | None, *numbers: int) -> None:
        with app.app_context(), unit_of_work() as uow:
            for number in numbers:
                uow.publish(NoteShared(number, reader_id))

    return share


@pytest.fixture
def share_in() -> Callable[..., None]:
    """``share_in(app, reader, 1, 2)`` is the same in an application of the test's own."""

    def share_in(app: Flask, reader_id: UUID | None, *numbers: int) -> None:
        runtime: Runtime = app.extensions["trellis"]
        runtime.event_types[NoteShared] = TYPE
        with app.app_context(), unit_of_work() as uow:
            for number in numbers:
                uow.publish(NoteShared(number, reader_id))

    return share_in
