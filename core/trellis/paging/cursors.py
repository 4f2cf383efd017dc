"""Cursors of lists: opaque to clients, and signed, so that none is read but what we made (E-10).

A cursor is base64url of a signature and the JSON list of the last row's keys. It belongs to lists
of one order, and lives as long as the key among `secret_keys` that signed it.
"""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Sequence
from typing import Any

from trellis.db.secret import derived_key
from trellis.runtime import runtime

_PURPOSE = b"trellis cursor signature 1"
_SIGNATURE_BYTES = 16


def seal(values: Sequence[Any], order: str) -> str:
    """The cursor that stands behind a row with these keys."""
    text = json.dumps(values, default=str, separators=(",", ":")).encode()
    signature = next(_signatures(text, order))
    return urlsafe_b64encode(signature + text).rstrip(b"=").decode()


def unseal(cursor: str, order: str) -> Any:
    """The keys of the row, as JSON holds them. Raises ValueError for what we did not make."""
    sealed = urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
    signature, text = sealed[:_SIGNATURE_BYTES], sealed[_SIGNATURE_BYTES:]
    if not any(hmac.compare_digest(signature, ours) for ours in _signatures(text, order)):
        raise ValueError("not signed by a key of this installation")
    return json.loads(text)


def _signatures(text: bytes, order: str) -> Iterator[bytes]:
    for key in runtime().settings.core.secret_keys:
        secret = derived_key(_PURPOSE, key.get_secret_value())
        yield hmac.digest(secret, order.encode() + b"\n" + text, "sha256")[:_SIGNATURE_BYTES]
