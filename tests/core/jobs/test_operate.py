"""What an operator sees of durable work and does about it, over HTTP and by command."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from trellis.cli.jobs import jobs
from trellis.db import database_now, fetch_all
from trellis.errors import Permanent
from trellis.observe.audit import AuditEntry
from trellis.outbox.lease import claim_any
from trellis.outbox.models import OutboxRow
from trellis.unit_of_work import unit_of_work

UNKNOWN = "/v1/jobs/00000000-0000-7000-8000-000000000000"


@pytest.fixture
def operator(as_operator: Callable[..., Any]) -> Any:
    return as_operator("core.jobs")


@pytest.fixture
def enqueue(app: Flask, declare_task: Any) -> Callable[..., None]:
    """``enqueue(name, function, **options)``: declares it as often as it is named anew."""

    def enqueue(task: str, *, delay: float = 0.0, **arguments: Any) -> None:
        with app.app_context(), unit_of_work() as uow:
            uow.enqueue(task, delay=delay, **arguments)

    return enqueue


@pytest.fixture
def broken(declare_task: Any) -> str:
    """A task that is given up at once, until it is mended."""

    def broken(name: str = "") -> None:
        if not mended:
            raise Permanent("the printer is on fire")

    mended: list[bool] = []
    broken.__dict__["mended"] = mended
    return str(declare_task(broken))


def _mend(app: Flask, task: str) -> None:
    app.extensions["trellis"].tasks[task].function.mended.append(True)


def _items(client: FlaskClient, headers: Any, query: str = "") -> list[dict[str, Any]]:
    answer = client.get(f"/v1/jobs{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.get_json()["items"]
    return items


def _audited(app: Flask) -> list[tuple[str, dict[str, Any]]]:
    with app.app_context():
        rows = fetch_all(select(AuditEntry.action, AuditEntry.details).order_by(AuditEntry.id))
    return [(row.action, row.details) for row in rows if row.action.startswith("core.job")]


def test_the_list_tells_states_and_errors_but_no_arguments(
    client: FlaskClient, operator: Any, enqueue: Any, broken: str, run_tasks: Any, declare_task: Any
) -> None:
    enqueue(broken, name="Ada")
    run_tasks(failures=True)
    enqueue(declare_task(lambda: None), delay=60)
    waiting, dead = _items(client, operator)
    assert (waiting["state"], dead["state"]) == ("waiting", "dead")
    assert dead["task"] == broken
    assert dead["error"] == "Permanent: the printer is on fire"
    assert dead["priority"] == "normal"
    assert "arguments" not in dead
    shown = client.get(f"/v1/jobs/{dead['id']}", headers=operator)
    assert shown.get_json()["arguments"] == {"name": "Ada"}


def test_the_list_is_filtered_and_paged(
    client: FlaskClient, operator: Any, enqueue: Any, broken: str, run_tasks: Any, declare_task: Any
) -> None:
    enqueue(broken)
    run_tasks(failures=True)
    other = declare_task(lambda: None, queue="heavy")
    for _ in range(3):
        enqueue(other, delay=60)
    assert [job["task"] for job in _items(client, operator, "?state=dead")] == [broken]
    assert len(_items(client, operator, "?queue=heavy")) == 3
    assert len(_items(client, operator, f"?task={broken}")) == 1
    assert _items(client, operator, "?state=running") == []
    seen: list[str] = []
    query = "?limit=2"
    while query:
        page = client.get(f"/v1/jobs{query}", headers=operator).get_json()
        seen += [job["id"] for job in page["items"]]
        query = page["next_cursor"] and f"?limit=2&cursor={page['next_cursor']}"
    assert len(seen) == len(set(seen)) == 4
    assert seen == sorted(seen, reverse=True)
    assert client.get("/v1/jobs?state=lost", headers=operator).status_code == 422


def test_a_dead_job_is_retried_with_all_attempts_before_it(
    app: Flask, client: FlaskClient, operator: Any, enqueue: Any, broken: str, run_tasks: Any
) -> None:
    enqueue(broken)
    run_tasks(failures=True)
    (dead,) = _items(client, operator, "?state=dead")
    _mend(app, broken)
    assert client.post(f"/v1/jobs/{dead['id']}/retry", headers=operator).status_code == 204
    assert app.extensions["trellis"].redis.llen("rq:queue:trellis-light") == 1
    assert run_tasks() == [broken]
    (done,) = _items(client, operator, "?state=done")
    assert (done["id"], done["attempts"]) == (dead["id"], 1)
    assert _audited(app) == [("core.job_retried", {"job": dead["id"], "task": broken})]
    again = client.post(f"/v1/jobs/{dead['id']}/retry", headers=operator)
    assert again.status_code == 409


def test_all_dead_jobs_of_a_task_are_retried_or_dropped(
    app: Flask, client: FlaskClient, operator: Any, enqueue: Any, broken: str, run_tasks: Any
) -> None:
    for _ in range(3):
        enqueue(broken)
    run_tasks(failures=True)
    retried = client.post("/v1/jobs/retry", json={"task": broken}, headers=operator)
    assert retried.json == {"count": 3}
    assert run_tasks(failures=True) == [broken] * 3
    dropped = client.post("/v1/jobs/drop", json={"task": broken}, headers=operator)
    assert dropped.json == {"count": 3}
    assert _items(client, operator) == []
    assert [action for action, _ in _audited(app)] == ["core.jobs_retried", "core.jobs_dropped"]


def test_a_running_job_that_is_dropped_keeps_no_effect(
    app: Flask, client: FlaskClient, operator: Any, enqueue: Any, declare_task: Any
) -> None:
    from trellis.jobs.run import run

    enqueue(declare_task(lambda: None))
    with app.app_context():
        held = claim_any("light")
    assert held is not None
    (running,) = _items(client, operator, "?state=running")
    assert client.post(f"/v1/jobs/{running['id']}/retry", headers=operator).status_code == 409
    assert client.delete(f"/v1/jobs/{running['id']}", headers=operator).status_code == 204
    with app.app_context():
        assert run(held).outcome == "lease_lost"
    assert _items(client, operator) == []


def test_statistics(
    app: Flask,
    client: FlaskClient,
    operator: Any,
    enqueue: Any,
    broken: str,
    run_tasks: Any,
    declare_task: Any,
) -> None:
    enqueue(broken)
    run_tasks(failures=True)
    idle = declare_task(lambda: None, priority="high")
    for delay in (0.0, 0.0, 60.0):
        enqueue(idle, delay=delay)
    with app.app_context(), unit_of_work() as uow:
        uow.session.execute(
            update(OutboxRow)
            .where(OutboxRow.task == idle, OutboxRow.due_at <= database_now())
            .values(due_at=database_now(-90))
        )
    answer = client.get("/v1/jobs/statistics", headers=operator).get_json()
    of_broken, of_idle = sorted(answer["tasks"], key=lambda each: each["dead"], reverse=True)
    assert (of_broken["dead"], of_broken["waiting"]) == (1, 0)
    assert (of_idle["waiting"], of_idle["delayed"], of_idle["running"]) == (2, 1, 0)
    assert 90 <= of_idle["oldest_seconds"] < 150
    text = client.get("/metrics").text
    assert f'trellis_jobs_waiting{{queue="light",task="{idle}"}} 2.0' in text
    assert f'trellis_jobs_dead{{queue="light",task="{broken}"}} 1.0' in text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/jobs"),
        ("GET", "/v1/jobs/statistics"),
        ("GET", UNKNOWN),
        ("DELETE", UNKNOWN),
        ("POST", f"{UNKNOWN}/retry"),
        ("POST", "/v1/jobs/retry"),
        ("POST", "/v1/jobs/drop"),
    ],
)
def test_only_whoever_may_gets_through(
    client: FlaskClient, as_user: Any, as_operator: Any, method: str, path: str
) -> None:
    body: dict[str, Any] = (
        {"json": {"task": "core.x"}} if path.endswith(("jobs/retry", "jobs/drop")) else {}
    )
    assert client.open(path, method=method, **body).status_code == 401
    for caller in (as_user(), as_operator("analytics.read")):
        assert client.open(path, method=method, headers=caller, **body).status_code == 403
    allowed = client.open(path, method=method, headers=as_operator("core.jobs"), **body)
    assert allowed.status_code == (404 if UNKNOWN in path else 200)


def test_operators_have_the_permission_of_the_core(app: Flask) -> None:
    from trellis.contracts import every_permission

    with app.app_context():
        assert {"core.jobs", "analytics.read"} <= every_permission()


# --- by command -----------------------------------------------------------------------------------


@pytest.fixture
def trellis_jobs(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setattr("trellis.app.create_app", lambda: app)
    return lambda *arguments, **options: CliRunner().invoke(jobs, arguments, **options)


def test_the_commands(
    app: Flask, trellis_jobs: Any, enqueue: Any, broken: str, run_tasks: Any
) -> None:
    for _ in range(2):
        enqueue(broken, name="Ada")
    run_tasks(failures=True)
    listed = trellis_jobs("list", "--state", "dead")
    assert listed.output.count("Permanent: the printer is on fire") == 2
    assert "Ada" not in listed.output
    first, second = json.loads(trellis_jobs("list", "--json").output)
    assert json.loads(trellis_jobs("show", first["id"], "--json").output)["arguments"] == {
        "name": "Ada"
    }
    assert '{"name": "Ada"}' in trellis_jobs("show", first["id"]).output
    assert json.loads(trellis_jobs("statistics", "--json").output)[0]["dead"] == 2
    assert broken in trellis_jobs("statistics").output
    assert trellis_jobs("drop", first["id"]).output == f"Dropped: {first['id']}\n"
    asked = trellis_jobs("retry", "--task", broken, input="n\n")
    assert asked.exit_code == 1
    assert trellis_jobs("retry", "--task", broken, "--yes").output == "Retried: 1\n"
    _mend(app, broken)
    assert run_tasks() == [broken]
    told = trellis_jobs("retry", second["id"])
    assert (told.exit_code, told.output) == (1, "Error: The job is done.\n")


def test_what_is_not_there_or_not_said(trellis_jobs: Any) -> None:
    unknown = str(UUID(int=0))
    for command in ("show", "retry", "drop"):
        told = trellis_jobs(command, unknown)
        assert (told.exit_code, told.output) == (
            1,
            "Error: There is no such job; what is done is kept for a day.\n",
        )
    assert trellis_jobs("drop").exit_code == 2
    assert trellis_jobs("retry", unknown, "--task", "core.x").exit_code == 2
