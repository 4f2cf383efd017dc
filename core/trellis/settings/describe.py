"""What `trellis config show` prints: every value with its source, and no secret."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

from pydantic import BaseModel, SecretBytes, SecretStr

from trellis.settings.load import LoadedSettings
from trellis.settings.sources import leaves

HIDDEN = "********"
_USER_PASSWORD = re.compile(r"(?<=://)([^/@:]*):[^/@]*@")
_QUERY_SECRET = re.compile(r"([?&][^=&]*(?:password|secret|token|key)[^=&]*=)[^&]*", re.IGNORECASE)


class SettingRow(NamedTuple):
    """One setting: dotted key, value fit to be shown, where it came from, what it is for."""

    key: str
    value: str
    source: str
    description: str


def describe(loaded: LoadedSettings) -> list[SettingRow]:
    """Every setting in force, the core's first; secrets and passwords in addresses are hidden."""
    sections: list[tuple[str, BaseModel]] = [("", loaded.core)]
    sections += [(f"{name}.", settings) for name, settings in sorted(loaded.plugins.items())]
    return [
        SettingRow(
            prefix + key,
            shown(_value_at(settings, key)),
            loaded.sources[prefix + key],
            info.description or "",
        )
        for prefix, settings in sections
        for key, info in leaves(type(settings))
    ]


def shown(value: Any) -> str:
    """A value as text, without what is secret in it."""
    if value is None:
        return "(unset)"
    plain = _without_secrets(value)
    return plain if isinstance(plain, str) else json.dumps(plain, default=str)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, SecretStr | SecretBytes):
        return HIDDEN
    if isinstance(value, str | PurePath):
        text = _USER_PASSWORD.sub(rf"\1:{HIDDEN}@", str(value))
        return _QUERY_SECRET.sub(rf"\1{HIDDEN}", text)
    if isinstance(value, BaseModel | Mapping):
        return {str(name): _without_secrets(part) for name, part in dict(value).items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_without_secrets(part) for part in value]
    return value


def _value_at(settings: BaseModel, key: str) -> Any:
    value: Any = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value
