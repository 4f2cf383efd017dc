"""Finds the load scenarios: those that the plugins bring, the journey, and the reference.

A plugin brings the module that it names in the entry-point group ``trellis.perf``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from importlib.metadata import entry_points
from types import ModuleType

from locust import FastHttpUser, User, constant_pacing, task

from trellis_perf.figures import REFERENCE
from trellis_perf.journey import Journey

GROUP = "trellis.perf"


class Reference(FastHttpUser):
    """Asks for almost nothing, ten times a second throughout: what other times are multiples of."""

    fixed_count = 1
    wait_time = constant_pacing(0.1)
    connection_timeout = network_timeout = 10.0

    @task
    def live(self) -> None:
        """The cheapest request that passes through the whole web stack."""
        self.client.get("/health/live", name=REFERENCE)


def user_classes(plugins: Collection[str], *, mailbox: bool) -> list[type[User]]:
    """The users for a server with these plugins; the journey needs its local mailbox."""
    found: list[type[User]] = [Reference, *([Journey] if mailbox else [])]
    for entry in sorted(entry_points(group=GROUP)):
        if entry.name in plugins:
            found += _users_of(entry.load())
    names = [user.__name__ for user in found]
    if double := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two load scenarios are called {', '.join(sorted(double))}")
    return found


def _users_of(module: ModuleType) -> Iterator[type[User]]:
    for value in vars(module).values():
        if (
            isinstance(value, type)
            and issubclass(value, User)
            and not value.abstract
            and value.__module__ == module.__name__
        ):
            yield value
