"""The audit trail commits with what it tells of, and names nobody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from uuid import uuid4

import pytest
from flask import Flask, g
from sqlalchemy import select
from tests.core.observe.conftest import MakeApp

from trellis.contracts import Principal
from trellis.observe.audit import AuditEntry, record, subject_refs
from trellis.unit_of_work import unit_of_work


@pytest.fixture
def app(make_app: MakeApp) -> Iterator[Flask]:
    app = make_app(migrated=True, TRELLIS_SECRET_KEYS=f"{'n' * 32},{'o' * 32}")
    with app.app_context():
        yield app


def test_an_entry_commits_with_its_change(app: Flask) -> None:
    user_id = uuid4()
    with unit_of_work() as uow:
        record(uow, "shop.order_refused", subject=user_id, order="o1", items=3)
    with suppress(RuntimeError), unit_of_work() as uow:
        record(uow, "shop.lost")
        raise RuntimeError
    [entry] = entries()
    assert (entry.action, entry.actor_kind) == ("shop.order_refused", "system")
    assert entry.details == {"order": "o1", "items": 3}
    assert entry.at.tzinfo is not None


def test_the_person_is_found_from_the_id_and_not_the_reverse(app: Flask) -> None:
    user_id = uuid4()
    with unit_of_work() as uow:
        record(uow, "shop.order_refused", subject=user_id)
    [entry] = entries()
    assert entry.subject_ref == subject_refs(user_id)[0]
    assert len(set(subject_refs(user_id))) == 2  # one for each key
    row = repr([getattr(entry, column.key) for column in AuditEntry.__table__.columns])
    assert str(user_id) not in row
    assert user_id.hex not in row


def test_the_actor_is_the_caller(app: Flask) -> None:
    operator = Principal(
        id=uuid4(), kind="operator", permissions=frozenset(), session_id=None, device_id=None
    )
    with app.test_request_context("/"):
        g.principal = operator
        with unit_of_work() as uow:
            record(uow, "shop.closed")
    [entry] = entries()
    assert entry.actor_kind == "operator"


def test_details_are_json(app: Flask) -> None:
    with pytest.raises(TypeError), unit_of_work() as uow:
        record(uow, "shop.closed", by=uuid4())
    assert entries() == []


def entries() -> list[AuditEntry]:
    with unit_of_work() as uow:
        entries = list(uow.session.scalars(select(AuditEntry)))
        uow.session.expunge_all()
        return entries
