"""Where a process cannot listen: one sentence that names the setting, exit code 2."""

from __future__ import annotations

import socket

import pytest
from tests.processes import until
from tests.production.command import Command
from tests.production.test_start import ready


@pytest.mark.parametrize("process", ["web", "stream", "front"])
def test_a_port_that_is_taken(trellis: Command, process: str) -> None:
    with socket.create_server(("127.0.0.1", int(trellis.environ["TRELLIS_PORT"]))):
        sentence = trellis.refused(process)
    assert sentence.startswith(f"Port {trellis.environ['TRELLIS_PORT']} on 127.0.0.1 is taken")
    assert "TRELLIS_PORT" in sentence


@pytest.mark.parametrize("host", ["192.0.2.1", "nosuch.invalid", "no such host", "a." * 200])
def test_a_host_that_is_not_here(trellis: Command, host: str) -> None:
    sentence = trellis.refused("web", TRELLIS_HOST=host)
    assert sentence.startswith(f"The server cannot listen on {host}, port ")
    assert "TRELLIS_HOST" in sentence


def test_a_host_may_have_a_name(trellis: Command) -> None:
    with trellis.running("web", TRELLIS_HOST="localhost"):
        until(lambda: ready(trellis)[0] == 200, "an answer at 127.0.0.1")
