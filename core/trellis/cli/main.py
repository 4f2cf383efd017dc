"""The command group: the core's commands, each plugin's under the plugin's name, and added ones.

Nothing is imported before a command needs it: ``trellis --help`` stays quick.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec

import click

import trellis

# Command to the module that has it; the module's attribute has the command's name.
_COMMANDS = {
    "serve": "trellis.cli.serve",
    "web": "trellis.cli.processes",
    "stream": "trellis.cli.processes",
    "front": "trellis.cli.processes",
    "worker": "trellis.cli.processes",
    "scheduler": "trellis.cli.processes",
    "background": "trellis.cli.processes",
    "db": "trellis.cli.database",
    "jobs": "trellis.cli.jobs",
    "plugins": "trellis.cli.plugins",
    "config": "trellis.cli.config",
    "storage": "trellis.cli.storage",
    "cache": "trellis.cli.cache",
    "api": "trellis.cli.api",
}
_PROCESSES = ("trellis.cli.processes", "trellis.cli.serve")
GROUP = "trellis.commands"
_INTERRUPTED = 130  # as a shell says it


class Commands(click.Group):
    """Looks commands up when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        added = {entry.name for entry in entry_points(group=GROUP)}
        plugins = {e.name for e in entry_points(group="trellis.plugins") if _has_commands(e)}
        return [*_COMMANDS, *sorted(added | plugins)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _COMMANDS:
            command: click.Command = getattr(import_module(_COMMANDS[cmd_name]), cmd_name)
            return command
        for entry in entry_points(group=GROUP, name=cmd_name):
            added: click.Command = entry.load()
            return added
        if cmd_name in {entry.name for entry in entry_points(group="trellis.plugins")}:
            return _plugin_command(cmd_name)
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Core commands with their help; a plugin's are named without starting the application."""
        rows = [(name, self._short_help(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _short_help(self, ctx: click.Context, name: str) -> str:
        if name in _COMMANDS:
            command = self.get_command(ctx, name)
            return command.get_short_help_str(limit=80) if command else ""
        return f"Commands of {name}."


def _has_commands(entry: EntryPoint) -> bool:
    """Whether the plugin has a ``cli.py``; it is not imported."""
    package = entry.module.rpartition(".")[0]
    try:
        return find_spec(f"{package}.cli") is not None
    except ImportError:
        return False  # `trellis plugins check` tells what is wrong with it


def _plugin_command(name: str) -> click.Command | None:
    from flask.cli import ScriptInfo

    from trellis.app import create_app

    app = create_app()
    command: click.Command | None = app.extensions["trellis"].commands.get(name)
    if command is not None:
        # Flask's own convention: `with_appcontext` finds the application in the context's object.
        click.get_current_context().obj = ScriptInfo(create_app=lambda: app)
    return command


@click.group(cls=Commands)
@click.version_option(trellis.__version__, prog_name="trellis")
def cli() -> None:
    """Trellis: a self-hosted backend for mobile apps."""


def main() -> None:
    """Run the command line; what stops a start is told in sentences, with exit code 2."""
    # Python would look for garbage among all that was loaded, at the end, for half a second.
    atexit.register(gc.freeze)
    if any(_COMMANDS.get(word) in _PROCESSES for word in sys.argv[1:2]):
        # Told to end before it has begun, which takes seconds. An exception could be lost in them.
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    try:
        # Not standalone, which would say 'Aborted!' of Ctrl-C.
        sys.exit(cli(prog_name="trellis", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:  # by Ctrl-C, before what was begun has its own way to end
        sys.exit(_INTERRUPTED)
    except Exception as error:
        told = _sentences(error)
        if not told:
            raise
        for sentence in told:
            click.echo(f"trellis: {sentence}", err=True)
        sys.exit(2)


def _sentences(error: Exception) -> list[str]:
    """What a user is told of an error; nothing of one that is a fault of ours."""
    from alembic.util import CommandError
    from sqlalchemy.exc import DBAPIError

    from trellis.errors import StartError
    from trellis.loader.faults import LoadError
    from trellis.settings import SettingsError

    if isinstance(error, SettingsError):
        return error.faults
    if isinstance(error, LoadError):
        return [f"{len(error.faults)} fault(s) in plugins\n{error.table()}"]
    if isinstance(error, DBAPIError):
        return [f"the database refused: {error.orig} (is it there, and `trellis db upgrade` done?)"]
    return [str(error)] if isinstance(error, StartError | CommandError) else []
