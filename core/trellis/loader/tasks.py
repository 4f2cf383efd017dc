"""Tasks phase: the declared tasks of each plugin, and when they run by themselves."""

from __future__ import annotations

import inspect
from types import ModuleType

from croniter import croniter

from trellis.loader.faults import PluginFaultError
from trellis.loader.rooms import room
from trellis.plugin import Cron, Every
from trellis.runtime import LoadedPlugin, Runtime
from trellis.task import Task, options_of


def register(runtime: Runtime, plugin: LoadedPlugin) -> None:
    """Import ``tasks.py``; every schedule names one of its tasks, and so does ``follows``."""
    module = room(plugin, "tasks")
    if module is not None:
        register_module(runtime, plugin.name, module)
    register_schedules(runtime, plugin.name, plugin.plugin.schedules)
    if plugin.plugin.follows is not None:
        register_follower(runtime, plugin.name, plugin.plugin.follows)


def register_module(runtime: Runtime, owner: str, module: ModuleType) -> None:
    """Register the declared tasks of a module under its owner's name."""
    for name, candidate in vars(module).items():
        options = options_of(candidate)
        if options is not None and candidate.__module__.startswith(module.__name__):
            full_name = f"{owner}.{name}"
            runtime.tasks[full_name] = Task(full_name, candidate, options)


def register_schedules(runtime: Runtime, owner: str, schedules: tuple[Every | Cron, ...]) -> None:
    """Take schedules over; each names a task that its owner declares."""
    for schedule in schedules:
        if not schedule.task.startswith(f"{owner}.") or schedule.task not in runtime.tasks:
            raise PluginFaultError(f"schedules task {schedule.task!r}, which it does not declare")
        _check_times(schedule)
        runtime.schedules.append(schedule)


def register_follower(runtime: Runtime, owner: str, name: str) -> None:
    """Take over the task that follows the feed; its owner declares it, without arguments."""
    if not name.startswith(f"{owner}.") or name not in runtime.tasks:
        raise PluginFaultError(f"follows the feed by {name!r}, which it does not declare")
    if inspect.signature(runtime.tasks[name].function).parameters:
        raise PluginFaultError(f"follows the feed by {name!r}, which takes arguments")
    runtime.followers.append(name)


def _check_times(schedule: Every | Cron) -> None:
    """A schedule without times would end every scheduler's round, and so everybody's schedules."""
    if isinstance(schedule, Every):
        if schedule.interval < 1:
            raise PluginFaultError(f"schedules {schedule.task!r} every {schedule.interval} seconds")
    elif len(schedule.expression.split()) != 5 or not croniter.is_valid(schedule.expression):
        raise PluginFaultError(
            f"schedules {schedule.task!r} by {schedule.expression!r}, which is no cron expression"
        )
