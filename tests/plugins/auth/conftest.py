"""What the tests of auth share: people, their sessions, their mails, settings, time, and races."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Table, update
from werkzeug.test import TestResponse

from trellis.contracts import Mailbox
from trellis.db import Model, UTCDateTime, fetch_all
from trellis.local.mailbox import Mail
from trellis.local.mailbox import Mailbox as LocalMailbox
from trellis.runtime import Runtime
from trellis.unit_of_work import unit_of_work
from trellis_auth import factories
from trellis_auth.settings import AuthSettings

PASSWORD = factories.PASSWORD
DEVICE = {"installation_id": "phone-1", "name": "Ada's phone", "platform": "ios"}


@dataclass(frozen=True)
class Person:
    """Somebody with a verified account and one session."""

    id: UUID
    email: str
    session_id: UUID
    refresh_token: str
    access_token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access_token}"}


@pytest.fixture
def runtime(app: Flask) -> Runtime:
    runtime: Runtime = app.extensions["trellis"]
    return runtime


@pytest.fixture
def person(app: Flask) -> Callable[..., Person]:
    """``person(seed=1, role="user")`` makes an account and a session of it."""

    def make(seed: int = 0, role: str = "user") -> Person:
        with app.app_context():
            [user_id] = factories.users(1, seed=seed, role=role)
            [tokens] = factories.sessions([user_id], seed=seed)
        [email] = factories.emails(1, seed=seed)
        return Person(user_id, email, tokens.session_id, tokens.refresh_token, tokens.access_token)

    return make


@pytest.fixture
def ada(person: Callable[..., Person]) -> Person:
    return person(seed=1)


@pytest.fixture
def bob(person: Callable[..., Person]) -> Person:
    return person(seed=2)


@pytest.fixture
def mails(runtime: Runtime, run_tasks: Callable[[], list[str]]) -> Callable[[str], list[Mail]]:
    """``mails(address)`` delivers what waits and gives the mails to an address, newest first."""

    def delivered(address: str) -> list[Mail]:
        run_tasks()
        mailbox = runtime.ports[Mailbox]
        assert isinstance(mailbox, LocalMailbox)
        return mailbox.mails(address)

    return delivered


@pytest.fixture
def code_for(mails: Callable[[str], list[Mail]]) -> Callable[[str], str]:
    """``code_for(address)`` is the code in the newest mail to it."""

    def newest(address: str) -> str:
        found = re.search(r"^ +([0-9]{6})$", mails(address)[0].text, re.MULTILINE)
        assert found, "no code in the newest mail"
        return found[1]

    return newest


@pytest.fixture
def set_auth(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``set_auth(code_attempts=2)`` changes settings for this test."""

    def change(**values: Any) -> None:
        changed = AuthSettings.model_validate(values)
        monkeypatch.setitem(runtime.settings.plugins, "auth", changed)

    return change


@pytest.fixture
def age(app: Flask) -> Callable[..., None]:
    """``age(Code, minutes=11)`` lets all rows of a table have been there so much longer."""

    def shift(model: type[Model], **by: float) -> None:
        table = model.__table__
        assert isinstance(table, Table)
        times = [column for column in table.columns if isinstance(column.type, UTCDateTime)]
        keys = list(table.primary_key.columns)
        with app.app_context(), unit_of_work() as uow:
            for row in fetch_all(table.select()):
                moved = {
                    column.name: row._mapping[column] - timedelta(**by)
                    for column in times
                    if row._mapping[column] is not None
                }
                this = [key == row._mapping[key] for key in keys]
                uow.session.execute(update(table).where(*this).values(moved))

    return shift


@pytest.fixture
def at_once(app: Flask) -> Callable[..., list[TestResponse]]:
    """``at_once([call, …])`` makes the calls from as many threads at the same moment."""

    def race(calls: Sequence[Callable[[FlaskClient], TestResponse]]) -> list[TestResponse]:
        start = Barrier(len(calls))

        def one(call: Callable[[FlaskClient], TestResponse]) -> TestResponse:
            client = app.test_client()
            start.wait(timeout=30)
            return call(client)

        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(one, calls))

    return race
