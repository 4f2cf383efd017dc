"""The routes of the guestbook."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from trellis.api import Blueprint, current_principal
from trellis.errors import NotFound
from trellis.paging import Page

from trellis_guestbook import services
from trellis_guestbook.errors import TextTooLong
from trellis_guestbook.schemas import EntrySchema, NewEntrySchema

blueprint = Blueprint("guestbook", __name__, description="A guestbook.")

PUBLIC = "a guestbook lies open"


@blueprint.route("/entries")
@blueprint.access(public=PUBLIC)
@blueprint.paginated(EntrySchema)
def list_entries(*, cursor: str | None, limit: int) -> Page[Any]:
    """List the entries, the newest first."""
    return services.list_entries(cursor=cursor, limit=limit)


@blueprint.route("/entries", methods=["POST"])
@blueprint.access(user=True)
@blueprint.errors(TextTooLong)
@blueprint.arguments(NewEntrySchema, as_kwargs=True)
@blueprint.response(201, EntrySchema)
def write_entry(text: str) -> Any:
    """Write in the guestbook."""
    entry_id = services.write(current_principal().id, text)
    return services.get_entry(entry_id), {"Location": f"/v1/guestbook/entries/{entry_id}"}


@blueprint.route("/entries/<uuid:entry_id>")
@blueprint.access(public=PUBLIC)
@blueprint.errors(NotFound)
@blueprint.response(200, EntrySchema)
def get_entry(entry_id: UUID) -> Any:
    """Get one entry."""
    return services.get_entry(entry_id)


@blueprint.route("/entries/<uuid:entry_id>", methods=["DELETE"])
@blueprint.access(user=True)
@blueprint.errors(NotFound)
@blueprint.response(204)
def delete_entry(entry_id: UUID) -> None:
    """Take back what the caller wrote."""
    services.remove(entry_id, current_principal().id)


@blueprint.route("/moderated-entries/<uuid:entry_id>", methods=["DELETE"])
@blueprint.access(permission="guestbook.moderate")
@blueprint.errors(NotFound)
@blueprint.response(204)
def moderate_entry(entry_id: UUID) -> None:
    """Remove anybody's entry."""
    services.remove(entry_id)
