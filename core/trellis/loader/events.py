"""Events phase: names for what is published, and a task for each listener."""

from __future__ import annotations

import re
from collections.abc import Callable
from uuid import UUID

from trellis.events import Envelope, Event
from trellis.feed.reader import event as stored_event
from trellis.loader.faults import PluginFaultError
from trellis.loader.rooms import resolve
from trellis.runtime import LoadedPlugin, Runtime
from trellis.task import Options, Task


def register_published(runtime: Runtime, plugin: LoadedPlugin) -> None:
    """Give each published event its type: ``AssetReady`` of media is ``media.asset_ready/1``."""
    for reference in plugin.plugin.publishes:
        event = resolve(plugin, reference)
        if not (isinstance(event, type) and issubclass(event, Event)):
            raise PluginFaultError(f"{reference!r} is not an event")
        runtime.event_types[event] = f"{plugin.name}.{_snake(event.__name__)}/{event.version}"


def register_subscribed(
    runtime: Runtime, plugin: LoadedPlugin, installed: list[LoadedPlugin]
) -> None:
    """Make a task of each listener.

    An event of a plugin that is not installed is no fault: it is never published. An event that its
    installed publisher does not know, or knows in another version, is one.
    """
    names = {other.name for other in installed}
    for event_type, reference in plugin.plugin.subscribes.items():
        publisher = event_type.partition(".")[0]
        if publisher in names and event_type not in runtime.event_types.values():
            raise PluginFaultError(
                f"subscribes to {event_type!r}, which {publisher} does not publish"
            )
        listener = resolve(plugin, reference)
        name = f"{plugin.name}.{reference.partition(':')[2]}"
        if name in runtime.tasks:
            raise PluginFaultError(f"listener {name!r} has the name of a task")
        runtime.tasks[name] = Task(name, _deliver(listener), Options())
        runtime.listeners.setdefault(event_type, []).append(name)


def _deliver(listener: Callable[[Envelope], None]) -> Callable[[str], None]:
    def deliver(event_id: str) -> None:
        stored = stored_event(UUID(event_id))
        # An event that is gone was erased together with the person whom it concerned.
        if stored is not None:
            listener(Envelope(stored.event_id, stored.type, stored.payload, stored.created_at))

    return deliver


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
