"""``trellis serve``: on a laptop everything at once, in production one web process."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from trellis.local.child import ProcessSpec
    from trellis.settings import Settings


@click.command()
def serve() -> None:
    """Run Trellis: on a laptop everything at once, in production one web process."""
    from trellis.loader.phases import select_plugins

    core = select_plugins().settings.core
    if core.environment == "production":
        from trellis.cli.processes import web

        click.get_current_context().invoke(web)
    else:
        _serve_laptop(core)


def _serve_laptop(core: Settings) -> None:
    from trellis.local.broker import Broker
    from trellis.local.claims import locked
    from trellis.local.ports import require_port, require_writable
    from trellis.local.sessions import ORPHAN_GRACE
    from trellis.local.supervisor import Supervisor

    require_writable(core.data_dir)
    with (
        # Held by a supervisor alone: while it lives, there is nothing to wait for.
        locked(core.data_dir / "supervisor.lock", 0),
        # Our processes have it too: what a killed supervisor left has ended when we get it.
        locked(core.data_dir / "serve.lock", ORPHAN_GRACE + 1) as lock,
    ):
        require_port(core.host, core.port)
        with Broker(core.data_dir, core.redis_url).supervised() as broker:
            tiers = [broker, *_processes(core, lock)]
            Supervisor(tiers, on_ready=lambda: _tell(core)).run()


def _processes(core: Settings, lock: int) -> list[list[ProcessSpec]]:
    from trellis.cli.processes import prepared_file
    from trellis.local.child import ProcessSpec
    from trellis.local.supervisor import answers

    # One directory, so that /metrics tells of every process.
    env = {"PROMETHEUS_MULTIPROC_DIR": str(_fresh(core.data_dir / "metrics"))}
    prepared = prepared_file(core.data_dir)
    prepared.unlink(missing_ok=True)
    answering = answers(f"{core.local_url}/health/ready")
    trellis = [sys.executable, "-m", "trellis"]
    return [
        [ProcessSpec("background", [*trellis, "background"], env, pass_fds=[lock])],
        [
            ProcessSpec(
                "web",
                [*trellis, "front"],
                env,
                ready=lambda: prepared.exists() and answering(),
                pass_fds=[lock],
            )
        ],
    ]


def _fresh(directory: Path) -> Path:
    """An empty directory: the counters of processes that have ended stay in their files."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


def _tell(core: Settings) -> None:
    from trellis.local.operator import OPERATOR, password_file

    at = core.base_url
    rows = {
        "Service": at,
        "API documentation": f"{at}/docs",
        "Mailbox": f"{at}/local/mailbox",
        "Pushes": f"{at}/local/push",
        "First operator": f"{OPERATOR}, password in {password_file(core.data_dir)}",
    }
    width = max(map(len, rows))
    click.echo("\nTrellis is ready.\n")
    for name, value in rows.items():
        click.echo(f"  {name:<{width}}  {value}")
    click.echo("\n  Try it:  make demo  (or: trellis demo)     Stop it:  Ctrl-C\n")
