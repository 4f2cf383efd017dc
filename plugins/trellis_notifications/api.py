"""Routes: the caller's inbox, and the devices that get the caller's pushes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from trellis.api import Blueprint, cached_response, current_principal
from trellis.contracts import Principal
from trellis.errors import Conflict, NotFound
from trellis.paging import Page
from trellis_notifications import services
from trellis_notifications.schemas import (
    DeviceRegistrationSchema,
    DeviceSchema,
    InstallationSchema,
    MessageFilterSchema,
    MessageSchema,
    UnreadCountSchema,
)

blueprint = Blueprint(
    "notifications", __name__, description="The caller's inbox and the devices that get pushes."
)


def _tags(caller: Principal, **_: UUID) -> Iterable[str]:
    return [services.inbox_tag(caller.id)]


@blueprint.route("/messages")
@blueprint.access(user=True)
@blueprint.arguments(MessageFilterSchema, location="query", as_kwargs=True)
@cached_response(tags=_tags, seconds=300)
@blueprint.paginated(MessageSchema)
def list_messages(*, unread: bool, cursor: str | None, limit: int) -> Page[Any]:
    """List the messages of the inbox, the newest first."""
    user_id = current_principal().id
    return services.list_messages(user_id, unread=unread, cursor=cursor, limit=limit)


@blueprint.route("/unread-count")
@blueprint.access(user=True)
@cached_response(tags=_tags, seconds=300)
@blueprint.response(200, UnreadCountSchema)
def count_unread() -> dict[str, int]:
    """Count the unread messages of the inbox."""
    return {"unread": services.unread_count(current_principal().id)}


@blueprint.route("/messages/<uuid:message_id>")
@blueprint.access(user=True)
@blueprint.errors(NotFound)
@cached_response(tags=_tags, seconds=300)
@blueprint.response(200, MessageSchema)
def get_message(message_id: UUID) -> Any:
    """Get one message of the inbox."""
    return services.get_message(current_principal().id, message_id)


@blueprint.route("/messages/<uuid:message_id>/read", methods=["POST"])
@blueprint.access(user=True)
@blueprint.errors(NotFound)
@blueprint.response(204)
def mark_message_read(message_id: UUID) -> None:
    """Mark a message as read; what was read stays read."""
    services.mark_read(current_principal().id, message_id)


@blueprint.route("/devices/<installation_id>", methods=["PUT"])
@blueprint.access(user=True)
@blueprint.errors(Conflict)
@blueprint.arguments(InstallationSchema, location="path", as_kwargs=True)
@blueprint.arguments(DeviceRegistrationSchema)
@blueprint.response(200, DeviceSchema)
def register_device(body: dict[str, str], installation_id: str) -> Any:
    """Send the caller's pushes to an installation of the app.

    The push token then belongs to the caller alone: whoever else had it gets no more pushes there.
    """
    return services.register(
        current_principal(), installation_id, body["platform"], body["push_token"]
    )


@blueprint.route("/devices/<installation_id>", methods=["DELETE"])
@blueprint.access(user=True)
@blueprint.errors(NotFound)
@blueprint.arguments(InstallationSchema, location="path", as_kwargs=True)
@blueprint.response(204)
def unregister_device(installation_id: str) -> None:
    """Send no more pushes to an installation of the app."""
    services.unregister(current_principal().id, installation_id)
