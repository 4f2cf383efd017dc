"""The kit with which plugins are tested: fixtures, rows of API calls, and the plugin contract.

Installing Trellis makes the fixtures of `trellis.testing.plugin` known to pytest: ``app``,
``client``, ``app_context``, ``as_user``, ``as_operator``, ``run_tasks``, ``outbox``, ``feed`` and
``check``.
"""

from trellis.testing.contract import PluginContract
from trellis.testing.scenario import Scenario

__all__ = ["PluginContract", "Scenario"]
