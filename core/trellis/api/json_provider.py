"""The application's JSON, for Flask."""

from __future__ import annotations

from typing import Any

from flask.json.provider import DefaultJSONProvider

from trellis_schemas.strict_json import plain, strict_loads


class StrictJSON(DefaultJSONProvider):
    """Strict in, and out as UTF-8 with UTC times ending in `Z`."""

    sort_keys = False
    ensure_ascii = False
    compact = True
    default = staticmethod(plain)

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        kwargs.setdefault("separators", (",", ":"))
        return super().dumps(obj, allow_nan=False, **kwargs)

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return strict_loads(s)
