from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from trellis.errors import StartError
from trellis.local.ports import is_port_free, require_port, require_writable


def test_a_port_is_taken_while_somebody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_port_free("127.0.0.1", port)
        assert not is_port_free("0.0.0.0", port)
        with pytest.raises(StartError, match=f"^Port {port} on 127.0.0.1 is taken .*TRELLIS_PORT"):
            require_port("127.0.0.1", port)

    assert is_port_free("127.0.0.1", port)
    require_port("localhost", port)


def test_a_server_that_has_just_ended_leaves_its_port_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()  # first, so that this end lingers in TIME_WAIT
        client.close()

    assert is_port_free("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_others_is_told(host: str) -> None:
    with pytest.raises(StartError, match=f"cannot listen on {host}, port 80.*TRELLIS_HOST"):
        require_port(host, 8000)


def test_a_missing_data_directory_is_made(tmp_path: Path) -> None:
    require_writable(tmp_path / "a" / "b")

    assert (tmp_path / "a" / "b").is_dir()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_data_directory_below_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StartError, match=r"file/var cannot be written \(Not a directory\)"):
        require_writable(tmp_path / "file" / "var")


def test_a_data_directory_of_somebody_else_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    code = (
        "import sys; from pathlib import Path; from trellis.local.ports import require_writable\n"
        "require_writable(Path(sys.argv[1]))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, "/proc/self" if os.getuid() == 0 else str(tmp_path)],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "cannot be written" in answer.stderr
    assert "TRELLIS_DATA_DIR" in answer.stderr
