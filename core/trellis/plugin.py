"""The contract between Trellis and a plugin: one declared class, found through one entry point.

Reading the class imports nothing else of the plugin: every reference to a room is a string
(``"services:messenger"`` is attribute ``messenger`` of the plugin's ``services`` module) that the
loader resolves and checks in its phases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from flask import Flask

CORE_VERSION = "1.0.0"
"""Version of this contract (PEP 440); a plugin states the range it supports in ``Plugin.core``."""


@dataclass(frozen=True)
class Permission:
    """Something a principal may be allowed to do; ``name`` is ``<plugin>.<verb>``."""

    name: str
    title: str


@dataclass(frozen=True)
class Every:
    """Run ``task`` at each whole multiple of the interval since the epoch (UTC)."""

    task: str
    seconds: int = 0
    minutes: int = 0
    hours: int = 0

    @property
    def interval(self) -> int:
        """The interval in seconds."""
        return self.seconds + 60 * self.minutes + 3600 * self.hours


@dataclass(frozen=True)
class Cron:
    """Run ``task`` at the times of a five-field cron expression, read in UTC."""

    task: str
    expression: str


@dataclass(frozen=True)
class PersonalData:
    """Where a plugin gives out and erases what it holds of one person.

    ``export(user_id: UUID)`` reads and returns a mapping of JSON values. ``erase(user_id: UUID)``
    runs in a unit of work, may run twice, and returns a mapping of what it erased to how many.
    """

    export: str
    erase: str


CORE_PERMISSIONS = (Permission("core.jobs", "Look at durable work, retry it and drop it"),)
"""What the core's own routes require."""


class Plugin:
    """Subclass, fill in the attributes, name the class in entry-point group ``trellis.plugins``.

    The first line of the docstring is the plugin's title.
    """

    name: ClassVar[str]
    """``[a-z][a-z0-9]{1,30}``: prefix of URL, table, task, permission, setting, event, code."""
    core: ClassVar[str]
    """PEP 440 specifier that `CORE_VERSION` must meet, such as ``">=1.0,<2"``."""
    requires: ClassVar[tuple[str, ...]] = ()
    """Plugins that must be there, ``"billing>=1.2"``, and are loaded first. Prefer ``uses``."""
    settings: ClassVar[str | None] = None
    permissions: ClassVar[tuple[Permission, ...]] = ()
    uses: ClassVar[tuple[type[Any], ...]] = ()
    """Ports of `trellis.contracts` that this plugin cannot do without."""
    wants: ClassVar[tuple[type[Any], ...]] = ()
    """Ports that it uses when somebody provides them."""
    provides: ClassVar[Mapping[type[Any], str]] = {}
    """Port to the function that makes its provider; called once, when the application starts."""
    publishes: ClassVar[tuple[str, ...]] = ()
    subscribes: ClassVar[Mapping[str, str]] = {}
    """Event type with version (``"media.asset_ready/1"``) to a function of ``listeners``."""
    follows: ClassVar[str | None] = None
    """A task of the plugin, without arguments, that runs whenever the feed has grown."""
    public_tags: ClassVar[tuple[str, ...]] = ()
    """Kinds of cache tags, ``"media.asset"`` of ``media.asset:<id>``, that a CDN may know.

    Public answers that carry no others may be kept there until one of them is invalidated.
    """
    personal_data: ClassVar[PersonalData | None] = None
    mounts: ClassVar[tuple[str, ...]] = ()
    """Root paths outside ``/v1/<name>`` that an open protocol prescribes."""
    schedules: ClassVar[tuple[Every | Cron, ...]] = ()

    def setup(self, app: Flask) -> None:
        """Last resort for what the attributes cannot say; runs once, at the end of the start."""
