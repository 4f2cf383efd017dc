"""A web server whose worker process dies ends as well, for whoever supervises it to start anew."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

from tests.processes import until
from tests.production.command import Command


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def test_a_server_without_its_worker_takes_no_time_to_drain(trellis: Command) -> None:
    """Whoever it let in meanwhile would not be answered."""
    port = int(trellis.environ["TRELLIS_PORT"])
    with trellis.running("serve", TRELLIS_DRAIN_SECONDS="300") as process:
        try:
            until(lambda: listens(port), "a server that listens")
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            os.kill(int(children), signal.SIGKILL)
            assert process.wait(60) == 1
        finally:
            process.kill()
    assert not listens(port)
