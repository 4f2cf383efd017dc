"""``trellis plugins``: what is installed and whether it would start."""

from __future__ import annotations

import click


@click.group()
def plugins() -> None:
    """Look at the installed plugins."""


@plugins.command(name="list")
def list_() -> None:
    """Show each installed plugin: name, version, title, state."""
    from importlib.metadata import entry_points

    from trellis.settings import read_plugin_selection

    selection = read_plugin_selection()
    for entry in sorted(entry_points(group="trellis.plugins"), key=lambda entry: entry.name):
        left_out = entry.name in selection.disabled or (
            selection.only is not None and entry.name not in selection.only
        )
        version = entry.dist.version if entry.dist else "-"
        title = "" if left_out else _title(entry.load())
        state = "disabled" if left_out else "enabled"
        click.echo(f"{entry.name:<20} {version:<12} {state:<9} {title}".rstrip())


@plugins.command()
def check() -> None:
    """Go through the phases of start without serving; exit code 2 and a table of faults."""
    from trellis.app import create_app

    loaded = create_app().extensions["trellis"].plugins
    names = ", ".join(loaded) or "none"
    click.echo(f"{len(loaded)} plugin(s) would start: {names}")


def _title(plugin: object) -> str:
    return (getattr(plugin, "__doc__", None) or "").strip().partition("\n")[0]
