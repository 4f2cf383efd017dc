"""A stranger's plugin: built, installed, checked, migrated, served, tested, and removed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parents[1] / "example_plugin"
BUNDLED = {"analytics", "auth", "media", "notifications", "webhooks"}
QUIET = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps")


class Installation:
    """A virtual environment on top of the present one, and an empty directory to run in."""

    def __init__(self, path: Path) -> None:
        self.directory = path / "empty"
        self.directory.mkdir()
        venv.create(path / "venv", with_pip=False, symlinks=True)
        self.python = path / "venv/bin/python"
        [site_packages] = (path / "venv/lib").glob("python*/site-packages")
        present = sysconfig.get_path("purelib")
        (site_packages / "present.pth").write_text(f"import site; site.addsitedir({present!r})\n")
        self.port = _free_port()
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(path),
            "TRELLIS_DATA_DIR": str(path / "var"),
            "TRELLIS_PORT": str(self.port),
        }

    def run(
        self, *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> str:
        """Run `python -m …`, which succeeds; returns what it printed."""
        done = subprocess.run(
            [self.python, "-m", *arguments],
            cwd=cwd or self.directory,
            env={**self.environment, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: exit code {done.returncode}\n{done.stdout}"
        return done.stdout

    def trellis(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        """Run the `trellis` command."""
        return self.run("trellis", *arguments, env=env)

    @contextmanager
    def served(self) -> Iterator[None]:
        """The web process is up and answers."""
        web = subprocess.Popen(
            [self.python, "-m", "trellis", "web"], cwd=self.directory, env=self.environment
        )
        try:
            deadline = time.monotonic() + 60
            while self.get("/health/live")[0] != 200:
                assert web.poll() is None, f"the web process ended with {web.returncode}"
                assert time.monotonic() < deadline, "the web process does not answer"
                time.sleep(0.05)
            yield
        finally:
            web.send_signal(signal.SIGTERM)
            web.wait(timeout=15)

    def get(self, path: str, data: bytes | None = None) -> tuple[int, Any]:
        """Status (0: nobody listens) and JSON of a request, a POST when there is data."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)
        except (urllib.error.URLError, ConnectionError):
            return 0, None


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugin, built from a copy of its sources."""
    path = tmp_path_factory.mktemp("wheel")
    generated = shutil.ignore_patterns("build", "*.egg-info", "__pycache__", ".*")
    shutil.copytree(SOURCE, path / "source", ignore=generated)
    built = [*QUIET, "--no-build-isolation", "--wheel-dir", str(path), str(path / "source")]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *built], check=True, timeout=120)
    [found] = path.glob("*.whl")
    return found


@pytest.fixture
def installation(wheel: Path, tmp_path: Path) -> Installation:
    """An environment into which the plugin has been installed."""
    made = Installation(tmp_path)
    made.run("pip", "install", *QUIET, str(wheel))
    return made


def loaded(installation: Installation, env: Mapping[str, str] | None = None) -> set[str]:
    """Names of the plugins that would start."""
    told = installation.trellis("plugins", "check", env=env)
    return {name.strip() for name in told.partition(":")[2].split(",")}


def test_it_is_checked_migrated_and_served(installation: Installation) -> None:
    assert loaded(installation) == BUNDLED | {"guestbook"}
    listed = installation.trellis("plugins", "list").splitlines()
    [line] = [line for line in listed if line.startswith("guestbook ")]
    assert line.split()[1:3] == ["1.0.0", "enabled"]
    assert line.endswith("A guestbook that everybody reads and signed-in people write.")
    assert "guestbook.max_length" in installation.trellis("config", "show")
    assert "guestbook" in installation.trellis("db", "upgrade")
    with installation.served():
        assert installation.get("/v1/guestbook/entries") == (
            200,
            {"items": [], "next_cursor": None},
        )
        status, problem = installation.get("/v1/guestbook/entries", b'{"text": "Hello"}')
        assert (status, problem["code"]) == (401, "core.unauthenticated")
        _, document = installation.get("/v1/openapi.json")
        assert "/v1/guestbook/entries" in document["paths"]
        assert "GuestbookEntry" in document["components"]["schemas"]


def test_its_own_tests_pass_where_it_is_installed(
    installation: Installation, tmp_path: Path, database_options: list[str]
) -> None:
    # Without the package beside them: the tests see what the wheel brought.
    suite = tmp_path / "suite"
    shutil.copytree(SOURCE / "tests", suite / "tests")
    shutil.copy(SOURCE / "pyproject.toml", suite)
    told = installation.run("pytest", "-q", "-p", "no:cacheprovider", *database_options, cwd=suite)
    assert " passed" in told
    assert "skipped" not in told


def test_its_load_scenario_is_found(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "scenarios.py").write_text(
        "from trellis_perf.scenarios import user_classes\n"
        "print([user.__name__ for user in user_classes({'guestbook'}, mailbox=False)])\n"
    )
    told = installation.run("scenarios", env={"PYTHONPATH": str(tmp_path)})
    assert "GuestbookVisitor" in told


def test_left_out_or_removed_it_harms_nobody(installation: Installation) -> None:
    installation.trellis("db", "upgrade")
    left_out = {
        "TRELLIS_PLUGINS__DISABLED": '["guestbook"]',
        "TRELLIS_GUESTBOOK__MAX_LENGTH": "7",  # may stay where it is meanwhile
    }
    assert loaded(installation, left_out) == BUNDLED
    assert "guestbook" not in installation.trellis("openapi", "export", env=left_out)

    installation.run("pip", "uninstall", "--yes", "--quiet", "trellis-guestbook")
    assert "guestbook" not in installation.trellis("db", "upgrade")
    installation.trellis("db", "check")
    with installation.served():
        assert installation.get("/v1/guestbook/entries")[0] == 404
        assert installation.get("/v1/openapi.json")[0] == 200
