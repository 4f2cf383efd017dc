from __future__ import annotations

from trellis.testing import PluginContract


class TestContract(PluginContract):
    plugin = "media"
