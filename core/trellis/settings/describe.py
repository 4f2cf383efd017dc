"""What `trellis config show` prints: every value with its source, and no secret."""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic import BaseModel

from trellis.settings.load import LoadedSettings
from trellis.settings.masking import shown
from trellis.settings.sources import leaves


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


def _value_at(settings: BaseModel, key: str) -> Any:
    value: Any = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value
