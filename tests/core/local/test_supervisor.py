from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis

from trellis.local.child import FIRST_DELAY, LONGEST_DELAY, Child, ProcessSpec
from trellis.local.sessions import ORPHAN_GRACE
from trellis.local.supervisor import answers

if TYPE_CHECKING:
    from tests.core.local.conftest import Processes, Program

SUPERVISOR = """
import json, sys
from pathlib import Path
from trellis.local.child import ProcessSpec
from trellis.errors import StartError
from trellis.local.supervisor import Supervisor

def spec(name, code, needs_file=None):
    ready = (lambda: Path(needs_file).exists()) if needs_file else None
    return ProcessSpec(name, [sys.executable, "-c", code], ready=ready)

tiers, options = json.loads(sys.argv[1])
supervisor = Supervisor(
    [[spec(*arguments) for arguments in tier] for tier in tiers],
    on_ready=lambda: print("READY", flush=True), **options,
)
try:
    supervisor.run()
except StartError as error:
    print("StartError:", error, flush=True)
    sys.exit(2)
"""

POLITE = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("began", os.getpid(), flush=True)
signal.sigwait([signal.SIGTERM])
print("was asked to end", flush=True)
"""

DEAF = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if not sys.argv[1:]:
    code = open("/proc/self/cmdline").read().split("\\0")[2]
    subprocess.Popen([sys.executable, "-c", code, "family"], process_group=0)
print(*sys.argv[1:], "began", os.getpid(), flush=True)
time.sleep(60)
"""

Supervise = Callable[..., "Program"]


@pytest.fixture
def supervise(processes: Processes) -> Supervise:
    def start(*tiers: list[tuple[str, ...]], stdout: int | None = None, **options: Any) -> Program:
        return processes.run(SUPERVISOR, json.dumps([tiers, options]), stdout=stdout)

    return start


def _interrupt(program: Program) -> None:
    """What Ctrl-C does: SIGINT to the whole process group in the foreground."""
    os.killpg(program.process.pid, signal.SIGINT)


def _pid(program: Program, name: str) -> int:
    """The pid that the process `name` told at its latest start."""
    return int(re.findall(rf"^{name} +\| began (\d+)$", program.output, re.MULTILINE)[-1])


def test_tiers_start_in_order_when_the_one_before_is_ready(
    supervise: Supervise, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    ready = tmp_path / "ready"

    program = supervise([("broker", POLITE, str(ready))], [("web", POLITE)])
    eventually(lambda: "broker  | began" in program.output)
    assert "web" not in program.output
    assert "READY" not in program.output

    ready.touch()

    eventually(lambda: "READY" in program.output and "web     | began" in program.output)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_is_asked_to_end_when_those_that_need_it_have_ended(
    supervise: Supervise,
    processes: Processes,
    eventually: Callable[..., None],
    how: signal.Signals,
) -> None:
    tiers = ["broker"], ["light", "heavy"], ["scheduler"], ["web"]
    program = supervise(*([(name, POLITE) for name in tier] for tier in tiers))
    eventually(lambda: program.output.count("began") == 5)

    os.killpg(program.process.pid, how)

    assert program.process.wait(5) == 0
    assert processes.running() == []
    asked = [line.split()[0] for line in program.output.splitlines() if "asked" in line]
    assert asked[:2] == ["web", "scheduler"]
    assert set(asked[2:4]) == {"light", "heavy"}
    assert asked[4] == "broker"


def test_what_is_deaf_to_sigterm_is_killed_with_its_family_within_five_seconds(
    supervise: Supervise, processes: Processes, eventually: Callable[..., None]
) -> None:
    program = supervise([("broker", DEAF)], [("worker", DEAF), ("polite", POLITE)], [("web", DEAF)])
    eventually(lambda: program.output.count("began") == 7)
    assert len(processes.running()) == 1 + 1 + 7

    asked_at = time.monotonic()
    _interrupt(program)

    assert program.process.wait(6) == 0
    assert time.monotonic() - asked_at < 5
    assert processes.running() == []
    assert "polite  | was asked to end" in program.output  # the deaf did not use up its time


def test_a_second_ctrl_c_ends_everything_at_once(
    supervise: Supervise, processes: Processes, eventually: Callable[..., None]
) -> None:
    program = supervise([("broker", DEAF)], [("web", DEAF)], stop_within=60)
    eventually(lambda: program.output.count("began") == 4)
    _interrupt(program)
    eventually(lambda: "stopping" in program.output)
    _interrupt(program)  # so soon it is the same keystroke, told twice
    assert len(processes.running()) == 6

    def interrupted_until_ended() -> bool:
        _interrupt(program)
        return program.process.poll() is not None

    eventually(interrupted_until_ended, within=3)
    assert processes.running() == []


def test_ctrl_c_during_the_start_ends_what_was_started(
    supervise: Supervise, processes: Processes, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    program = supervise([("broker", POLITE, str(tmp_path / "never"))], [("web", POLITE)])
    eventually(lambda: "began" in program.output)

    _interrupt(program)

    assert program.process.wait(5) == 0
    assert processes.running() == []
    assert "READY" not in program.output
    assert "web" not in program.output


def test_a_killed_supervisor_takes_all_with_it(
    supervise: Supervise, processes: Processes, eventually: Callable[..., None]
) -> None:
    program = supervise([("broker", POLITE)], [("worker", DEAF)], [("web", DEAF)])
    eventually(lambda: program.output.count("began") == 5)

    program.process.kill()

    eventually(lambda: processes.running() == [], within=ORPHAN_GRACE + 2)


def test_a_killed_child_is_started_again_without_what_it_left(
    supervise: Supervise, processes: Processes, eventually: Callable[..., None], tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    ready.touch()
    program = supervise([("web", DEAF, str(ready)), ("worker", POLITE)])
    eventually(lambda: program.output.count("began") == 3)
    family = processes.running()
    first = _pid(program, "web")

    os.kill(first, signal.SIGKILL)

    eventually(lambda: program.output.count("began") == 5)
    assert "trellis | web ended (SIGKILL), next start in 0.2 s" in program.output
    assert len(processes.running()) == len(family)
    assert first not in processes.running()


def test_output_is_passed_on_line_by_line_after_the_name(
    supervise: Supervise, eventually: Callable[..., None]
) -> None:
    code = (
        "import sys\n"
        "sys.stdout.write('half '); sys.stdout.flush(); sys.stdout.write('whole\\n\\n')\n"
        "sys.stderr.buffer.write(b'not \\xff utf-8\\r\\n'); print('x' * 100_000)\n"
    )
    program = supervise([("chatty-one", code + POLITE)])
    eventually(lambda: "began" in program.output)

    lines = program.output.splitlines()
    assert "chatty-one | half whole" in lines
    assert "chatty-one | not \ufffd utf-8" in lines
    assert sum(line.count("x") for line in lines) == 100_000
    assert "chatty-one | " not in lines


def test_a_child_that_explains_why_it_cannot_start_is_believed_at_once(
    supervise: Supervise,
    processes: Processes,
    tmp_path: Path,
    eventually: Callable[..., None],
) -> None:
    began = tmp_path / "began"
    explain = (
        "import os, sys\n"
        f"while not os.path.exists({str(began)!r}): pass\n"
        "print('port taken'); sys.exit(2)\n"
    )
    program = supervise([("broker", POLITE)], [("web", explain)])
    eventually(lambda: "broker  | began" in program.output)
    began.touch()

    assert program.process.wait(30) == 2
    assert "StartError: web cannot be started: port taken\n" in program.output
    assert "broker  | was asked to end" in program.output
    assert processes.running() == []


def test_a_child_that_ends_at_its_start_again_and_again_is_given_up(
    supervise: Supervise, processes: Processes
) -> None:
    program = supervise([("worker", "print('hello'); import no_such_module")], [("web", POLITE)])

    assert program.process.wait(10) == 2
    assert (
        "StartError: worker ended 3 times at its start (exit code 1); its last words: "
        "ModuleNotFoundError: No module named 'no_such_module'\n"
    ) in program.output
    assert program.output.count("hello") == 3
    assert processes.running() == []


def test_a_start_that_takes_too_long_names_who_is_late(
    supervise: Supervise, processes: Processes, tmp_path: Path
) -> None:
    program = supervise([("web", POLITE, str(tmp_path / "never"))], start_within=0.5)

    assert program.process.wait(5) == 2
    assert (
        "StartError: web was not ready after 0.5 seconds; its last words: began" in program.output
    )
    assert processes.running() == []


def test_a_worker_that_makes_room_for_a_fresh_one_is_never_given_up(
    supervise: Supervise, eventually: Callable[..., None]
) -> None:
    program = supervise([("worker", "print('worked')")])

    eventually(lambda: program.output.count("worked") > 4)
    assert program.process.poll() is None


def test_a_reader_that_goes_away_ends_nothing(
    supervise: Supervise, processes: Processes, eventually: Callable[..., None], tmp_path: Path
) -> None:
    code = "import time\nwhile True: print('line'); time.sleep(0.01)"
    program = supervise([("web", code)], stdout=subprocess.PIPE)
    assert program.process.stdout is not None
    assert program.process.stdout.readline()
    program.process.stdout.close()
    before = processes.running()

    for _ in range(2):  # the second start is written about by a supervisor that met no reader
        child = max(set(processes.running()) - {program.process.pid})
        os.kill(child, signal.SIGKILL)
        eventually(lambda child=child: len(set(processes.running()) - {child}) == len(before))
    assert program.process.poll() is None

    program.process.send_signal(signal.SIGTERM)
    assert program.process.wait(5) == 0


def test_the_delay_grows_while_a_process_fails_and_starts_small_when_it_was_steady(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    child = Child(ProcessSpec("worker", ["false"]))

    def delay() -> float:
        child.start()
        child.process.wait()
        code, lines = child.bury()
        assert (code, lines, child.running) == (1, [], False)
        return child.start_at - time.monotonic()

    assert [delay() for _ in range(4)] == pytest.approx([0.2, 0.4, 0.8, 1.6], abs=0.1)
    child.failures = 20
    assert delay() == pytest.approx(LONGEST_DELAY, abs=0.1)
    assert not child.settled
    monkeypatch.setattr("trellis.local.child.STEADY_SECONDS", 0)
    assert delay() == pytest.approx(FIRST_DELAY, abs=0.1)
    assert child.settled


@pytest.fixture
def http_server() -> Iterator[HTTPServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health/ready" else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_url_answers_when_it_says_200(http_server: HTTPServer) -> None:
    url = f"http://127.0.0.1:{http_server.server_port}"

    assert answers(f"{url}/health/ready")()
    assert not answers(f"{url}/other")()
    assert not answers("http://127.0.0.1:1/health/ready")()


BROKER = """
import sys
from pathlib import Path
from trellis.local.broker import Broker
from trellis.local.supervisor import Supervisor
broker = Broker(Path(sys.argv[1]))
with broker.supervised() as server:
    Supervisor([server], on_ready=lambda: print(broker.url, flush=True)).run()
"""


def test_a_supervised_broker_that_is_killed_comes_back_empty(
    processes: Processes, eventually: Callable[..., None], tmp_path: Path
) -> None:
    program = processes.run(BROKER, str(tmp_path))
    eventually(lambda: "unix://" in program.output)
    with redis.Redis.from_url(program.output.strip()) as client:

        def pid() -> int | None:
            try:
                return int(client.info("server")["process_id"])
            except redis.RedisError:
                return None

        client.rpush("queue", "a")
        for _ in range(3):
            killed = pid()
            assert killed is not None
            os.kill(killed, signal.SIGKILL)
            eventually(lambda killed=killed: pid() not in (None, killed))
            client.rpush("queue", "b")
        assert client.lrange("queue", 0, -1) == [b"b"]

    _interrupt(program)
    assert program.process.wait(5) == 0
    assert processes.running() == []
