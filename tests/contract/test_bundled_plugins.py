"""The bundled plugins hold what every plugin must hold, and use only what a stranger's may use."""

from __future__ import annotations

from trellis.testing import PluginContract


class TestAuth(PluginContract):
    plugin = "auth"


class TestMedia(PluginContract):
    plugin = "media"


class TestNotifications(PluginContract):
    plugin = "notifications"


class TestAnalytics(PluginContract):
    plugin = "analytics"


class TestWebhooks(PluginContract):
    plugin = "webhooks"
