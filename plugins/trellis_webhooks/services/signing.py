"""Secrets, bodies and signatures of the Standard Webhooks specification (version 1, symmetric)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from trellis.api import utc_text

_PREFIX = "whsec_"
_SECRET_BYTES = 32


def new_secret() -> str:
    """A secret as receivers take it: ``whsec_`` and 32 random bytes in base64."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def body(event_type: str, occurred_at: datetime, data: Mapping[str, Any]) -> bytes:
    """What is sent: the same bytes in every attempt."""
    told = {"type": event_type, "timestamp": utc_text(occurred_at), "data": dict(data)}
    return json.dumps(told, separators=(",", ":")).encode()


def headers(
    event_id: UUID, timestamp: int, content: bytes, signed_by: Sequence[str]
) -> dict[str, str]:
    """The headers of one attempt; one signature for each secret, separated by spaces."""
    signed = f"{event_id}.{timestamp}.".encode() + content
    return {
        "content-type": "application/json",
        "webhook-id": str(event_id),
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{_sign(secret, signed)}" for secret in signed_by),
    }


def _sign(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
