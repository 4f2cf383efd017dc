"""Worker processes over the database and the broker of the application under test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from tests.core.jobs import crew
from tests.processes import until

from trellis.db import fetch_all
from trellis.observe.audit import AuditEntry
from trellis.outbox.models import OutboxRow
from trellis.unit_of_work import unit_of_work

ROOT = Path(__file__).parents[3]


class Crew:
    """Starts workers (see `crew`), gives them work and looks at what they did."""

    def __init__(self, app: Flask, directory: Path) -> None:
        self.app, self.directory = app, directory
        self._processes: list[subprocess.Popen[bytes]] = []
        self._log = directory / "crew.log"

    def start(self, kind: str, **environ: str) -> subprocess.Popen[bytes]:
        """Start one, in a process group of its own."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.core.jobs.crew", kind],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        self._processes.append(process)
        return process

    @property
    def said(self) -> str:
        """What all of them have said."""
        return self._log.read_text(errors="replace")

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL; what it forked for a heavy job goes on."""
        process.kill()
        process.wait()

    def close(self) -> None:
        """End what runs."""
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self._processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill(process)

    def enqueue(self, task: str, count: int = 1, **arguments: Any) -> None:
        """Ask for work; with a count above 1 its ``number`` goes from 0."""
        with self.app.app_context(), unit_of_work() as uow:
            for number in range(count):
                numbered: dict[str, Any] = {"number": number} if count > 1 else {}
                uow.enqueue(f"core.{task}", **numbered, **arguments)

    def rows(self, task: str) -> list[Any]:
        """The rows of a task."""
        with self.app.app_context():
            return list(
                fetch_all(
                    select(
                        OutboxRow.done_at,
                        OutboxRow.dead_at,
                        OutboxRow.error,
                        OutboxRow.attempts,
                        OutboxRow.fence,
                        OutboxRow.leased_until,
                    ).where(OutboxRow.task == f"core.{task}")
                )
            )

    def until_dead(self, task: str) -> str:
        """Wait until its one row is given up; the reason."""

        def reason() -> str | None:
            (row,) = self.rows(task)
            return str(row.error) if row.dead_at is not None else None

        return until(reason, f"{task} among the dead")

    def until_done(self, task: str, within: float = 120.0) -> None:
        """Wait until all its rows are done."""

        def done() -> bool:
            return all(row.done_at is not None for row in self.rows(task))

        try:
            until(done, f"{task} done", within)
        except AssertionError as error:
            error.add_note(str([row for row in self.rows(task) if row.done_at is None]))
            error.add_note(self.said[-3000:])
            raise

    def effects(self) -> list[dict[str, Any]]:
        """Number and process of each effect."""
        with self.app.app_context():
            rows = fetch_all(select(AuditEntry.details).where(AuditEntry.action == "core.effect"))
        return [row.details for row in rows]


@pytest.fixture
def workers(app: Flask, app_environ: object, tmp_path: Path) -> Iterator[Crew]:
    """None is started yet."""
    declared = crew.declare(app)
    workers = Crew(app, tmp_path)
    try:
        yield workers
    finally:
        workers.close()
        for name in declared:
            app.extensions["trellis"].tasks.pop(name)
