"""Routes for operators: endpoints, and the log of what they were sent."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from trellis.api import Blueprint, current_principal
from trellis.db import Found
from trellis.errors import NotFound
from trellis.paging import Page
from trellis_webhooks import services
from trellis_webhooks.errors import EndpointNotEnabled, TooManyEndpoints, TooManySecrets
from trellis_webhooks.schemas import (
    CreatedEndpointSchema,
    DeliveryDetailSchema,
    DeliveryFilterSchema,
    DeliverySchema,
    EndpointSchema,
    NewEndpointSchema,
    RotatedSecretSchema,
    RotationSchema,
)

blueprint = Blueprint(
    "webhooks", __name__, description="Other systems that are told what happens, by webhooks."
)


@blueprint.route("/endpoints", methods=["POST"])
@blueprint.access(permission="webhooks.manage")
@blueprint.errors(TooManyEndpoints)
@blueprint.arguments(NewEndpointSchema, as_kwargs=True)
@blueprint.response(201, CreatedEndpointSchema)
def create_endpoint(**endpoint: Any) -> Any:
    """Make an endpoint; the answer shows its secret, this once.

    It is told of what happens from now on.
    """
    endpoint_id, secret = services.create_endpoint(current_principal().id, **endpoint)
    return {**_shown(services.get_endpoint(endpoint_id)), "secret": secret}


@blueprint.route("/endpoints")
@blueprint.access(permission="webhooks.manage")
@blueprint.paginated(EndpointSchema)
def list_endpoints(*, cursor: str | None, limit: int) -> Page[Any]:
    """List the endpoints, the oldest first."""
    page = services.list_endpoints(cursor=cursor, limit=limit)
    return Page([_shown(row) for row in page.items], page.next_cursor)


@blueprint.route("/endpoints/<uuid:endpoint_id>")
@blueprint.access(permission="webhooks.manage")
@blueprint.errors(NotFound)
@blueprint.response(200, EndpointSchema)
def get_endpoint(endpoint_id: UUID) -> Any:
    """Get one endpoint."""
    return _shown(services.get_endpoint(endpoint_id))


@blueprint.route("/endpoints/<uuid:endpoint_id>", methods=["PATCH"])
@blueprint.access(permission="webhooks.manage")
@blueprint.errors(NotFound)
@blueprint.if_match(get_endpoint)
@blueprint.merge_patch(NewEndpointSchema)
@blueprint.response(200, EndpointSchema)
def update_endpoint(changes: dict[str, Any], endpoint_id: UUID) -> Any:
    """Change an endpoint, or enable it again.

    Enabled again, it is told of what happens from now on, and of what has been waiting for it.
    """
    services.update_endpoint(endpoint_id, changes)
    return _shown(services.get_endpoint(endpoint_id))


@blueprint.route("/endpoints/<uuid:endpoint_id>", methods=["DELETE"])
@blueprint.access(permission="webhooks.manage")
@blueprint.errors(NotFound)
@blueprint.if_match(get_endpoint)
@blueprint.response(204)
def delete_endpoint(endpoint_id: UUID) -> None:
    """Remove an endpoint, and all that is known of its deliveries."""
    services.delete_endpoint(endpoint_id)


@blueprint.route("/endpoints/<uuid:endpoint_id>/rotate", methods=["POST"])
@blueprint.access(permission="webhooks.manage")
@blueprint.errors(NotFound, TooManySecrets)
@blueprint.arguments(RotationSchema, as_kwargs=True)
@blueprint.response(200, RotatedSecretSchema)
def rotate_secret(endpoint_id: UUID, overlap_hours: int) -> Any:
    """Give an endpoint a new secret, beside which those before it sign for a while."""
    secret = services.rotate_secret(endpoint_id, overlap_hours)
    return {**_shown(services.get_endpoint(endpoint_id)), "secret": secret}


@blueprint.route("/endpoints/<uuid:endpoint_id>/test", methods=["POST"])
@blueprint.access(permission="webhooks.manage")
@blueprint.errors(NotFound, EndpointNotEnabled)
@blueprint.response(202, DeliveryDetailSchema)
def test_endpoint(endpoint_id: UUID) -> Any:
    """Send an event `webhooks.test/1` to an endpoint; the delivery tells what came of it."""
    return services.get_delivery(services.send_test(endpoint_id))


@blueprint.route("/deliveries")
@blueprint.access(permission="webhooks.manage")
@blueprint.arguments(DeliveryFilterSchema, location="query", as_kwargs=True)
@blueprint.paginated(DeliverySchema)
def list_deliveries(
    *, endpoint_id: UUID | None, state: str | None, cursor: str | None, limit: int
) -> Page[Any]:
    """List the deliveries, the newest first."""
    return services.list_deliveries(
        endpoint_id=endpoint_id, state=state, cursor=cursor, limit=limit
    )


@blueprint.route("/deliveries/<uuid:delivery_id>")
@blueprint.access(permission="webhooks.manage")
@blueprint.errors(NotFound)
@blueprint.response(200, DeliveryDetailSchema)
def get_delivery(delivery_id: UUID) -> Any:
    """Get one delivery, with what it tells and every attempt."""
    return services.get_delivery(delivery_id)


@blueprint.route("/deliveries/<uuid:delivery_id>/redeliver", methods=["POST"])
@blueprint.access(permission="webhooks.manage")
@blueprint.errors(NotFound, EndpointNotEnabled)
@blueprint.response(202, DeliveryDetailSchema)
def redeliver(delivery_id: UUID) -> Any:
    """Send a delivery again, with the same `webhook-id`, whatever became of it."""
    services.redeliver(delivery_id)
    return services.get_delivery(delivery_id)


def _shown(endpoint: Found) -> dict[str, Any]:
    return {**endpoint._mapping, "unmatched": services.unmatched(endpoint.events)}
