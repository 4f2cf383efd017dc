"""``trellis openapi``: the document of exactly what is installed."""

from __future__ import annotations

import click


@click.command()
def openapi() -> None:
    """Print the OpenAPI document as JSON."""
    from trellis.api import export_openapi
    from trellis.app import create_app

    click.echo(export_openapi(create_app()), nl=False)
