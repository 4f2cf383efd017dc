"""What one application has loaded. Lives in ``app.extensions["trellis"]``, filled by the loader."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast

from flask import current_app

if TYPE_CHECKING:
    import click
    from redis import Redis

    from trellis.events import Event
    from trellis.plugin import Cron, Every, Plugin
    from trellis.settings import LoadedSettings
    from trellis.task import Queue, Task


@dataclass
class LoadedPlugin:
    """A plugin that passed every phase so far."""

    plugin: Plugin
    package: str
    version: str

    @property
    def name(self) -> str:
        """The plugin's one name."""
        return self.plugin.name


@dataclass
class PersonalDataRooms:
    """A plugin's resolved ``personal_data`` functions."""

    export: Callable[..., Mapping[str, Any]]
    erase: Callable[..., Mapping[str, int]]


class Announcer(Protocol):
    """Tells those whom a commit concerns; see `trellis.jobs.announcer`."""

    def announce(self, work: Sequence[Queue], *, feed: bool) -> None:
        """Wake those who run the work, and those who follow the ``feed`` when it has grown."""

    def settle(self, within: float = ...) -> None:
        """Wait until all is told, for so many seconds at most: this process is about to end."""


@dataclass
class Runtime:
    """Everything that the core looks up while it runs."""

    settings: LoadedSettings
    redis: Redis
    redis_url: str
    announcer: Announcer = field(init=False)
    plugins: dict[str, LoadedPlugin] = field(default_factory=dict)
    ports: dict[type[Any], object] = field(default_factory=dict)
    providers: dict[type[Any], str] = field(default_factory=dict)
    """Port to the name of the plugin (or "core") that provides it."""
    tasks: dict[str, Task] = field(default_factory=dict)
    event_types: dict[type[Event], str] = field(default_factory=dict)
    """Event class to wire type, ``media.asset_ready/1``."""
    listeners: dict[str, list[str]] = field(default_factory=dict)
    """Wire type to the names of the listener tasks."""
    followers: list[str] = field(default_factory=list)
    """Names of the tasks that run whenever the feed has grown."""
    schedules: list[Every | Cron] = field(default_factory=list)
    commands: dict[str, click.Command] = field(default_factory=dict)
    personal_data: dict[str, PersonalDataRooms] = field(default_factory=dict)
    public_tags: set[str] = field(default_factory=set)
    """Kinds of cache tags that caches in front of us may know."""


def runtime() -> Runtime:
    """The runtime of the current application (needs an application context)."""
    return cast("Runtime", current_app.extensions["trellis"])
