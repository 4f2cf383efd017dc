"""Processes that run out of file handles, under load (row 22)."""

from __future__ import annotations

import hashlib
import os
import resource
import socket
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from PIL import Image
from tests.faults.conftest import SteadyLoad
from tests.installation import Installation
from tests.processes import PATIENCE, until
from tests.supervision import Supervised

pytestmark = pytest.mark.nightly  # minutes together: a whole installation for each row

CAUSE = "Too many open files"


@contextmanager
def few_handles(process: Supervised, most: int) -> Iterator[None]:
    """Let a process and its children have no more open handles than these."""
    usual = {}
    for pid in process.pids:
        with suppress(ProcessLookupError):  # a task that has just ended
            usual[pid] = _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, hard))
    assert usual
    try:
        yield
    finally:
        for pid, limits in usual.items():
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


@contextmanager
def idle_connections(url: str, count: int) -> Iterator[None]:
    """Hold connections on which nothing is said."""
    address = urlsplit(url)
    with ExitStack() as stack:
        for _ in range(count):
            connection = socket.create_connection((address.hostname, address.port or 0))
            stack.enter_context(connection)
        yield


def handles(pid: int) -> int:
    """How many a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def large_picture() -> bytes:
    """One that a web process keeps in a file while it comes."""
    file = BytesIO()
    Image.frombytes("RGB", (600, 600), os.urandom(600 * 600 * 3)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("most", [64, pytest.param(40, marks=pytest.mark.nightly)])
def test_f22_web_processes_have_no_file_handles(
    site: Installation, steady_load: SteadyLoad, most: int
) -> None:
    content = large_picture()
    ended = [len(each.exit_codes) for each in site.webs]
    with steady_load(site) as load, httpx2.Client(timeout=PATIENCE) as connected:
        phone, web = load.phones[0], site.webs[0]
        url = f"{site.addresses[web.name]}/v1/media/assets"
        headers = {**phone.headers, "Idempotency-Key": f'"{uuid.uuid4()}"'}

        def upload() -> httpx2.Response:
            files = {"file": ("large.png", content, "image/png")}
            return connected.post(url, headers=headers, files=files)

        assert connected.get(url, headers=headers).status_code == 200  # its connection stays
        with ExitStack() as stack:
            said = len(web.output)
            for each in site.webs:
                stack.enter_context(few_handles(each, most))
                stack.enter_context(idle_connections(site.addresses[each.name], 100))
            until(lambda: max(map(handles, web.pids)) >= most, "no handle that is left")
            answer = upload()
            assert answer.status_code == 503, answer.text
            assert int(answer.headers["Retry-After"]) > 0
            until(lambda: CAUSE in web.output[said:], "a log that names the cause")
        phone.uploads[upload().json()["id"]] = hashlib.sha256(content).hexdigest()
    assert [len(each.exit_codes) for each in site.webs] == ended


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["light", "heavy", "scheduler", "stream"])
def test_f22_another_process_has_no_file_handles(
    site: Installation, steady_load: SteadyLoad, kind: str
) -> None:
    process = {each.name: each for each in site.processes}[kind]
    with steady_load(site) as load, few_handles(process, 16):
        load.until_round()
