"""Webhooks: deliveries a second of one worker, and how long one takes from its commit.

    python perf/micro/webhook_deliveries.py                      # SQLite and PostgreSQL, minutes
    python perf/micro/webhook_deliveries.py --on sqlite --deliveries 500

One `trellis worker light`, a `trellis stream` (which gives entries of the feed their places) and a
`trellis scheduler` tell receivers in this process, by HTTP on the loopback interface, of events
that it commits. One endpoint and ten, which answer at once and after 100 ms. For the throughput all
events are committed at once; it counts from before the first commit to the last answer. Then single
events come one after the other, a moment after the one before was answered everywhere; their times
count from before the commit to the arrival.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Literal
from uuid import uuid4

from flask import Flask

from environments import add_kinds, environment_on
from trellis.events import Event
from trellis.runtime import Runtime
from trellis.unit_of_work import unit_of_work
from trellis_webhooks import factories, services

_SLOW_SECONDS = 0.1
_AT_ONCE = 100
_PAUSE_SECONDS = 0.1
_WITHIN = 600.0
_SETTINGS = 'log_level = "error"\noutgoing_allow = ["127.0.0.1"]\nport = {port}\n'


@dataclass(frozen=True)
class Probe(Event):
    """Carries the moment before its commit."""

    resource: ClassVar[str] = "probe"
    operation: ClassVar[Literal["created"]] = "created"
    at: float

    def resource_id(self) -> str:
        return "1"


class Receiver(ThreadingHTTPServer):
    """Answers after ``delay`` seconds; ``told`` holds when each event was committed, and came."""

    daemon_threads = True
    delay = 0.0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.told: dict[tuple[str, str], tuple[float, float]] = {}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def until(self, count: int) -> float:
        """Wait until so many deliveries have come; returns when the last one was answered."""
        deadline = time.monotonic() + _WITHIN
        while len(self.told) < count:
            assert time.monotonic() < deadline, f"{len(self.told)} of {count} have come"
            time.sleep(0.001)
        return max(came for _, came in list(self.told.values())) + self.delay


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        came = time.time()
        told = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.told[self.path, self.headers["webhook-id"]] = told["data"]["at"], came
        if self.server.delay:
            time.sleep(self.server.delay)
        self.wfile.write(b"HTTP/1.1 204 Yes\r\nContent-Length: 0\r\n\r\n")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def commit(app: Flask, count: int) -> float:
    """Commit so many events; returns when that began."""
    began = time.time()
    with app.app_context():
        for start in range(0, count, _AT_ONCE):
            with unit_of_work() as uow:
                for _ in range(min(_AT_ONCE, count - start)):
                    uow.publish(Probe(time.time()))
    return began


@contextmanager
def endpoints(app: Flask, receiver: Receiver, count: int) -> Iterator[None]:
    """So many endpoints at the receiver, until the block ends."""
    host, port = "127.0.0.1", receiver.server_address[1]
    with app.app_context():
        made = [
            factories.endpoint(url=f"http://{host}:{port}/{uuid4()}", enabled=True)[0]
            for _ in range(count)
        ]
        yield
        for endpoint_id in made:
            services.delete_endpoint(endpoint_id)


def measure(app: Flask, receiver: Receiver, count: int, delay: float, deliveries: int) -> None:
    """One line of the result."""
    receiver.delay = delay
    receiver.told.clear()  # else what the line before was told counts as this one's first
    with endpoints(app, receiver, count):
        commit(app, 1)  # the first one finds nothing open
        receiver.until(count)
        receiver.told.clear()
        began = commit(app, deliveries // count)
        rate = deliveries / (receiver.until(deliveries) - began)
        times: list[float] = []
        for _ in range(max(1, deliveries // (5 * count))):
            time.sleep(delay + _PAUSE_SECONDS)
            receiver.told.clear()
            commit(app, 1)
            receiver.until(count)
            times += [1000 * (came - sent) for sent, came in receiver.told.values()]
    times.sort()
    p50, p99 = statistics.median(times), times[int(len(times) * 0.99) - 1]
    print(f"{count:>9}{1000 * delay:>12.0f} ms{rate:>9.0f}/s{p50:>9.0f} ms{p99:>9.0f} ms")


def run(kind: str, deliveries: int) -> None:
    """Measure on one kind of database."""
    with ExitStack() as stack:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = int(listener.getsockname()[1])
        environment = stack.enter_context(environment_on(kind, _SETTINGS.format(port=port)))
        app, environ = environment.app, {**os.environ, **environment.variables}
        runtime: Runtime = app.extensions["trellis"]
        runtime.event_types[Probe] = "core.probe/1"
        for command in (["worker", "light"], ["stream"], ["scheduler"]):
            process = subprocess.Popen([sys.executable, "-m", "trellis", *command], env=environ)
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
        receiver = Receiver()
        stack.callback(receiver.shutdown)
        print(f"\n{kind}\n{'endpoints':>9}{'answer':>15}{'rate':>11}{'p50':>12}{'p99':>12}")
        for count in (1, 10):
            measure(app, receiver, count, 0.0, deliveries)
            measure(app, receiver, count, _SLOW_SECONDS, deliveries // 5)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add_kinds(parser)
    parser.add_argument("--deliveries", type=int, default=1000, help="for each line")
    arguments = parser.parse_args()
    for chosen in arguments.on:
        run(chosen, arguments.deliveries)
