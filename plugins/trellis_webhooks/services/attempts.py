"""One turn of an endpoint: the requests first, then what came of them, all in one commit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import bindparam, select

from trellis.db import Compiled, Found, database_now, fetch_one, new_id
from trellis.outgoing import Answer, OutgoingError, caller
from trellis.unit_of_work import UnitOfWork, unit_of_work
from trellis_webhooks.models import (
    DELIVERED,
    FAILED,
    MAX_ERROR,
    WAITING,
    Attempt,
    Delivery,
    Endpoint,
)
from trellis_webhooks.services import patience, signing
from trellis_webhooks.services.secrets import previous_secrets
from trellis_webhooks.services.turns import disable, locked, note_time, take_turn
from trellis_webhooks.settings import WebhooksSettings

_GONE = 410

# For so long a turn goes on: others wait for its worker, and what was sent is sent again when that
# dies before it is noted.
_TURN_SECONDS = 0.25

_NEXT = Compiled(
    select(
        Delivery.id,
        Delivery.event_id,
        Delivery.type,
        Delivery.occurred_at,
        Delivery.data,
        Endpoint.url,
        Endpoint.id.label("endpoint_id"),
        Endpoint.secret,
        database_now().label("now"),
    )
    .join(Endpoint, Endpoint.id == Delivery.endpoint_id)
    .where(
        Endpoint.id == bindparam("endpoint_id"),
        Endpoint.enabled,
        Endpoint.turn == bindparam("turn"),
        Delivery.state == WAITING,
        Delivery.next_attempt_at <= database_now(),
        Delivery.id.not_in(bindparam("made", expanding=True)),
    )
    .order_by(Delivery.next_attempt_at, Delivery.id)
    .limit(1)
)


@dataclass(frozen=True)
class Outcome:
    """What came of a request: a status, or the error for which there is none.

    ``began`` and ``ended`` are of `time.monotonic`.
    """

    delivery_id: UUID
    url: str
    status: int | None
    error: str | None
    retry_after: str | None
    began: float
    ended: float

    @property
    def success(self) -> bool:
        """A redirect is none: it is not followed, as it could lead anywhere."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began


def attempt(endpoint_id: UUID, turn: int) -> None:
    """Make attempts at what is due, one after the other, unless the endpoint's turn is over."""
    # Before the unit begins: a silent receiver must not hold up everybody else's writing.
    outcomes = _take(endpoint_id, turn)
    with unit_of_work() as uow:
        endpoint = locked(uow, endpoint_id)
        if endpoint is None:
            return
        is_its_turn = endpoint.turn == turn
        now = note_time(uow, endpoint, endpoint.turn_at if is_its_turn else None)
        _note(uow, endpoint, outcomes, now)
        if is_its_turn:
            endpoint.turn_at = None
            take_turn(uow, endpoint)


def _take(endpoint_id: UUID, turn: int) -> list[Outcome]:
    """Attempts until the first failure, or until the time of the turn is over."""
    outcomes: list[Outcome] = []
    until = time.monotonic() + _TURN_SECONDS
    with caller() as calls:
        while due := _next(endpoint_id, turn, outcomes):
            outcomes.append(_request(calls.post, due))
            if not outcomes[-1].success or time.monotonic() > until:
                break
    return outcomes


def _next(endpoint_id: UUID, turn: int, outcomes: Sequence[Outcome]) -> Found | None:
    """The next delivery, and its endpoint as it is now: it may be changed at any moment."""
    made = [outcome.delivery_id for outcome in outcomes]
    return fetch_one(_NEXT, endpoint_id=endpoint_id, turn=turn, made=made)


def _request(post: Callable[..., Answer], due: Found) -> Outcome:
    secrets = [due.secret, *previous_secrets(due.endpoint_id)]
    content = signing.body(due.type, due.occurred_at, due.data)
    headers = signing.headers(due.event_id, int(due.now.timestamp()), content, secrets)
    timeout = WebhooksSettings.current().timeout_seconds
    began = time.monotonic()
    status = error = retry_after = None
    try:
        answer = post(due.url, content, headers, seconds=timeout)
        status, retry_after = answer.status, answer.headers.get("retry-after")
    except OutgoingError as fault:
        error = str(fault)[:MAX_ERROR]
    return Outcome(due.id, due.url, status, error, retry_after, began, time.monotonic())


def _note(uow: UnitOfWork, endpoint: Endpoint, outcomes: Sequence[Outcome], now: datetime) -> None:
    deliveries = {
        delivery.id: delivery
        for delivery in uow.session.scalars(
            select(Delivery)
            .where(Delivery.id.in_([outcome.delivery_id for outcome in outcomes]))
            .order_by(Delivery.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    }
    for outcome in outcomes:
        at = now - timedelta(seconds=time.monotonic() - outcome.ended)
        delivery = deliveries.get(outcome.delivery_id)
        if delivery is not None:  # else it was erased meanwhile
            _note_in_log(uow, delivery, outcome, at)
        if outcome.url == endpoint.url:  # else it says nothing of the address that there is now
            _note_health(uow, endpoint, outcome, at)


def _note_health(uow: UnitOfWork, endpoint: Endpoint, outcome: Outcome, at: datetime) -> None:
    pause = patience.pause_after(outcome.seconds)
    if outcome.success:
        endpoint.failures = 0
        endpoint.failing_since = None
    else:
        endpoint.failures += 1
        endpoint.failing_since = endpoint.failing_since or at
        closed = patience.closed_for(endpoint.failures, answered=outcome.status is not None)
        pause = max(pause, closed, patience.asked_for(outcome.retry_after, at))
        patient_until = endpoint.failing_since + timedelta(
            days=WebhooksSettings.current().disable_after_days
        )
        if endpoint.enabled and outcome.status == _GONE:
            disable(uow, endpoint, "gone")
        elif endpoint.enabled and at > patient_until:
            disable(uow, endpoint, "failing")
    endpoint.closed_until = at + timedelta(seconds=pause) if pause else None


def _note_in_log(uow: UnitOfWork, delivery: Delivery, outcome: Outcome, at: datetime) -> None:
    milliseconds = round(outcome.seconds * 1000)
    uow.session.add(
        Attempt(
            id=new_id(),
            delivery_id=delivery.id,
            at=at,
            status=outcome.status,
            error=outcome.error,
            duration_ms=milliseconds,
        )
    )
    delivery.attempts += 1
    delivery.tries += 1
    delivery.last_status, delivery.last_error = outcome.status, outcome.error
    delivery.last_duration_ms = milliseconds
    if outcome.success:
        delivery.state, delivery.next_attempt_at, delivery.finished_at = DELIVERED, None, at
    elif delivery.state == WAITING:  # else another attempt at the same time delivered it
        _put_off(delivery, outcome, at)


def _put_off(delivery: Delivery, outcome: Outcome, at: datetime) -> None:
    wait = None if outcome.status == _GONE else patience.before_next_try(delivery.tries)
    if wait is None:
        delivery.state, delivery.next_attempt_at, delivery.finished_at = FAILED, None, at
    else:
        asked = patience.asked_for(outcome.retry_after, at)
        delivery.next_attempt_at = at + timedelta(seconds=max(wait, asked))
