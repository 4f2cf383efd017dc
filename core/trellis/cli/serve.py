"""``trellis serve``: on a laptop everything at once, in production one web process."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from trellis.local.child import ProcessSpec
    from trellis.settings import Settings

OPERATOR = "operator@trellis.local"


@click.command()
def serve() -> None:
    """Run Trellis: on a laptop everything at once, in production one web process."""
    from trellis.loader.phases import select_plugins
    from trellis.servers import serve_web

    core = select_plugins().settings.core
    if core.environment == "production":
        serve_web(core)
    else:
        _serve_laptop(core)


def _serve_laptop(core: Settings) -> None:
    from trellis.local.broker import Broker
    from trellis.local.ports import require_port, require_writable
    from trellis.local.supervisor import Supervisor

    require_writable(core.data_dir)
    require_port(core.host, core.port)
    with Broker(core.data_dir, core.redis_url).supervised() as broker:
        Supervisor([broker, *_processes(core)], on_ready=lambda: _tell(core)).run()


def _prepare(core: Settings) -> None:
    """Bring the database up to date and make the first operator."""
    from trellis.app import create_app
    from trellis.contracts import Identity, port_or_none
    from trellis.db import migrations

    with create_app().app_context():
        migrations.upgrade()
        identity = port_or_none(Identity)
        if identity is not None:
            identity.ensure_operator(OPERATOR, _operator_password(core.data_dir))


def _operator_password(data_dir: Path) -> str:
    """The first operator's password, made at the first start."""
    path = operator_password_file(data_dir)
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{secrets.token_urlsafe(18)}\n")
    return path.read_text().strip()


def operator_password_file(data_dir: Path) -> Path:
    """Where the password of a laptop's first operator is kept."""
    return data_dir / "operator-password"


def _processes(core: Settings) -> list[list[ProcessSpec]]:
    from trellis.local.child import ProcessSpec
    from trellis.local.supervisor import answers

    def trellis(*command: str) -> list[str]:
        return [sys.executable, "-m", "trellis", *command]

    # Once, when the broker runs and nothing else does.
    prepare = cache(lambda: _prepare(core))
    health = answers(f"{core.local_url}/health/live")
    # One directory, so that /metrics tells of every process; but of the heavy worker's forks, which
    # would each leave files there.
    env = {"PROMETHEUS_MULTIPROC_DIR": str(_fresh(core.data_dir / "metrics"))}
    return [
        [
            ProcessSpec("light", trellis("worker", "light"), env, before=prepare),
            ProcessSpec("heavy", trellis("worker", "heavy")),
        ],
        [ProcessSpec("scheduler", trellis("scheduler"), env)],
        [ProcessSpec("web", trellis("front"), env, ready=health)],
    ]


def _fresh(directory: Path) -> Path:
    """An empty directory: the counters of processes that have ended stay in their files."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


def _tell(core: Settings) -> None:
    at = core.base_url
    rows = {
        "Service": at,
        "API documentation": f"{at}/docs",
        "Mailbox": f"{at}/local/mailbox",
        "Pushes": f"{at}/local/push",
        "First operator": f"{OPERATOR}, password in {operator_password_file(core.data_dir)}",
    }
    width = max(map(len, rows))
    click.echo("\nTrellis is ready.\n")
    for name, value in rows.items():
        click.echo(f"  {name:<{width}}  {value}")
    click.echo("\n  Try it:  make demo  (or: trellis demo)     Stop it:  Ctrl-C\n")
