"""The commands: print the document, judge it, compare it with a released one."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def openapi() -> None:
    """Print, check and compare the OpenAPI document."""


@openapi.command()
def export() -> None:
    """Print the OpenAPI document of exactly what is installed."""
    from trellis.api import export_openapi
    from trellis.app import create_app

    click.echo(export_openapi(create_app()), nl=False)


@openapi.command()
def check() -> None:
    """Hold the document against OpenAPI 3.1 and our rules; exit code 1 for a fault."""
    from trellis.errors import StartError

    if find_spec("openapi_spec_validator") is None:
        raise StartError("A validator is needed: pip install 'trellis-backend[openapi]'.")
    from trellis_openapi.rules import faults

    found = faults(_installed())
    for fault in found:
        click.echo(fault)
    click.echo(f"{len(found)} fault(s) in the document", err=True)
    sys.exit(bool(found))


@openapi.command()
@click.argument("base", type=FILE)
@click.argument("head", type=FILE, required=False)
def diff(base: Path, head: Path | None) -> None:
    """Tell what has changed since BASE; exit code 1 when a client may break.

    BASE and HEAD are files as `trellis openapi export` writes them; without HEAD it is what is
    installed.
    """
    from trellis_openapi.comparison import compare
    from trellis_openapi.nodes import BadDocument, read

    try:
        changes = compare(read(base), read(head) if head else _installed())
    except BadDocument as fault:
        raise click.UsageError(str(fault)) from fault
    except RecursionError:
        raise click.UsageError("a document is nested too deep to be compared") from None
    for change in changes:
        click.echo(change)
    breaks = sum(change.breaks for change in changes)
    click.echo(f"{len(changes)} change(s), {breaks} of which may break a client", err=True)
    sys.exit(bool(breaks))


def _installed() -> dict[str, Any]:
    from trellis.api.requests import EXTENSION
    from trellis.app import create_app

    document: dict[str, Any] = create_app().extensions[EXTENSION].document()
    return document
