"""The embedded broker: a real Valkey or Redis on a unix socket, which ends with its launcher.

It carries wake-ups (database 0) and the cache (database 1) and keeps nothing on the disk: what must
not be lost is in the SQL database, and a file of its own would keep who has left.
"""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from subprocess import Popen
from typing import Self

from trellis.errors import StartError
from trellis.local import claims, sessions
from trellis.local.broker_binary import find_server
from trellis.local.child import ProcessSpec
from trellis.local.ports import require_writable

_MAXMEMORY = "256mb"
_LOCK_WITHIN = 3.0  # seconds; the server of a launcher that was killed needs a moment to end
_STOP_WITHIN = 3.0
_POLL_SECONDS = 0.01
_BEGAN = "eady to accept connections"  # in the log of every version of Redis and Valkey


class Broker:
    """The broker at `redis_url`, or without one a server of our own with its files in `data_dir`.

    As a context manager it runs for the block; the thread that starts it must live as long. Under a
    supervisor, which also restarts it, use `supervised()` in place of `start()` and `stop()`.
    """

    def __init__(self, data_dir: Path, redis_url: str | None = None) -> None:
        self._data_dir = data_dir.resolve()
        self._redis_url = redis_url
        self._files = self._data_dir / "broker"
        self._log = self._files / "server.log"
        self._starts_in_vain = 0
        self._running = ExitStack()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where the broker answers as soon as it runs; of our own server it is database 0."""
        return self._redis_url or f"unix://{self._socket}?db=0"

    @cached_property
    def _socket(self) -> Path:
        # Not sooner: where a URL is given, there may be no place for sockets.
        return claims.socket_path(self._data_dir, "broker.sock")

    def start(self, within: float = 10.0) -> None:
        """Start the server and wait until it answers; raises StartError when it does not."""
        deadline = time.monotonic() + within
        with ExitStack() as stack:
            for server in stack.enter_context(self.supervised()):
                guard = sessions.Guard()
                stack.callback(guard.close)
                process: Popen[bytes] | None = None
                while process is None or not self._answers():
                    if process is None or process.poll() is not None:
                        self._prepare()
                        process = sessions.spawn(server.argv, pass_fds=server.pass_fds)
                        stack.callback(sessions.end, process, _STOP_WITHIN)
                        guard.watch(process.pid)
                    if time.monotonic() > deadline:
                        raise StartError(f"The broker did not answer in {within:g} seconds.")
                    time.sleep(_POLL_SECONDS)
            self._running = stack.pop_all()

    def stop(self) -> None:
        """End the server; it is killed when it has not ended within three seconds."""
        self._running.close()

    @contextmanager
    def supervised(self) -> Iterator[list[ProcessSpec]]:
        """What a supervisor has to run: the server, or nothing when `redis_url` names another's.

        The data directory is claimed for the block. Raises StartError when another Trellis has it,
        when there is no server program, or when the server at `redis_url` does not answer.
        """
        if self._redis_url:
            _require_answer(self._redis_url)
            yield []
            return
        program = find_server()
        require_writable(self._data_dir)
        with (
            # The server has the descriptor too: the lock is free when both it and we have ended.
            claims.locked(self._data_dir / "broker.lock", _LOCK_WITHIN) as lock,
            claims.private(self._socket.parent),
        ):
            yield [
                ProcessSpec(
                    name="broker",
                    argv=[str(program), *self._options()],
                    ready=self._answers,
                    before=self._prepare,
                    pass_fds=[lock],
                )
            ]

    def _answers(self) -> bool:
        """Whether the embedded server takes commands now."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            try:
                connection.connect(str(self._socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")  # while it loads: -LOADING
            except OSError:
                return False

    def _options(self) -> list[str]:
        return [
            *("--port", "0"),
            *("--unixsocket", str(self._socket), "--unixsocketperm", "700"),
            *("--databases", "2"),
            *("--dir", str(self._files)),
            *("--appendonly", "no", "--save", ""),
            # A full cache must not stop the queue. A job has no end and so is never evicted; what
            # is cached goes by the earliest end, and so before the tags that lead to it.
            *("--maxmemory", _MAXMEMORY, "--maxmemory-policy", "volatile-ttl"),
            *("--logfile", str(self._log)),
        ]

    def _prepare(self) -> None:
        """Make ready for a start of the server; StartError when its latest two were in vain."""
        log = self._log.read_text(errors="replace") if self._log.exists() else ""
        if _BEGAN in log:
            self._starts_in_vain = 0
        if self._starts_in_vain > 1:
            last_words = log.strip().rpartition("\n")[2] or "it said nothing"
            raise StartError(f"The broker ends as soon as it is started: {last_words}")
        self._starts_in_vain += 1
        shutil.rmtree(self._files, ignore_errors=True)
        self._files.mkdir(mode=0o700)
        self._log.write_bytes(b"")
        self._socket.unlink(missing_ok=True)


def _require_answer(redis_url: str) -> None:
    import redis  # half a second, and not needed for a server of our own
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    try:
        with redis.Redis.from_url(
            redis_url, socket_connect_timeout=3, socket_timeout=3, retry=Retry(NoBackoff(), 0)
        ) as client:
            client.ping()
    except (redis.RedisError, ValueError) as fault:
        # Neither the URL nor what does not parse in it, as it may hold a password.
        reason = "it is no URL of a broker" if isinstance(fault, ValueError) else fault
        raise StartError(
            f"The broker that TRELLIS_REDIS_URL names does not answer ({reason}): "
            "start it, correct the setting, or leave it out to have a broker embedded."
        ) from fault
