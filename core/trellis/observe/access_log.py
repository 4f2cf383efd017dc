"""One line for each request. All have the same few fields, so most of the machinery is passed by.

Through structlog and the standard library a line costs more than many an answer.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

import structlog

from trellis.observe.logs import json_handler, mask_secrets

_NAME = "trellis.access"

log = structlog.get_logger(_NAME)


def log_request(*, quiet: bool, **fields: Any) -> None:
    """Write the line of a request that was answered; `quiet` is for what machines ask for."""
    level = logging.DEBUG if quiet else logging.INFO
    if not logging.getLogger().isEnabledFor(level):
        return
    handler = json_handler()
    if handler is None:  # somebody else listens, or the lines are for people
        log.log(level, "request", **fields)
        return
    bound = structlog.contextvars.get_contextvars()
    line = {
        **mask_secrets(log, "", {**bound, **fields}),
        "event": "request",
        "logger": _NAME,
        "level": "debug" if quiet else "info",
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }
    handler.write_line(json.dumps(line, default=repr))
