"""``trellis jobs``: what waits, what failed, and another try."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

import click
from flask.ctx import AppContext

from trellis.errors import Conflict, NotFound
from trellis.task import QUEUES

AS_JSON = click.option("--json", "as_json", is_flag=True, help="As JSON.")
DEAD_OF = click.option("--task", metavar="NAME", help="All dead ones of this task.")
YES = click.option("--yes", is_flag=True, help="Do not ask.")


@click.group()
def jobs() -> None:
    """Look at durable work, retry it or drop it."""


@jobs.command("list")
@click.option("--state", type=click.Choice(["waiting", "running", "done", "dead"]))
@click.option("--task", metavar="NAME")
@click.option("--queue", type=click.Choice(QUEUES))
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@AS_JSON
def list_(as_json: bool, limit: int, **which: Any) -> None:
    """The newest jobs, with their errors."""
    from trellis.jobs import operate

    with _app():
        found = [dict(row._mapping) for row in operate.list_jobs(limit=limit, **which).items]
    if as_json:
        _dump([_plain(row) for row in found])
        return
    for row in found:
        click.echo(
            f"{row['id']}  {row['state']:<8}{row['attempts']:>3}  {row['due_at']:%Y-%m-%d %H:%M:%S}"
            f"  {row['task']}  {row['error'] or ''}".rstrip()
        )


@jobs.command()
@click.argument("job_id", type=click.UUID)
@AS_JSON
def show(job_id: UUID, as_json: bool) -> None:
    """One job with its arguments, which may concern a person."""
    from trellis.jobs import operate

    with _app():
        row = _plain(_told(lambda: operate.get_job(job_id))._mapping)
    if as_json:
        _dump(row)
    else:
        for name, value in row.items():
            click.echo(f"{name:<11} {json.dumps(value) if name == 'arguments' else value}")


@jobs.command()
@click.argument("job_id", type=click.UUID, required=False)
@DEAD_OF
@YES
def retry(job_id: UUID | None, task: str | None, yes: bool) -> None:
    """Have a dead or waiting job run now, with all its attempts before it again."""
    from trellis.jobs import operate

    _change("Retried", operate.retry_job, operate.retry_dead, job_id, task, yes)


@jobs.command()
@click.argument("job_id", type=click.UUID, required=False)
@DEAD_OF
@YES
def drop(job_id: UUID | None, task: str | None, yes: bool) -> None:
    """Forget a job that is not done."""
    from trellis.jobs import operate

    _change("Dropped", operate.drop_job, operate.drop_dead, job_id, task, yes)


@jobs.command()
@AS_JSON
def statistics(as_json: bool) -> None:
    """What waits, runs, fails and is dead, for each task."""
    from trellis.jobs import operate

    with _app():
        rows = [asdict(row) for row in operate.statistics()]
    if as_json:
        _dump(rows)
        return
    click.echo(f"{'task':<40}{'waiting':>9}{'delayed':>9}{'running':>9}{'failing':>9}{'dead':>7}")
    for row in rows:
        figures = "".join(f"{row[name]:>9}" for name in ("waiting", "delayed", "running"))
        click.echo(f"{row['task']:<40}{figures}{row['failing']:>9}{row['dead']:>7}")


def _change(
    done: str,
    one: Callable[[UUID], None],
    all_of: Callable[[str], int],
    job_id: UUID | None,
    task: str | None,
    yes: bool,
) -> None:
    if (job_id is None) == (task is None):
        raise click.UsageError("name either one job or --task")
    if task is not None and not yes:
        click.confirm(f"All dead jobs of {task}?", abort=True)
    with _app():
        if job_id is not None:
            identity = job_id
            _told(lambda: one(identity))
            click.echo(f"{done}: {identity}")
        elif task is not None:
            click.echo(f"{done}: {all_of(task)}")


def _told(call: Callable[[], Any]) -> Any:
    """What cannot be done is told in a sentence."""
    try:
        return call()
    except NotFound:
        raise click.ClickException(
            "There is no such job; what is done is kept for a day."
        ) from None
    except Conflict as refusal:
        raise click.ClickException(str(refusal)) from None


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value if value is None or isinstance(value, dict | int) else str(value)
        for name, value in row.items()
        if not name.startswith("_")
    }


def _dump(value: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
    click.echo(json.dumps(value, indent=2))


def _app() -> AppContext:
    from trellis.app import create_app
    from trellis.db import migrations
    from trellis.db.base import db

    app = create_app()
    with app.app_context(), db.engine.connect() as connection:
        migrations.refuse_half_restored(connection)
    return app.app_context()
