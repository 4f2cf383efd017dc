"""Pictures that take more memory than there is, under load (row 23)."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from tests.faults.conftest import SteadyLoad
from tests.installation import Installation
from tests.patient import PatientPhone
from tests.phones import slow_picture
from tests.processes import PATIENCE, until
from tests.supervision import Supervised

TASK = "media.make_renditions"
ATTEMPTS = 20


def bomb() -> bytes:
    """A few bytes within all limits of an upload; who decodes them needs 16 bytes a pixel."""
    file = BytesIO()
    Image.new("RGBA", (7000, 7000)).save(file, "WEBP", lossless=True, method=0, quality=0)
    return file.getvalue()


def test_f23_a_picture_that_takes_all_memory_fails_and_others_go_on(
    site: Installation, steady_load: SteadyLoad
) -> None:
    with steady_load(site) as load:
        hungry = PatientPhone(site, load.journal, "hungry")
        try:
            hungry.join()
            asset_id = hungry.send_picture(bomb())
            until(lambda: failures(hungry) == [(asset_id, "too_large")], "told by the stream")
            load.until_round()
            asset = hungry.asset(asset_id)
            assert (asset["state"], asset["failure"]) == ("failed", "too_large")
            assert hungry.inbox(unread=True) == []
        finally:
            hungry.leave()


@pytest.mark.nightly
def test_f23_a_picture_whose_processes_are_killed_each_time_is_given_up_and_others_go_on(
    site: Installation, steady_load: SteadyLoad
) -> None:
    content = slow_picture()
    with steady_load(site) as load:
        phone = load.phones[0]
        asset_id = phone.send_picture(content)
        for attempt in range(1, ATTEMPTS + 1):
            assert phone.asset(asset_id)["state"] == "processing"
            kill_what_decodes(site.heavy, len(content), with_its_job=attempt % 2 == 0)
            until(lambda: tried(site, asset_id) >= attempt, f"an end of attempt {attempt}")  # noqa: B023
            hurry(site, asset_id)
            if attempt % 5 == 0:
                load.until_round()
        (job,) = site.rows("SELECT id, error FROM core_outbox WHERE dead_at IS NOT NULL")
        assert "SIGKILL" in job[1]
        until(lambda: phone.asset(asset_id)["failure"] == "given_up", "its owner is told")
        until(lambda: failures(phone) == [(asset_id, "given_up")], "told by the stream")

        # There is memory again: an operator has it tried, and nothing is lost.
        retried = site.run("jobs", "retry", str(job[0]))
        assert retried.returncode == 0, retried.stderr
        phone.until_ready(asset_id, PATIENCE)


def failures(phone: PatientPhone) -> list[tuple[str, str]]:
    """Asset and reason of each failure that the stream has told of."""
    return [
        (str(entry.data["resource_id"]), str(entry.data["payload"]["reason"]))
        for entry in phone.follower.seen()
        if entry.type == "media.asset_failed/1"
    ]


def kill_what_decodes(worker: Supervised, size: int, *, with_its_job: bool) -> None:
    """What the kernel does to the largest process, or to all of its group (`memory.oom.group`)."""

    def decoder() -> int | None:
        for pid in worker.pids:
            with suppress(OSError):
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                if b"decoder.py" in command and Path(f"/proc/{pid}/fd/0").stat().st_size == size:
                    return pid
        return None

    pid = until(decoder, "the picture is decoded")
    job = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    with suppress(ProcessLookupError):
        if with_its_job:
            os.kill(job, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)


def tried(site: Installation, asset_id: str) -> int:
    """How many attempts at a picture have ended."""
    ((attempts,),) = site.rows(
        "SELECT CASE WHEN leased_until IS NULL THEN attempts ELSE attempts - 1 END"
        f" FROM core_outbox WHERE task = '{TASK}' AND arguments ->> 'asset_id' = '{asset_id}'"
    )
    return int(attempts)


def hurry(site: Installation, asset_id: str) -> None:
    """Attempts come after growing delays, over some hours: not in a test."""
    site.rows(
        "UPDATE core_outbox SET due_at = clock_timestamp()"
        f" WHERE arguments ->> 'asset_id' = '{asset_id}' RETURNING id"
    )
