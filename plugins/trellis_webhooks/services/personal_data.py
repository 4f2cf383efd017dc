"""What this plugin holds of one person: what others were told of them, and their endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import delete, select, update

from trellis.db import Found, fetch_all
from trellis.unit_of_work import unit_of_work
from trellis_webhooks.models import Delivery, Endpoint


def export_user(user_id: UUID) -> Mapping[str, Any]:
    """Events about the person that were sent to others, and the person's own endpoints.

    Of a receiver it names the host alone: the rest of its address may be what keeps strangers out.
    """
    deliveries = fetch_all(
        select(Delivery.event_id, Delivery.type, Delivery.data, Delivery.created_at, Endpoint.url)
        .join(Endpoint, Endpoint.id == Delivery.endpoint_id)
        .where(Delivery.subject == user_id)
        .order_by(Delivery.id)
    )
    endpoints = fetch_all(
        select(Endpoint.id, Endpoint.url, Endpoint.description, Endpoint.created_at)
        .where(Endpoint.owner_id == user_id)
        .order_by(Endpoint.id)
    )
    told = [_plain(row) for row in deliveries]
    for one in told:
        one["receiver"] = urlsplit(one.pop("url")).hostname
    return {"deliveries": told, "endpoints": [_plain(row) for row in endpoints]}


def erase_user(user_id: UUID) -> Mapping[str, int]:
    """Erase what tells of the person; endpoints stay, as they are the service's.

    A delivery whose attempt is under way at that moment is not brought back by it.
    """
    with unit_of_work() as uow:
        deliveries = uow.session.scalars(
            delete(Delivery)
            .where(Delivery.subject == user_id)
            .returning(Delivery.id)
            .execution_options(synchronize_session=False)
        ).all()
        endpoints = uow.session.scalars(
            update(Endpoint)
            .where(Endpoint.owner_id == user_id)
            .values(owner_id=None)
            .returning(Endpoint.id)
            .execution_options(synchronize_session=False)
        ).all()
    return {"deliveries": len(deliveries), "owned_endpoints": len(endpoints)}


def _plain(row: Found) -> dict[str, Any]:
    return {name: _text(value) for name, value in row._mapping.items()}


def _text(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    return value.isoformat() if isinstance(value, datetime) else value
