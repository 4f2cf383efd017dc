"""Values as they may be shown: in `trellis config show`, in a repr, in a log line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr

HIDDEN = "********"
# To the last @: a password that nobody encoded may hold a / or an @ itself.
_USER_PASSWORD = re.compile(r"(?<=://)([^/@:]*):\S*@")
_QUERY_SECRET = re.compile(r"([?&][^=&]*(?:password|secret|token|key)[^=&]*=)[^&]*", re.IGNORECASE)


def shown(value: Any) -> str:
    """A value as text, without what is secret in it."""
    if value is None:
        return "(unset)"
    plain = without_secrets(value)
    return plain if isinstance(plain, str) else json.dumps(plain, default=str)


def without_secrets(value: Any) -> Any:
    """The value as plain data; secrets, and passwords in addresses, are hidden."""
    if isinstance(value, SecretStr | SecretBytes):
        return HIDDEN
    if isinstance(value, str | PurePath):
        text = _USER_PASSWORD.sub(rf"\1:{HIDDEN}@", str(value))
        return _QUERY_SECRET.sub(rf"\1{HIDDEN}", text)
    if isinstance(value, BaseModel | Mapping):
        return {str(name): without_secrets(part) for name, part in dict(value).items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [without_secrets(part) for part in value]
    return value
