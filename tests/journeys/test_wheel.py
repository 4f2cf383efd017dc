"""Who has the wheel needs no checkout: `trellis serve` and `trellis demo` in an empty directory."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from tests.processes import Trellis

ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The programs of a new environment with the built wheel; what it needs is that of this one."""
    checkout = tmp_path / "checkout"
    for name in ("core", "plugins", "perf", "config", "migrations"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, checkout / name, ignore=ignored)
    for name in ("setup.py", "pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    pip = [sys.executable, "-m", "pip", "--quiet"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "."]
    subprocess.run([*pip, *build], cwd=checkout, check=True)
    (wheel,) = (path.rename(tmp_path / path.name) for path in checkout.glob("*.whl"))
    shutil.rmtree(checkout)

    venv.create(tmp_path / "venv")
    programs = tmp_path / "venv" / "bin"
    at = ["--python", str(programs / "python")]
    install = [*at, "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([*pip, *install], check=True)
    (packages,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    assert (packages / "trellis").is_dir()
    # Behind its own, and without what an editable installation does there by .pth files.
    (packages / "needs.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return programs


@pytest.mark.nightly
def test_the_wheel_serves_in_an_empty_directory(installed: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    trellis = Trellis(empty, {"PYTHONPATH": ""}, command=(str(installed / "trellis"),))
    try:
        trellis.start()
        assert {path.name for path in empty.iterdir()} == {"output.log", "var"}
        shown = trellis.run("demo")
        assert shown.returncode == 0, shown.stderr
        assert "✗" not in shown.stdout
        trellis.interrupt()
    finally:
        trellis.clean_up()
