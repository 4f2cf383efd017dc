"""What one web process answers in a second: kept answers, those of views, and a bare server.

    python perf/micro/kept_answers.py                  # needs wrk; Linux; two cores

Starts `trellis web` on SQLite twice, with and without what a process keeps for itself, and a bare
granian that answers the same number of bytes; each alone on the first core while wrk, on the
second, asks it, by turns. The list is an inbox of 20 messages, asked for by one person who is
signed in, with request ids, metrics and log lines on. Tells the medians of requests a second, the
ratio to the bare server, the 99th percentile in milliseconds and the memory of the process.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from environments import environment_on

_PATH = "/v1/notifications/messages"
_CONNECTIONS = 16
_BARE = """
BODY = b"x" * {size}
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [BODY]
"""


@dataclass
class Way:
    """One thing to measure: where it is asked for, with which headers, and what came of it."""

    port: int
    pid: int
    headers: Mapping[str, str]
    status: int = 200
    rates: list[float] = field(default_factory=list)
    tails: list[float] = field(default_factory=list)

    def ask(self, seconds: int) -> None:
        """Let wrk ask for so many seconds."""
        headers = [f"-H{name}: {value}" for name, value in self.headers.items()]
        load = ["-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s", "--latency", *headers]
        command = ["taskset", "-c", "1", "wrk", *load, f"http://127.0.0.1:{self.port}{_PATH}"]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        if "Non-2xx" in told or "Socket errors" in told:
            raise SystemExit(told)
        self.rates.append(float(re.search(r"Requests/sec:\s+([\d.]+)", told)[1]))  # type: ignore[index]
        value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", told).groups()  # type: ignore[union-attr]
        self.tails.append(float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit])

    @property
    def megabytes(self) -> float:
        """Resident memory of the process that answers."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        worker = children[0] if children else str(self.pid)
        pages = int(Path(f"/proc/{worker}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    if not shutil.which("wrk"):
        raise SystemExit("wrk is not on this machine: apt install wrk")
    with environment_on("sqlite", 'public_url = "http://127.0.0.1"') as environment:
        from trellis_auth import factories as auth
        from trellis_notifications import factories as notifications

        with environment.app.app_context():
            [user_id] = auth.users()
            notifications.messages(user_id, 20)
            [tokens] = auth.sessions([user_id])
        headers = {"Authorization": f"Bearer {tokens.access_token}"}
        as_served = {"TRELLIS_ENVIRONMENT": "development", "TRELLIS_LOG_FORMAT": "json"}
        common = {**environment.variables, **as_served}
        with (
            _web({**common, "TRELLIS_CACHE_LOCAL_BYTES": "33554432"}) as (kept, kept_pid),
            _web(common) as (views, views_pid),
        ):
            answer = _until_answered(kept, headers)
            _until_answered(views, headers)
            held = {**headers, "If-None-Match": answer.headers["ETag"]}
            with _bare(len(answer.content)) as (bare, bare_pid):
                ways = {
                    "bare": Way(bare, bare_pid, {}),
                    "kept": Way(kept, kept_pid, headers),
                    "kept, 304": Way(kept, kept_pid, held, 304),
                    "view": Way(views, views_pid, headers),
                }
                for _ in range(options.rounds):
                    for way in ways.values():
                        way.ask(options.seconds)
                _print(ways, len(answer.content))


def _print(ways: Mapping[str, Way], size: int) -> None:
    print(f"{size} bytes of JSON, {_CONNECTIONS} connections, one process of ours on one core")
    bare = statistics.median(ways["bare"].rates)
    for name, way in ways.items():
        rate, tail = statistics.median(way.rates), statistics.median(way.tails)
        spread = f"{min(way.rates):,.0f} to {max(way.rates):,.0f}"
        print(
            f"  {name:<10} {rate:9,.0f}/s ({spread}) {rate / bare:5.2f} x bare"
            f"   p99 {tail:6.2f} ms   {way.megabytes:4.0f} MB"
        )


@contextmanager
def _web(environ: Mapping[str, str]) -> Iterator[tuple[int, int]]:
    port = _free_port()
    command = [sys.executable, "-m", "trellis", "web"]
    with _running(command, {**environ, "TRELLIS_PORT": str(port)}) as pid:
        yield port, pid


@contextmanager
def _bare(size: int) -> Iterator[tuple[int, int]]:
    port = _free_port()
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "bare.py").write_text(_BARE.format(size=size))
        command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--port", str(port)]
        threads = ["--blocking-threads", "4", "--no-ws", "--log-level", "warning"]
        with _running([*command, *threads, "bare:app"], {"PYTHONPATH": directory}) as pid:
            _until_answered(port, {})
            yield port, pid


@contextmanager
def _running(command: list[str], environ: Mapping[str, str]) -> Iterator[int]:
    """A process on the first core, until the end of the block."""
    process = subprocess.Popen(
        ["taskset", "-c", "0", *command],
        env={**os.environ, **environ},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(10)


def _until_answered(port: int, headers: Mapping[str, str]) -> httpx2.Response:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            answer = httpx2.get(f"http://127.0.0.1:{port}{_PATH}", headers=dict(headers))
        except httpx2.TransportError:
            time.sleep(0.1)
            continue
        answer.raise_for_status()
        return answer
    raise SystemExit(f"nothing answers on port {port}")


def _free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port: int = chosen.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
