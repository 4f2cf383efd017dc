"""Notifications holds what every plugin must hold."""

from __future__ import annotations

from trellis.testing import PluginContract


class TestNotifications(PluginContract):
    plugin = "notifications"
