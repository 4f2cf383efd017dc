"""Runs all processes of a laptop's Trellis as one: started in order, restarted, ended together.

One thread waits for output, signals and the ends of children. No process outlives it: an ordered
stop gives each its share of the time, and a `Guard` ends them when the supervisor itself is killed.
"""

from __future__ import annotations

import http.client
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TextIO
from urllib.parse import urlsplit

from trellis.errors import StartError
from trellis.local.child import Child, ProcessSpec
from trellis.local.sessions import Guard

_POLL_SECONDS = 0.05
_FALSE_STARTS = 3
_EXPLAINED = 2  # the exit code of a command that has told its user why it cannot start
_SAME_KEYSTROKE = 0.3  # some runners pass on the Ctrl-C that the terminal has sent already
_OURSELVES = "trellis"


def answers(url: str) -> Callable[[], bool]:
    """A probe for `ProcessSpec.ready`: a GET of the http `url` answers 200 within a second."""
    parts = urlsplit(url)

    def probe() -> bool:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=1)
        try:
            connection.request("GET", parts.path or "/")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return probe


class Supervisor:
    """Runs `tiers` of processes: a tier starts when the one before it is ready, and ends before it.

    `on_ready` is called once, when every process is ready. A start that takes longer than
    `start_within` seconds fails; a stop takes `stop_within` seconds at most. Output goes to `out`,
    each line after the name of its process.
    """

    def __init__(
        self,
        tiers: Sequence[Sequence[ProcessSpec]],
        *,
        on_ready: Callable[[], None],
        out: TextIO | None = None,
        start_within: float = 60.0,
        stop_within: float = 4.0,
    ) -> None:
        self._tiers = [[Child(spec) for spec in tier] for tier in tiers]
        self._on_ready = on_ready
        self._out = sys.stdout if out is None else out
        self._start_within = start_within
        self._stop_within = stop_within
        self._reached: list[Child] = []  # the children of the tiers that were started so far
        names = [_OURSELVES, *(spec.name for tier in tiers for spec in tier)]
        self._width = max(map(len, names))
        self._stop_asked_at: float | None = None
        self._kill_asked = False

    def run(self) -> None:
        """Run until SIGINT, SIGTERM or SIGHUP, then end every process; a second Ctrl-C kills them.

        To be called in the main thread, which gets the signals. Raises StartError, after everything
        has ended, when a process cannot be started.
        """
        with ExitStack() as cleanup:
            self._guard = Guard()
            cleanup.callback(self._guard.close)
            self._selector = cleanup.enter_context(selectors.DefaultSelector())
            cleanup.enter_context(self._signals())
            cleanup.callback(self._stop)
            self._start()
            while self._stop_asked_at is None:
                self._serve(restart=True)

    def _start(self) -> None:
        deadline = time.monotonic() + self._start_within
        for tier in self._tiers:
            self._reached += tier
            while late := [child for child in tier if not child.has_started()]:
                if time.monotonic() > deadline:
                    raise StartError(
                        f"{late[0].name} was not ready after {self._start_within:g} seconds; "
                        f"its last words: {late[0].last_line or 'none'}"
                    )
                self._serve(_POLL_SECONDS, restart=True)
                if self._stop_asked_at is not None:
                    return
        self._on_ready()

    def _stop(self) -> None:
        if self._stop_asked_at is not None:
            self._say(_OURSELVES, "stopping; Ctrl-C again ends everything at once")
        deadline = time.monotonic() + self._stop_within
        for tier, tiers_left in zip(
            reversed(self._tiers), range(len(self._tiers), 0, -1), strict=True
        ):
            now = time.monotonic()
            until = now + (deadline - now) / tiers_left
            for child in tier:
                if child.running:
                    child.process.terminate()
            while any(child.running for child in tier) and not self._kill_asked:
                if (left := until - time.monotonic()) <= 0:
                    break
                self._serve(left, restart=False)
            for child in tier:
                if child.running:
                    self._bury(child)

    def _serve(self, longest: float | None = None, *, restart: bool) -> None:
        """Wait for something to happen, `longest` seconds at most, and do what it asks for."""
        pauses = [] if longest is None else [longest]
        for child in self._reached:
            if restart and not child.running:
                if (pause := child.start_at - time.monotonic()) > 0:
                    pauses.append(pause)
                else:
                    self._launch(child)
        for key, _ in self._selector.select(min(pauses, default=None)):
            if isinstance(key.data, Child):
                self._forward(key.data)
            else:
                key.data.recv(4096)  # a signal; its handler has run
        for child in self._reached:
            if child.running and child.process.poll() is not None:
                code = self._bury(child)
                if restart:
                    self._judge(child, code)

    def _launch(self, child: Child) -> None:
        child.start()
        self._guard.watch(child.process.pid)
        self._selector.register(child.output, selectors.EVENT_READ, child)

    def _forward(self, child: Child) -> None:
        lines = child.read()
        if lines is None:
            self._selector.unregister(child.output)
        for line in lines or ():
            self._say(child.name, line)

    def _bury(self, child: Child) -> int:
        if child.output in self._selector.get_map():
            self._selector.unregister(child.output)
        session = child.process.pid
        code, lines = child.bury()
        self._guard.forget(session)
        for line in lines:
            self._say(child.name, line)
        return code

    def _judge(self, child: Child, code: int) -> None:
        """A child ended unasked: say that it is started again, or raise StartError."""
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        if not child.settled and code == _EXPLAINED:
            raise StartError(f"{child.name} cannot be started: {child.last_line or how}")
        if not child.settled and child.failures >= _FALSE_STARTS:
            raise StartError(
                f"{child.name} ended {child.failures} times at its start ({how}); "
                f"its last words: {child.last_line or 'none'}"
            )
        pause = child.start_at - time.monotonic()
        self._say(_OURSELVES, f"{child.name} ended ({how}), next start in {pause:.1f} s")

    def _say(self, name: str, line: str) -> None:
        try:
            self._out.write(f"{name:<{self._width}} | {line}\n")
            self._out.flush()
        except OSError:  # the terminal or the reader of the pipe is gone, the work goes on
            with Path(os.devnull).open("w") as nowhere:
                os.dup2(nowhere.fileno(), self._out.fileno())

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Let signals end a wait in the selector, and note what they ask for."""
        wanted = [signal.SIGINT, signal.SIGTERM, signal.SIGCHLD]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup wants us to go on
            wanted.append(signal.SIGHUP)
        ours, kernels = socket.socketpair()
        with ours, kernels:
            kernels.setblocking(False)
            self._selector.register(ours, selectors.EVENT_READ, ours)
            before_us = {number: signal.signal(number, self._on_signal) for number in wanted}
            descriptor = signal.set_wakeup_fd(kernels.fileno(), warn_on_full_buffer=False)
            try:
                yield
            finally:
                signal.set_wakeup_fd(descriptor)
                for number, handler in before_us.items():
                    signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGCHLD:
            return
        now = time.monotonic()
        if self._stop_asked_at is None:
            self._stop_asked_at = now
        elif number == signal.SIGINT and now - self._stop_asked_at > _SAME_KEYSTROKE:
            self._kill_asked = True
