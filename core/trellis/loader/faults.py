"""What can be wrong with a plugin, told with its name, version, phase and cause."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

Phase = Literal[
    "discover", "check", "configure", "models", "services", "routes", "tasks", "events",
    "commands", "ready",
]  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """One reason why the application cannot start."""

    plugin: str
    version: str
    phase: Phase
    cause: str


class LoadError(Exception):
    """Everything that is wrong with the installed plugins."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        super().__init__(self.table())

    def table(self) -> str:
        """The faults as an aligned text table."""
        rows = [("PLUGIN", "VERSION", "PHASE", "CAUSE")]
        rows += [(f.plugin, f.version, f.phase, f.cause) for f in self.faults]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = [
            "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]])
            for row in rows
        ]
        return "\n".join(lines)


class Faults:
    """Gathers faults; a plugin that has one is left out of the later phases."""

    def __init__(self) -> None:
        self.list: list[Fault] = []
        self.plugins: set[str] = set()

    def add(self, plugin: str, version: str, phase: Phase, cause: str) -> None:
        """Note a fault, as one line."""
        self.list.append(Fault(plugin, version, phase, " ".join(cause.split())))
        self.plugins.add(plugin)

    @contextmanager
    def catching(self, plugin: str, version: str, phase: Phase) -> Iterator[None]:
        """Turn whatever a plugin's own code raises into a fault of that plugin."""
        try:
            yield
        except PluginFaultError as error:
            self.add(plugin, version, phase, str(error))
        except (Exception, SystemExit) as error:  # noqa: BLE001 (a stranger's code raises whatever it likes)
            self.add(plugin, version, phase, f"{type(error).__name__}: {error}")


class PluginFaultError(Exception):
    """A plugin breaks a rule of the contract; the message is the whole cause."""
