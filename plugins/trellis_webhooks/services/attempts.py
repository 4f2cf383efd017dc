"""One attempt: the request first, then what came of it, for the delivery and for its endpoint."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select

from trellis.db import Found, database_now, fetch_one, fetch_value, new_id
from trellis.outgoing import OutgoingError, post
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
from trellis_webhooks.services.turns import disable, locked, take_turn
from trellis_webhooks.settings import WebhooksSettings

_GONE = 410


@dataclass(frozen=True)
class Outcome:
    """What came of a request: a status, or the error for which there is none."""

    status: int | None
    error: str | None
    retry_after: str | None
    seconds: float

    @property
    def success(self) -> bool:
        """A redirect is none: it is not followed, as it could lead anywhere."""
        return self.status is not None and 200 <= self.status < 300


def attempt(endpoint_id: UUID, turn: int) -> None:
    """Make the endpoint's next attempt, unless the turn is over."""
    endpoint = fetch_one(
        select(
            Endpoint.url,
            Endpoint.secret,
            Endpoint.previous_secret,
            (Endpoint.previous_until > database_now()).label("both_sign"),
        ).where(Endpoint.id == endpoint_id, Endpoint.enabled, Endpoint.turn == turn)
    )
    if endpoint is None:
        return
    delivery = fetch_one(
        select(Delivery.id, Delivery.event_id, Delivery.type, Delivery.occurred_at, Delivery.data)
        .where(
            Delivery.endpoint_id == endpoint_id,
            Delivery.state == WAITING,
            Delivery.next_attempt_at <= database_now(),
        )
        .order_by(Delivery.next_attempt_at, Delivery.id)
        .limit(1)
    )
    # Before the unit begins: a silent receiver must not hold up everybody else's writing.
    outcome = None if delivery is None else _request(endpoint, delivery)
    with unit_of_work() as uow:
        found = locked(uow, endpoint_id)
        if found is None:
            return
        if delivery is not None and outcome is not None:
            _note(uow, found, delivery.id, outcome)
        if found.turn == turn:
            found.turn_at = None
            take_turn(uow, found)


def _request(endpoint: Found, delivery: Found) -> Outcome:
    secrets = [endpoint.secret, *([endpoint.previous_secret] if endpoint.both_sign else [])]
    content = signing.body(delivery.type, delivery.occurred_at, delivery.data)
    headers = signing.headers(delivery.event_id, int(time.time()), content, secrets)
    began = time.monotonic()
    status = error = retry_after = None
    try:
        answer = post(
            endpoint.url, content, headers, seconds=WebhooksSettings.current().timeout_seconds
        )
        status, retry_after = answer.status, answer.headers.get("retry-after")
    except OutgoingError as fault:
        error = str(fault)[:MAX_ERROR]
    return Outcome(status, error, retry_after, time.monotonic() - began)


def _note(uow: UnitOfWork, endpoint: Endpoint, delivery_id: UUID, outcome: Outcome) -> None:
    now: datetime = fetch_value(select(database_now()))
    delivery = uow.session.get(Delivery, delivery_id, with_for_update=True, populate_existing=True)
    if delivery is not None:  # else it was erased meanwhile
        _note_in_log(uow, delivery, outcome, now)
    asked = patience.asked_for(outcome.retry_after, now)
    pause = patience.pause_after(outcome.seconds)
    if outcome.success:
        endpoint.failures = 0
        endpoint.failing_since = None
    else:
        endpoint.failures += 1
        endpoint.failing_since = endpoint.failing_since or now
        closed = patience.closed_for(endpoint.failures, answered=outcome.status is not None)
        pause = max(pause, closed, asked)
        if delivery is not None:
            _put_off(delivery, now, asked, given_up=outcome.status == _GONE)
        patient_until = endpoint.failing_since + timedelta(
            days=WebhooksSettings.current().disable_after_days
        )
        if endpoint.enabled and outcome.status == _GONE:
            disable(uow, endpoint, "gone")
        elif endpoint.enabled and now > patient_until:
            disable(uow, endpoint, "failing")
    endpoint.closed_until = now + timedelta(seconds=pause) if pause else None


def _note_in_log(uow: UnitOfWork, delivery: Delivery, outcome: Outcome, now: datetime) -> None:
    milliseconds = round(outcome.seconds * 1000)
    uow.session.add(
        Attempt(
            id=new_id(),
            delivery_id=delivery.id,
            at=now,
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
        delivery.state, delivery.next_attempt_at, delivery.finished_at = DELIVERED, None, now


def _put_off(delivery: Delivery, now: datetime, asked: float, *, given_up: bool) -> None:
    wait = None if given_up else patience.before_next_try(delivery.tries)
    if delivery.state != WAITING:  # delivered by another attempt at the same time
        return
    if wait is None:
        delivery.state, delivery.next_attempt_at, delivery.finished_at = FAILED, None, now
    else:
        delivery.next_attempt_at = now + timedelta(seconds=max(wait, asked))
