"""Secrets of an endpoint: the present one, and those before it that sign for a while."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import BindParameter, ColumnElement, and_, bindparam, delete, func, select, true
from sqlalchemy.orm import InstrumentedAttribute

from trellis.db import Compiled, database_now, fetch_all, fetch_value, new_id
from trellis.errors import NotFound
from trellis.observe import audit
from trellis.unit_of_work import unit_of_work
from trellis_webhooks.errors import TooManySecrets
from trellis_webhooks.models import Endpoint, PreviousSecret
from trellis_webhooks.services.signing import new_secret
from trellis_webhooks.services.turns import locked

_MOST = 5
"""Signatures of one request."""


def _signing(
    endpoint_id: UUID | InstrumentedAttribute[UUID] | BindParameter[UUID],
) -> ColumnElement[bool]:
    return and_(PreviousSecret.endpoint_id == endpoint_id, PreviousSecret.until > database_now())


SIGNING_SECRETS = (
    select(func.count() + 1).where(_signing(Endpoint.id)).correlate(Endpoint).scalar_subquery()
)
"""How many secrets sign for an endpoint: the present one and those before."""

PREVIOUS_UNTIL = (
    select(func.max(PreviousSecret.until))
    .where(_signing(Endpoint.id))
    .correlate(Endpoint)
    .scalar_subquery()
)
"""When the last of those before ends; null without any."""

_PREVIOUS = Compiled(
    select(PreviousSecret.secret)
    .where(_signing(bindparam("endpoint_id")))
    .order_by(PreviousSecret.id.desc())
)


def previous_secrets(endpoint_id: UUID) -> Sequence[str]:
    """Those before the present one that sign, the newest first."""
    return [row.secret for row in fetch_all(_PREVIOUS, endpoint_id=endpoint_id)]


def rotate_secret(endpoint_id: UUID, overlap_hours: int) -> str:
    """Give the endpoint a new secret, and return it; the old one signs for so long, too.

    Those that were replaced before sign until their time. With 0 hours all of them end at once.
    Raises NotFound and TooManySecrets.
    """
    secret = new_secret()
    with unit_of_work() as uow:
        endpoint = locked(uow, endpoint_id)
        if endpoint is None:
            raise NotFound
        now: datetime = fetch_value(select(database_now()))
        ended = PreviousSecret.until <= now if overlap_hours else true()
        uow.session.execute(
            delete(PreviousSecret)
            .where(PreviousSecret.endpoint_id == endpoint_id, ended)
            .execution_options(synchronize_session=False)
        )
        if overlap_hours:
            if fetch_value(select(func.count() + 1).where(_signing(endpoint_id))) >= _MOST:
                raise TooManySecrets
            uow.session.add(
                PreviousSecret(
                    id=new_id(),
                    endpoint_id=endpoint_id,
                    secret=endpoint.secret,
                    until=now + timedelta(hours=overlap_hours),
                )
            )
        endpoint.secret = secret
        audit.record(uow, "webhooks.secret_rotated", endpoint_id=str(endpoint_id))
    return secret
