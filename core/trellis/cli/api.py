"""``trellis api``: what the installed operations are made of."""

from __future__ import annotations

from typing import Any

import click


@click.group()
def api() -> None:
    """Look at the installed operations."""


@api.command()
def report() -> None:
    """Show what is compiled, where marshmallow works and why, and what is deprecated."""
    from trellis.api.requests import EXTENSION
    from trellis.app import create_app

    operations = create_app().extensions[EXTENSION].operations.values()
    for operation in sorted(operations, key=lambda one: one.operation_id):
        click.echo(operation.operation_id)
        if (deprecation := operation.deprecation) is not None:
            over = " Its sunset has passed: remove it." if deprecation.is_over() else ""
            click.echo(f"  {deprecation.sentence()}{over}")
        for part, schema in operation.schemas:
            told = _told(part, schema)
            click.echo(f"  {part:<8} {told[0]}")
            for line in told[1:]:
                click.echo(f"           {line}")


def _told(part: str, schema: Any) -> list[str]:
    from marshmallow import Schema

    from trellis.api.arguments import decoder_of
    from trellis.api.documentation import as_schema
    from trellis_schemas.answers import by_marshmallow

    instance = as_schema(schema)
    if not isinstance(instance, Schema):
        return ["no schema"]
    if part.isdigit():
        reasons = list(by_marshmallow(instance))
    else:
        decoder = decoder_of(schema, part)
        reasons = [("", f"read from {part}")] if decoder is None else list(decoder.reasons)
    if not reasons:
        return ["compiled"]
    if reasons[0][0] == "":
        return [f"marshmallow: {reasons[0][1]}"]
    return ["compiled, but for", *(f"{pointer}  {why}" for pointer, why in reasons)]
