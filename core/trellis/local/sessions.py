"""Child processes that do not outlive the program that started them.

Each child leads a session of its own: Ctrl-C in the terminal reaches the launcher alone, and all
that a child starts in turn is found and ended with it, also what moved to another process group.
This file is also run by path, as a small program, so it imports the standard library only.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

ORPHAN_GRACE = 3.0
"""Seconds that the children of a killed launcher have to end by themselves."""

_PR_SET_PDEATHSIG = 1
_PROGRAM = (sys.executable, "-I", "-S", str(Path(__file__).resolve()))


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdout: int = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `argv` as the leader of a new session; its errors go where its output goes.

    On Linux it gets SIGTERM when the calling thread ends, however that happens. A small program
    asks for that and becomes `argv`: own code between fork and exec is not safe beside threads.
    """
    return subprocess.Popen(
        [*_PROGRAM, "become", str(os.getpid()), *argv],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=pass_fds,
    )


def members(session: int) -> list[int]:
    """The processes of `session` that still run; a zombie does not."""
    return _members_by_proc(session) if sys.platform == "linux" else _members_by_ps(session)


def kill(session: int, within: float = 1.0) -> None:
    """SIGKILL every process of `session`, also those that appear meanwhile."""
    deadline = time.monotonic() + within
    while (running := members(session)) and time.monotonic() < deadline:
        for pid in running:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def end(process: subprocess.Popen[bytes], within: float) -> None:
    """SIGTERM to a child of `spawn`; after `within` seconds SIGKILL to the rest of its session."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(within)
    kill(process.pid)
    process.wait()


class Guard:
    """A process that ends the sessions it was told of when this process is gone.

    It works where the kernel does not tell children that their parent died (macOS), it reaches
    grandchildren, and it ends what ignores SIGTERM.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [*_PROGRAM, "guard"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def watch(self, session: int) -> None:
        """End `session` when this process is gone."""
        self._tell(f"+{session}\n")

    def forget(self, session: int) -> None:
        """`session` has ended."""
        self._tell(f"-{session}\n")

    def close(self) -> None:
        """End the guard; sessions that it still watches are ended first."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):  # somebody killed it; the children's own tie remains
                self._process.stdin.write(line.encode())
                self._process.stdin.flush()


def _members_by_proc(session: int) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):  # noqa: PTH208 - a thousand paths cost more than their names
        if entry.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError):
                # pid (command, which may hold anything) state parent group session …
                fields = Path("/proc", entry, "stat").read_bytes().rpartition(b")")[2].split()
                if int(fields[3]) == session and fields[0] not in (b"Z", b"X"):
                    found.append(int(entry))
    return found


def _members_by_ps(session: int) -> list[int]:
    listing = subprocess.run(["ps", "-A", "-o", "pid=,stat="], capture_output=True, check=True)
    found = []
    for line in listing.stdout.splitlines():
        pid, state = line.split()
        with suppress(ProcessLookupError, PermissionError):
            if not state.startswith(b"Z") and os.getsid(int(pid)) == session:
                found.append(int(pid))
    return found


def _become(parent: int, argv: list[str]) -> None:
    for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored_by_python, signal.SIG_DFL)
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the launcher ended before its child began")
    try:
        os.execvp(argv[0], argv)
    except OSError as fault:
        sys.exit(f"{argv[0]} cannot be started: {fault.strerror}")


def _guard(orders: Iterable[str]) -> None:
    for survived in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(survived, signal.SIG_IGN)
    watched: set[int] = set()
    for order in orders:
        (watched.add if order[0] == "+" else watched.discard)(int(order[1:]))
    if (
        sys.platform != "linux"
    ):  # there the kernel has sent it, and to some a second one means "at once"
        for session in watched:
            if session in members(session):
                os.kill(session, signal.SIGTERM)
    deadline = time.monotonic() + ORPHAN_GRACE
    while any(members(session) for session in watched) and time.monotonic() < deadline:
        time.sleep(0.05)
    for session in watched:
        kill(session)


if __name__ == "__main__":
    if sys.argv[1] == "guard":
        _guard(sys.stdin)
    else:
        _become(int(sys.argv[2]), sys.argv[3:])
