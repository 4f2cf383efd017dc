"""``trellis storage``: which storage is this installation's."""

from __future__ import annotations

import click


@click.group()
def storage() -> None:
    """Say which object storage is this installation's."""


@storage.command()
@click.confirmation_option(
    prompt="Every process that still uses another storage will refuse to serve. Go on?"
)
def adopt() -> None:
    """Make the storage that is set the installation's, after its objects were moved there."""
    from trellis.app import create_app
    from trellis.settings import Settings
    from trellis.start import require_database
    from trellis.storage import core_storage
    from trellis.storage.mark import adopt as mark

    app = create_app()
    require_database(app)
    with app.app_context():
        mark(core_storage())
        click.echo(f"{Settings.current().storage_url} is the storage of this installation now.")
