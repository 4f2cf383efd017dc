from __future__ import annotations

from trellis.testing import PluginContract


class TestAuth(PluginContract):
    plugin = "auth"
