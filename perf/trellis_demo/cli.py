"""``trellis demo``: the journey, shown step by step against a running Trellis."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click


@click.command()
@click.option("--url", help="Address of the service; by default the one that the settings say.")
def demo(url: str | None) -> None:
    """Walk through everything that a phone does, against a running Trellis."""
    import httpx2

    from trellis.errors import StartError
    from trellis.loader.phases import select_plugins
    from trellis.local.operator import OPERATOR, password_file
    from trellis_demo.journey import walk

    core = select_plugins().settings.core
    at = url or core.local_url
    try:
        httpx2.get(f"{at}/health/live", timeout=5).raise_for_status()
    except httpx2.HTTPError:
        raise StartError(f"Nothing answers at {at}: start it with `trellis serve`.") from None
    password = password_file(core.data_dir)
    if not password.exists():
        raise StartError(f"The demo signs in as the operator, but there is no {password}.")
    try:
        walk(at, (OPERATOR, password.read_text().strip()), step)
    except (AssertionError, TimeoutError, httpx2.HTTPError) as error:
        raise StartError(f"The journey ended: {error}") from error
    click.echo(f"\nLook at what it made:\n  {at}/local/mailbox\n  {at}/local/push\n  {at}/docs\n")


@contextmanager
def step(title: str) -> Iterator[list[str]]:
    """Show a step when it is done, with how long it took and what it found."""
    findings: list[str] = []
    started = time.perf_counter()
    # A terminal shows the step while it runs; a file gets it when it is done.
    again = "\r" if sys.stdout.isatty() else ""
    if again:
        click.echo(f"  … {title}", nl=False)
    try:
        yield findings
    except BaseException:
        click.echo(f"{again}  ✗ {title}")
        raise
    click.echo(f"{again}  ✓ {title}  ({(time.perf_counter() - started) * 1000:.0f} ms)")
    for finding in findings:
        click.echo(f"      {finding}")
