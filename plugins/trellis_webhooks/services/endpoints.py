"""Endpoints: made, changed and removed by operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, func, select

from trellis.db import Compiled, Found, database_now, fetch_one, fetch_value, new_id
from trellis.errors import InvalidInput, NotFound
from trellis.feed import head, published
from trellis.observe import audit
from trellis.outgoing import TargetRefused, check_url
from trellis.paging import Listing, Page
from trellis.unit_of_work import UnitOfWork, unit_of_work
from trellis_webhooks.errors import TooManyEndpoints
from trellis_webhooks.models import Cursor, Endpoint
from trellis_webhooks.services.follow import wants
from trellis_webhooks.services.secrets import PREVIOUS_UNTIL, SIGNING_SECRETS
from trellis_webhooks.services.signing import new_secret
from trellis_webhooks.services.turns import locked, reopen
from trellis_webhooks.settings import WebhooksSettings

SHOWN = select(
    Endpoint.id,
    Endpoint.url,
    Endpoint.description,
    Endpoint.events,
    Endpoint.enabled,
    Endpoint.disabled_reason,
    Endpoint.failing_since,
    PREVIOUS_UNTIL.label("previous_until"),
    SIGNING_SECRETS.label("signing_secrets"),
    Endpoint.created_at,
)
"""What operators see of an endpoint; the secret is shown once, when it is made."""

_LISTED = Listing(SHOWN, Endpoint.id.asc())
_ENDPOINT = Compiled(SHOWN.where(Endpoint.id == bindparam("endpoint_id")))


def create_endpoint(
    owner_id: UUID | None, url: str, events: Sequence[str], description: str, *, enabled: bool
) -> tuple[UUID, str]:
    """Make an endpoint, which hears of what happens from now on; returns its id and its secret.

    Raises InvalidInput for an address that can be seen to be refused, and TooManyEndpoints.
    """
    _check(url)
    endpoint_id, secret = new_id(), new_secret()
    with unit_of_work() as uow:
        # Two who count at once would make one too many: the cursor's row stands for all endpoints.
        uow.session.execute(select(Cursor.id).with_for_update())
        if fetch_value(select(func.count(Endpoint.id))) >= WebhooksSettings.current().max_endpoints:
            raise TooManyEndpoints
        uow.session.add(
            Endpoint(
                id=endpoint_id,
                url=url,
                description=description,
                events=list(events),
                enabled=enabled,
                disabled_reason=None if enabled else "operator",
                owner_id=owner_id,
                secret=secret,
                after=head(),
                failures=0,
                turn=0,
                created_at=fetch_value(select(database_now())),
            )
        )
        audit.record(uow, "webhooks.endpoint_created", endpoint_id=str(endpoint_id))
    return endpoint_id, secret


def list_endpoints(*, cursor: str | None, limit: int) -> Page[Found]:
    """A page of the endpoints, the oldest first."""
    return _LISTED.page(cursor=cursor, limit=limit)


def get_endpoint(endpoint_id: UUID) -> Found:
    """One endpoint. Raises NotFound."""
    row = fetch_one(_ENDPOINT, endpoint_id=endpoint_id)
    if row is None:
        raise NotFound
    return row


def update_endpoint(endpoint_id: UUID, changes: Mapping[str, Any]) -> None:
    """Change url, events, description or enabled. Raises NotFound and InvalidInput.

    An endpoint that is enabled again hears of what happens from now on, and gets what waits for it.
    """
    if "url" in changes:
        _check(changes["url"])
    with unit_of_work() as uow:
        endpoint = _found(uow, endpoint_id)
        was_enabled = endpoint.enabled
        for name, value in changes.items():
            setattr(endpoint, name, value)
        if endpoint.enabled:
            endpoint.disabled_reason = None
            if not was_enabled:
                endpoint.after = head()
            if not was_enabled or "url" in changes:
                reopen(uow, endpoint)
        elif was_enabled:
            endpoint.disabled_reason = "operator"
            endpoint.turn_at = None
        audit.record(
            uow, "webhooks.endpoint_updated", endpoint_id=str(endpoint_id), changed=sorted(changes)
        )


def delete_endpoint(endpoint_id: UUID) -> None:
    """Remove an endpoint and its deliveries. Raises NotFound."""
    with unit_of_work() as uow:
        _found(uow, endpoint_id)
        uow.session.execute(
            delete(Endpoint)
            .where(Endpoint.id == endpoint_id)
            .execution_options(synchronize_session=False)
        )
        audit.record(uow, "webhooks.endpoint_deleted", endpoint_id=str(endpoint_id))


def unmatched(patterns: Sequence[str]) -> list[str]:
    """Those that mean no event of the plugins that are installed."""
    types = published()
    return [each for each in patterns if not any(wants([each], known) for known in types)]


def _found(uow: UnitOfWork, endpoint_id: UUID) -> Endpoint:
    endpoint = locked(uow, endpoint_id)
    if endpoint is None:
        raise NotFound
    return endpoint


def _check(url: str) -> None:
    try:
        check_url(url)
    except TargetRefused as refusal:
        raise InvalidInput.field("/url", f"The address {refusal}.") from None
