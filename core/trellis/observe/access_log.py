"""One line for each request. All have the same few fields, so most of the machinery is passed by.

Through structlog and the standard library a line costs more than many an answer.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from trellis.observe.logs import json_handler, mask_secrets

_NAME = "trellis.access"

log = structlog.get_logger(_NAME)
_root = logging.getLogger()
_encode = msgspec.json.Encoder(enc_hook=repr).encode


def log_request(bound: Mapping[str, Any], *, quiet: bool, **fields: Any) -> None:
    """Write the line of a request that was answered; `quiet` is for what machines ask for.

    `bound` is what code that ran for the request wants to stand on each of its lines.
    """
    level = logging.DEBUG if quiet else logging.INFO
    if not _root.isEnabledFor(level):
        return
    handler = json_handler()
    if handler is None:  # somebody else listens, or the lines are for people
        log.log(level, "request", **{**bound, **fields})
        return
    line = {
        **mask_secrets(log, "", dict(bound)),
        **fields,
        "event": "request",
        "logger": _NAME,
        "level": "debug" if quiet else "info",
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }
    handler.write_line(_encode(line).decode())
