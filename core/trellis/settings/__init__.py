"""Typed settings: defaults in code, then TOML files, then TRELLIS_* variables, then secret files.

Unknown keys are errors, secrets are never shown, and every value knows where it came from.
"""

from __future__ import annotations

from trellis.settings.describe import describe
from trellis.settings.load import (
    LoadedSettings,
    SettingsError,
    load_settings,
    read_plugin_selection,
)
from trellis.settings.model import LocalOnly, PluginSelection, PluginSettings, Settings
from trellis.settings.secret_key import development_secret

__all__ = [
    "LoadedSettings",
    "LocalOnly",
    "PluginSelection",
    "PluginSettings",
    "Settings",
    "SettingsError",
    "describe",
    "development_secret",
    "load_settings",
    "read_plugin_selection",
]
