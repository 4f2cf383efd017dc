"""``trellis db``: migrations of the core and of each plugin."""

from __future__ import annotations

import sys

import click
from flask.ctx import AppContext

PLUGIN = click.option("--plugin", "owner", metavar="NAME", help="One plugin, or 'core'.")


@click.group()
def db() -> None:
    """Bring the database to the installed version, or look at it."""


@db.command()
@PLUGIN
def upgrade(owner: str | None) -> None:
    """Apply what is pending: the core first, then plugins in load order."""
    with _app():
        from trellis.db import migrations

        migrations.upgrade(_known(owner))
        _show()


@db.command()
@click.option("--plugin", "owner", metavar="NAME", required=True, help="The plugin, or 'core'.")
@click.argument("revision", default="-1")
def downgrade(owner: str, revision: str) -> None:
    """Take one owner's newest revision back, or go to REVISION (base: its tables go)."""
    with _app():
        from trellis.db import migrations

        migrations.downgrade(str(_known(owner)), revision)
        _show()


@db.command()
def status() -> None:
    """Current and newest revision of each owner; exit code 1 when something is pending."""
    with _app():
        from trellis.db import migrations
        from trellis.db.base import db

        _show()
        with db.engine.connect() as connection:
            migrations.refuse_half_restored(connection)
        if any(owner.pending for owner in migrations.status()):
            sys.exit(1)


@db.command()
@PLUGIN
def check(owner: str | None) -> None:
    """Compare models with migrations; exit code 1 when they differ."""
    with _app():
        from trellis.db import migrations

        differences = {
            name: drift
            for name in ([str(_known(owner))] if owner else migrations.owners())
            if (drift := migrations.drift(name))
        }
    for name, drift in differences.items():
        click.echo(f"{name}: {drift}")
    sys.exit(bool(differences))


@db.command()
@click.option("--plugin", "owner", metavar="NAME", required=True, help="The plugin, or 'core'.")
@click.argument("message")
def revise(owner: str, message: str) -> None:
    """Write a revision from what differs between an owner's models and the database."""
    with _app():
        from trellis.db import migrations

        migrations.revise(str(_known(owner)), message)


def _app() -> AppContext:
    from trellis.app import create_app
    from trellis.start import require_database

    app = create_app()
    require_database(app)
    return app.app_context()


def _known(owner: str | None) -> str | None:
    from trellis.db import migrations

    if owner is not None and owner not in migrations.owners():
        raise click.BadParameter(f"{owner!r} owns no migrations", param_hint="--plugin")
    return owner


def _show() -> None:
    from trellis.db import migrations

    for owner in migrations.status():
        state = f"pending: {owner.head}" if owner.pending else "up to date"
        if not owner.known:
            state = "newer than this code, which works on it"
        click.echo(f"{owner.owner:<20} {owner.current or '-':<16} {state}")
