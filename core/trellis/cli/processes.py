"""One process of each type; production runs as many as it needs, on any number of machines."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trellis.task import QUEUES, Queue

if TYPE_CHECKING:
    from flask import Flask

    from trellis.settings import Settings


@click.command()
def web() -> None:
    """Serve the API (WSGI, no streams)."""
    from trellis.servers import serve_web

    serve_web(_listening(_started().extensions["trellis"].settings.core))


@click.command()
def stream() -> None:
    """Serve event streams."""
    from trellis.servers import serve_stream

    serve_stream(_listening(_started().extensions["trellis"].settings.core))


@click.command()
def front() -> None:
    """Serve the API and event streams at one address; for a laptop."""
    from trellis.loader.phases import select_plugins
    from trellis.servers import serve_front

    serve_front(_listening(select_plugins().settings.core))


@click.command()
@click.argument("queue", type=click.Choice(QUEUES))
def worker(queue: Queue) -> None:
    """Run durable work of one class: light or heavy."""
    from trellis.jobs.pool import run_forked
    from trellis.jobs.worker import run_worker

    app = _started(schema=True)
    # Somebody has to see it end, and to put another in its place when it has grown.
    sys.exit(run_forked(app, {queue: lambda: run_worker(app, queue)}))


@click.command()
def scheduler() -> None:
    """Insert what schedules make due, and wake workers for what nobody runs."""
    _schedule(_started(schema=True))


def prepared_file(data_dir: Path) -> Path:
    """Is there when `background` has prepared the database; `trellis serve` waits for it."""
    return data_dir / "prepared"


@click.command()
def background() -> None:
    """Prepare the database, then run both workers and the scheduler; for a laptop."""
    from trellis.app import create_app
    from trellis.contracts import Identity, port_or_none
    from trellis.db import migrations
    from trellis.jobs.pool import run_forked
    from trellis.jobs.worker import run_worker
    from trellis.local.operator import ensure_operator
    from trellis.start import require_start

    app = create_app()
    data_dir: Path = app.extensions["trellis"].settings.core.data_dir
    with app.app_context():
        migrations.upgrade()
        # Not in this process: what has used the storage once hangs on it after a fork.
        require_start(app)
        identity = port_or_none(Identity)
        if identity is not None:
            ensure_operator(identity, data_dir)
    prepared_file(data_dir).touch()
    runs = {
        "light": lambda: run_worker(app, "light"),
        "heavy": lambda: run_worker(app, "heavy"),
        "scheduler": lambda: _schedule(app),
    }
    sys.exit(run_forked(app, runs))


def _started(*, schema: bool = False) -> Flask:
    """The application, when all that it needs is there; with `schema`, also its tables."""
    from trellis.app import create_app
    from trellis.start import require_start

    app = create_app()
    require_start(app, schema=schema)
    return app


def _listening(core: Settings) -> Settings:
    """The settings, with the address of `host`; raises StartError when one cannot listen there."""
    from trellis.local.ports import require_port

    return core.model_copy(update={"host": require_port(core.host, core.port)})


def _schedule(app: Flask) -> None:
    from trellis.jobs.schedule import run_scheduler

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    run_scheduler(app, stop)
