"""The log of deliveries: looked through, sent again, forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, insert, select

from trellis.db import Compiled, Found, database_now, fetch_all, fetch_one, fetch_value, new_id
from trellis.errors import NotFound
from trellis.paging import Page, paginate
from trellis.unit_of_work import UnitOfWork, unit_of_work
from trellis_webhooks.errors import EndpointNotEnabled
from trellis_webhooks.models import WAITING, Attempt, Delivery, Endpoint
from trellis_webhooks.services.patience import DAY
from trellis_webhooks.services.turns import locked, reopen
from trellis_webhooks.settings import WebhooksSettings

_TEST_TYPE = "webhooks.test/1"
_FORGOTTEN_AT_ONCE = 5_000

SHOWN = select(
    Delivery.id,
    Delivery.endpoint_id,
    Delivery.event_id,
    Delivery.type,
    Delivery.state,
    Delivery.attempts,
    Delivery.last_status,
    Delivery.last_error,
    Delivery.last_duration_ms,
    Delivery.next_attempt_at,
    Delivery.created_at,
    Delivery.finished_at,
)
_DELIVERY = Compiled(
    SHOWN.add_columns(Delivery.data, Delivery.occurred_at).where(
        Delivery.id == bindparam("delivery_id")
    )
)
_ATTEMPTS = Compiled(
    select(Attempt.at, Attempt.status, Attempt.error, Attempt.duration_ms)
    .where(Attempt.delivery_id == bindparam("delivery_id"))
    .order_by(Attempt.id)
)


def list_deliveries(
    *, endpoint_id: UUID | None, state: str | None, cursor: str | None, limit: int
) -> Page[Found]:
    """A page of the deliveries, the newest first; of one endpoint or state, if asked."""
    statement = SHOWN
    if endpoint_id is not None:
        statement = statement.where(Delivery.endpoint_id == endpoint_id)
    if state is not None:
        statement = statement.where(Delivery.state == state)
    return paginate(statement, Delivery.id.desc(), cursor=cursor, limit=limit)


def get_delivery(delivery_id: UUID) -> dict[str, Any]:
    """One delivery with what it tells and its attempts. Raises NotFound."""
    row = fetch_one(_DELIVERY, delivery_id=delivery_id)
    if row is None:
        raise NotFound
    return {**row._mapping, "attempts_made": fetch_all(_ATTEMPTS, delivery_id=delivery_id)}


def send_test(endpoint_id: UUID) -> UUID:
    """Send a test event to an endpoint, without waiting for one that has failed.

    Returns the id of the delivery. Raises NotFound and EndpointNotEnabled.
    """
    delivery_id = new_id()
    with unit_of_work() as uow:
        endpoint = _enabled(uow, endpoint_id)
        now = _now()
        uow.session.add(
            Delivery(
                id=delivery_id,
                endpoint_id=endpoint_id,
                event_id=new_id(),
                type=_TEST_TYPE,
                data={"endpoint_id": str(endpoint_id)},
                occurred_at=now,
                created_at=now,
                next_attempt_at=now,
                state=WAITING,
                attempts=0,
                tries=0,
            )
        )
        reopen(uow, endpoint)
    return delivery_id


def redeliver(delivery_id: UUID) -> None:
    """Send a delivery again, whatever became of it: with the same id, and all its tries.

    Raises NotFound and EndpointNotEnabled.
    """
    with unit_of_work() as uow:
        endpoint_id = fetch_value(select(Delivery.endpoint_id).where(Delivery.id == delivery_id))
        endpoint = _enabled(uow, endpoint_id)
        delivery = uow.session.get(
            Delivery, delivery_id, with_for_update=True, populate_existing=True
        )
        if delivery is None:
            raise NotFound
        delivery.state, delivery.tries = WAITING, 0
        delivery.next_attempt_at, delivery.finished_at = _now(), None
        reopen(uow, endpoint)


def forget_deliveries() -> None:
    """Forget deliveries past their time, a bounded step; the rest is left to another run."""
    kept = WebhooksSettings.current().keep_days * DAY
    old = (
        select(Delivery.id)
        .where(Delivery.created_at < database_now(-kept))
        .order_by(Delivery.created_at)
        .limit(_FORGOTTEN_AT_ONCE)
    )
    with unit_of_work() as uow:
        forgotten = uow.session.scalars(
            delete(Delivery)
            .where(Delivery.id.in_(old))
            .returning(Delivery.id)
            .execution_options(synchronize_session=False)
        )
        if len(forgotten.all()) == _FORGOTTEN_AT_ONCE:
            uow.enqueue("webhooks.forget_deliveries")


def add_deliveries(deliveries: Sequence[Mapping[str, Any]]) -> None:
    """Make many deliveries at once (all columns but ids, counts and times), without sending any."""
    rows = [{"id": new_id(), "attempts": 1, "tries": 1, **delivery} for delivery in deliveries]
    with unit_of_work() as uow:
        if rows:
            now = database_now()
            uow.session.execute(insert(Delivery).values(created_at=now, occurred_at=now), rows)


def _enabled(uow: UnitOfWork, endpoint_id: UUID | None) -> Endpoint:
    endpoint = locked(uow, endpoint_id) if endpoint_id else None
    if endpoint is None:
        raise NotFound
    if not endpoint.enabled:
        raise EndpointNotEnabled
    return endpoint


def _now() -> datetime:
    now: datetime = fetch_value(select(database_now()))
    return now
