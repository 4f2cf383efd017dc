"""JSON in and out: what two parsers could read differently is refused, not guessed.

Refused: text that is not UTF-8, duplicate keys, NaN and infinities, numbers beyond 64 bits, nesting
deeper than `MAX_DEPTH`, and strings with NUL or lone surrogates, which no database stores.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, is_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Never
from uuid import UUID

MAX_DEPTH = 64
_INT64 = 2**63


def strict_loads(data: str | bytes) -> Any:
    """Parse JSON. Raises ValueError with a sentence that may be shown to the caller."""
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        value = json.loads(
            text,
            object_pairs_hook=_unique_keys,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_int64,
        )
    except UnicodeDecodeError:
        raise ValueError("The body is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at line {error.lineno} column {error.colno}.") from None
    except RecursionError:
        raise ValueError("The body is nested too deeply.") from None
    # Nesting cannot be deeper than the number of brackets, and only an escape can smuggle in a NUL
    # or a lone surrogate: the ordinary body needs no walk.
    if text.count("[") + text.count("{") > MAX_DEPTH or "\\u" in text:
        _check(value)
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("An object of the body has the same key twice.")
    return members


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is not JSON.")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("A number of the body is too large.")
    return number


def _int64(digits: str) -> int:
    if len(digits) <= 20:  # longer ones are out of range, and slow to convert
        number = int(digits)
        if -_INT64 <= number < _INT64:
            return number
    raise ValueError("A number of the body is too large.")


def _check(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        deeper: list[Any] = []
        for item in level:
            if isinstance(item, str):
                _check_text(item)
            elif isinstance(item, list):
                deeper.extend(item)
            elif isinstance(item, dict):
                deeper.extend(item)
                deeper.extend(item.values())
        if not deeper:
            return
        level = deeper
    raise ValueError("The body is nested too deeply.")


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise ValueError("A string of the body contains NUL.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("A string of the body contains half a character.") from None


def plain(value: Any) -> Any:
    """`default` of `json.dumps`: what stands for a value that JSON has no form for.

    Raises TypeError, and ValueError for a naive datetime.
    """
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal | UUID):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def to_json(value: Any) -> bytes:
    """UTF-8 with times in UTC ending in `Z`. Raises TypeError and ValueError for what is none."""
    return json.dumps(
        value,
        default=plain,
        ensure_ascii=False,
        allow_nan=False,
        separators=(",", ":"),
    ).encode()


def utc_text(moment: datetime) -> str:
    """RFC 3339 in UTC: `2026-01-31T12:00:00.5Z`. Raises ValueError for a naive datetime."""
    if moment.tzinfo is None:
        raise ValueError("a datetime without time zone was about to be sent")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
