"""One process of each type; production runs as many as it needs, on any number of machines."""

from __future__ import annotations

import signal
import threading

import click

from trellis.jobs.declaration import QUEUES, Queue


@click.command()
def web() -> None:
    """Serve the API (WSGI, no streams)."""
    from trellis.loader.phases import select_plugins
    from trellis.servers import serve_web

    serve_web(select_plugins().settings.core)


@click.command()
def stream() -> None:
    """Serve event streams."""
    from trellis.loader.phases import select_plugins
    from trellis.servers import serve_stream

    serve_stream(select_plugins().settings.core)


@click.command()
def front() -> None:
    """Serve the API and event streams at one address; for a laptop."""
    from trellis.loader.phases import select_plugins
    from trellis.servers import serve_front

    serve_front(select_plugins().settings.core)


@click.command()
@click.argument("queue", type=click.Choice(QUEUES))
def worker(queue: Queue) -> None:
    """Run durable work of one class: light or heavy."""
    from trellis.app import create_app
    from trellis.jobs.worker import run_worker

    run_worker(create_app(), queue)


@click.command()
def scheduler() -> None:
    """Insert what schedules make due, and wake workers for what nobody runs."""
    from trellis.app import create_app
    from trellis.jobs.schedule import run_scheduler

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    run_scheduler(create_app(), stop)
