"""What the tests of notifications share: the port, the local sinks, the settings, and the clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import func, select, text, update

from trellis.contracts import Identity, Mailbox, Messenger, Principal, PushSink, port
from trellis.db import Model, database_now, fetch_value
from trellis.db.base import db
from trellis.local.mailbox import Mailbox as LocalMailbox
from trellis.local.push_sink import PushSink as LocalPushSink
from trellis.outbox.models import OutboxRow
from trellis.runtime import Runtime
from trellis.testing.identity import Issuer
from trellis.unit_of_work import unit_of_work
from trellis_notifications import services
from trellis_notifications.models import Mail, Message, Registration
from trellis_notifications.settings import NotificationsSettings


@pytest.fixture
def runtime(app: Flask) -> Runtime:
    runtime: Runtime = app.extensions["trellis"]
    return runtime


@pytest.fixture
def ports(runtime: Runtime) -> dict[Any, Any]:
    """Port to provider, for `monkeypatch`."""
    return runtime.ports


@pytest.fixture
def messenger(app_context: None) -> Messenger:
    return port(Messenger)


@pytest.fixture
def mailbox(runtime: Runtime) -> LocalMailbox:
    mailbox = runtime.ports[Mailbox]
    assert isinstance(mailbox, LocalMailbox)
    return mailbox


@pytest.fixture
def push_sink(runtime: Runtime) -> LocalPushSink:
    sink = runtime.ports[PushSink]
    assert isinstance(sink, LocalPushSink)
    return sink


@pytest.fixture
def register(app: Flask) -> Callable[..., None]:
    """``register(user_id, "phone", "ios", "token")`` as that person, signed in."""
    Issuer(app)
    identity = app.extensions["trellis"].ports[Identity]

    def register(user_id: UUID, *registration: str) -> None:
        person = Principal(user_id, "user")
        identity.issue(person)
        services.register(person, *registration)

    return register


@pytest.fixture
def set_mail(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``set_mail(mail_url=…)`` changes the plugin's settings for this test."""

    def change(**values: Any) -> None:
        changed = NotificationsSettings.model_validate(values)
        monkeypatch.setitem(runtime.settings.plugins, "notifications", changed)

    return change


@pytest.fixture
def count(app: Flask) -> Callable[[type[Model]], int]:
    """``count(Mail)`` is the number of its rows."""

    def rows(model: type[Model]) -> int:
        with app.app_context():
            return int(fetch_value(select(func.count()).select_from(model)))

    return rows


@pytest.fixture
def stored(app: Flask) -> Callable[[], str]:
    """``stored()`` is all that lies in the plugin's tables, as the database holds it."""

    def everything() -> str:
        with app.app_context(), db.engine.connect() as connection:
            return "\n".join(
                str(row)
                for model in (Message, Registration, Mail)
                for row in connection.execute(text(f"SELECT * FROM {model.__tablename__}"))
            )

    return everything


@pytest.fixture
def make_due(app: Flask) -> Callable[[], None]:
    """``make_due()`` lets postponed work run now."""

    def hurry() -> None:
        with app.app_context(), unit_of_work() as uow:
            uow.session.execute(update(OutboxRow).values(due_at=database_now()))

    return hurry


@pytest.fixture
def age_mails(app: Flask) -> Callable[[timedelta], None]:
    """``age_mails(age)`` makes every mail that waits as old as that."""

    def age(by: timedelta) -> None:
        with app.app_context(), unit_of_work() as uow:
            then = database_now(-by.total_seconds())
            uow.session.execute(update(Mail).values(created_at=then))

    return age
