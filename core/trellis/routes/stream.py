"""The operation ``GET /v1/stream`` as the document and Flask's rules see it."""

from __future__ import annotations

from flask import Response, request

from trellis.api import Blueprint, current_principal
from trellis.errors import InvalidInput, ServiceUnavailable
from trellis.stream.asgi import CURSOR, FULL, PRINCIPAL

_LAST_EVENT_ID = {
    "in": "header",
    "name": "Last-Event-ID",
    "required": False,
    "schema": {"type": "string", "pattern": "^[0-9]{0,18}$"},
    "description": "`id` of the last event that arrived; without it the stream begins now.",
}
_HEADERS = {
    "Cache-Control": "no-store",
    # nginx would otherwise hold entries back until its buffer is full
    "X-Accel-Buffering": "no",
    # a process that stops would otherwise wait for clients that may ask something else
    "Connection": "close",
}

blueprint = Blueprint("core", __name__, mount="/v1", description="Streams and erasures.")


@blueprint.route("/stream", parameters=[_LAST_EVENT_ID])
@blueprint.access(user=True)
@blueprint.errors(InvalidInput, ServiceUnavailable)
@blueprint.response(
    200,
    {"type": "string"},
    description="An endless stream of events.",
    content_type="text/event-stream",
    example="id: 41\nevent: media.asset_ready/1\ndata: {}\n\n",
)
def open_stream() -> Response:
    """Follow what happens, as Server-Sent Events.

    Each entry's `id` is the cursor: sent back as `Last-Event-ID` after a disconnect, it resumes
    without a gap. `event` is the type, such as `media.asset_ready/1`; `data` is a JSON object.
    """
    environ = request.environ
    if PRINCIPAL not in environ:
        raise ServiceUnavailable("Streams are served by stream processes; this is a web process.")
    if environ[FULL]:
        raise ServiceUnavailable("This process holds as many streams as it may.", retry_after=5)
    environ[CURSOR] = _cursor(request.headers.get("Last-Event-ID"))
    environ[PRINCIPAL] = current_principal()
    return Response(iter(()), headers=_HEADERS, content_type="text/event-stream; charset=utf-8")


def _cursor(last_event_id: str | None) -> int | None:
    if not last_event_id:
        return None
    if not last_event_id.isdecimal() or len(last_event_id) > 18:
        raise InvalidInput.field("/Last-Event-ID", "is no id of this stream", location="header")
    return int(last_event_id)
