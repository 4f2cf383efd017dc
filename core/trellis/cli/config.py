"""``trellis config``: the settings in force and where each came from."""

from __future__ import annotations

import click


@click.group()
def config() -> None:
    """Look at the settings."""


@config.command()
def show() -> None:
    """Show each setting with its value and source; secrets are hidden."""
    from trellis.loader.phases import select_plugins
    from trellis.settings import describe

    rows = describe(select_plugins().settings)
    width = max(len(row.key) for row in rows)
    value_width = min(60, max(len(row.value) for row in rows))
    for row in rows:
        click.echo(f"{row.key:<{width}}  {row.value:<{value_width}}  {row.source}")
