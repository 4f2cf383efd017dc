"""``trellis auth``: what an operator of the machine can do about accounts."""

from __future__ import annotations

import sys

import click
from flask.cli import with_appcontext

from trellis.errors import InvalidInput
from trellis_auth import services


@click.group()
def cli() -> None:
    """Accounts and operators."""


@cli.command()
@click.argument("email")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@with_appcontext
def create_operator(email: str, password_stdin: bool) -> None:
    """Make an operator, who holds every permission. The address needs no verification."""
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    try:
        made = services.create_operator(email, password)
    except InvalidInput as refusal:
        faults = "; ".join(
            f"{fault['pointer'].strip('/')}: {fault['detail']}"
            for fault in refusal.extensions["errors"]
        )
        raise click.ClickException(faults) from None
    if not made:
        raise click.ClickException("that address has an account already")
    click.echo("Operator made.")
