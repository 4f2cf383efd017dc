"""The command group: the core's commands, each plugin's under the plugin's name, and added ones.

Nothing is imported before a command needs it: ``trellis --help`` stays quick.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

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
    "plugins": "trellis.cli.plugins",
    "config": "trellis.cli.config",
    "openapi": "trellis.cli.openapi",
}
GROUP = "trellis.commands"


class Commands(click.Group):
    """Looks commands up when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        added = [entry.name for entry in entry_points(group=GROUP)]
        plugins = [entry.name for entry in entry_points(group="trellis.plugins")]
        return [*_COMMANDS, *sorted(set(added) | set(plugins))]

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
            return command.get_short_help_str() if command else ""
        return f"Commands of {name}."


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


def main() -> Any:
    """Run the command line; what stops a start is told in sentences, with exit code 2."""
    from trellis.loader.faults import LoadError
    from trellis.local.errors import StartError
    from trellis.settings import SettingsError

    try:
        return cli(prog_name="trellis")
    except SettingsError as error:
        for fault in error.faults:
            click.echo(f"trellis: {fault}", err=True)
    except LoadError as error:
        click.echo(f"trellis: {len(error.faults)} fault(s) in plugins\n{error.table()}", err=True)
    except StartError as error:
        click.echo(f"trellis: {error}", err=True)
    sys.exit(2)
