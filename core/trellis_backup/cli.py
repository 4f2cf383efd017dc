"""``trellis backup``: sets of database, objects and configuration."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from trellis_backup.manifest import Manifest
    from trellis_backup.target import Target

TARGET = click.argument("target", metavar="TARGET")
SET = click.argument("set_id", metavar="[SET]", required=False)


@click.group()
def backup() -> None:
    """Make, look at and restore backup sets: database, objects and configuration."""


@backup.command()
@TARGET
@click.option("--with-secrets", is_flag=True, help="Put secrets of the settings in; sealed only.")
def create(target: str, *, with_secrets: bool) -> None:
    """Make a set, while the service runs; objects that the target has are not copied again."""
    with _opened(target) as place:
        from trellis_backup.create import create

        made = create(place, with_secrets=with_secrets)
        found = made.manifest
        click.echo(_line(found))
        click.echo(f"{made.copied} new object(s) copied; all that was acknowledged before")
        click.echo(f"{found.point.isoformat()} (the database's clock) is in it.")
        _tell_left_out(found)


@backup.command(name="list")
@TARGET
def list_(target: str) -> None:
    """Show the sets, the oldest first; exit code 1 when one of them cannot be read."""
    with _opened(target) as place:
        from trellis_backup.manifest import Manifest, manifests, set_ids

        set_ids(place)
        failed = False
        for set_id, found in manifests(place):
            if isinstance(found, Manifest):
                click.echo(_line(found))
            else:
                failed = True
                click.echo(f"{set_id}  {found}")
    sys.exit(failed)


@backup.command()
@TARGET
@SET
@click.option("--scratch", metavar="URL", help="An empty database to use, instead of making one.")
def verify(target: str, set_id: str | None, scratch: str | None) -> None:
    """Load a set (the newest) into a scratch database and check all of it; exit code 1: broken."""
    with _opened(target) as place:
        from trellis_backup.manifest import chosen
        from trellis_backup.verify import verify

        found = chosen(place, set_id)
        click.echo(_line(found))
        broken = 0
        for what, wrong in verify(place, found, scratch):
            broken += wrong is not None
            click.echo(f"{'broken' if wrong else 'good':<7} {what}{f': {wrong}' if wrong else ''}")
        _tell_left_out(found)
    sys.exit(bool(broken))


@backup.command()
@TARGET
@SET
@click.option("--replace", is_flag=True, help="Replace what database and storage hold.")
def restore(target: str, set_id: str | None, *, replace: bool) -> None:
    """Put a set (the newest) back into an empty installation, while nothing of Trellis runs."""
    with _opened(target) as place:
        from trellis_backup.manifest import chosen
        from trellis_backup.restore import restore

        done = restore(place, chosen(place, set_id), replace=replace)
        click.echo(f"restored  {_line(done.manifest)}")
        click.echo(f"{done.sessions_ended} session(s) ended: everybody signs in anew.")
        click.echo(f"{done.erased_again} person(s) erased again who had left since.")
        if done.unfinished:
            click.echo(f"Still to be erased when the service runs: {', '.join(done.unfinished)}.")
        if not done.cache_cleared:
            click.echo("The cache did not answer: clear it, or wait an hour before you start.")
        _tell_left_out(done.manifest)


@backup.command()
@TARGET
@SET
def secrets(target: str, set_id: str | None) -> None:
    """Print the secrets of a set (the newest) that was made with them, as variables."""
    with _opened(target) as place:
        from trellis_backup.errors import BackupError
        from trellis_backup.manifest import chosen

        found = chosen(place, set_id)
        if found.secrets is None:
            raise BackupError(f"set {found.id} was made without secrets.")
        for name, value in found.secrets.items():
            click.echo(f"{name}={value}")


@contextmanager
def _opened(address: str) -> Iterator[Target]:
    from trellis.app import create_app
    from trellis_backup.target import Target

    app = create_app()
    with app.app_context():
        yield Target(app.extensions["trellis"].settings.core, address)


def _line(found: Manifest) -> str:
    rows = sum(table.rows for table in found.tables)
    size = sum(table.size for table in found.tables) + found.objects.total
    return (
        f"{found.id}  {found.dialect}  {rows} rows  {found.objects.count} objects  "
        f"{size / 1e6:.1f} MB  Trellis {found.trellis}"
    )


def _tell_left_out(found: Manifest) -> None:
    if found.left_out:
        click.echo(f"NOT in it, because switched off: tables of {', '.join(found.left_out)}.")
