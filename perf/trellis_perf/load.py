"""The load generator, a process of its own because Locust patches the sockets of its process.

Started by `trellis_perf.run`: ``python -m trellis_perf.load --host URL --people FILE …``.
"""

from __future__ import annotations

import argparse
import signal
import urllib.error
import urllib.request
from pathlib import Path

import gevent
from locust.env import Environment
from locust.event import Events

from trellis_perf.operations import fetch_operations
from trellis_perf.people import People
from trellis_perf.recorder import Recorder
from trellis_perf.scenarios import user_classes
from trellis_perf.user import TrellisUser, World

_STOP_SECONDS = 5.0


def main() -> None:
    """Load a server as the arguments say; the figures are in a file when this returns."""
    arguments = _arguments()
    operations = fetch_operations(arguments.host)
    TrellisUser.world = World(operations, People.read(arguments.people))
    plugins = {operation.plugin for operation in operations.values()}
    environment = Environment(
        user_classes=user_classes(plugins, mailbox=_has_mailbox(arguments.host)),
        host=arguments.host,
        events=Events(),
        stop_timeout=_STOP_SECONDS,  # a task that has begun is finished, and counts
    )
    recorder = Recorder(environment.events)
    runner = environment.create_local_runner()
    gevent.signal_handler(signal.SIGTERM, runner.quit)
    runner.start(arguments.users, spawn_rate=arguments.users / arguments.warm_up)
    gevent.spawn_later(arguments.warm_up, recorder.forget_warm_up)
    gevent.spawn_later(arguments.warm_up + arguments.seconds, runner.quit)
    runner.greenlet.join()
    recorder.write(arguments.figures)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m trellis_perf.load")
    parser.add_argument("--host", required=True)
    parser.add_argument("--people", type=Path, required=True)
    parser.add_argument("--figures", type=Path, required=True)
    parser.add_argument("--users", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--warm-up", type=float, required=True)
    return parser.parse_args()


def _has_mailbox(base_url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base_url}/local/mailbox", timeout=10):  # noqa: S310 (an address that the user gives)
            return True
    except urllib.error.HTTPError:
        return False


if __name__ == "__main__":
    main()
