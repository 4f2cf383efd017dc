"""What a stranger gets: each file under its true import name, each need declared and locked."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
SHIPPED = {
    path.name: path
    for pattern in ("core/trellis*", "plugins/trellis_*", "perf/trellis_*")
    for path in ROOT.glob(pattern)
} | {"trellis_config": ROOT / "config", "trellis_migrations": ROOT / "migrations"}
LISTS = ROOT / "requirements"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("core", "plugins", "perf", "config", "migrations"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "."]
    subprocess.run(command, cwd=copy, check=True)
    (built,) = copy.glob("*.whl")
    return zipfile.ZipFile(built)


def test_the_wheel_holds_every_file_under_its_import_name(wheel: zipfile.ZipFile) -> None:
    expected = {
        f"{package}/{path.relative_to(folder).as_posix()}"
        for package, folder in SHIPPED.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == expected
    assert any(name.endswith("dist-info/licenses/LICENSE") for name in wheel.namelist())


def third_party(folder: Path, owners: Mapping[str, list[str]]) -> Iterator[tuple[str, Path]]:
    """The distributions that a folder imports by name."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules = [node.module]
            else:
                continue
            for top in {module.split(".")[0] for module in modules}:
                if top not in sys.stdlib_module_names and top not in SHIPPED:
                    yield canonicalize_name(owners[top][0]), path.relative_to(ROOT)


@cache
def declared(extra: str) -> set[str]:
    needs = [Requirement(line) for line in requires("trellis-backend") or ()]
    return {
        canonicalize_name(need.name)
        for need in needs
        if not (need.marker and "extra" in str(need.marker))
        or need.marker.evaluate({"extra": extra})
    }


def test_every_import_is_a_declared_need() -> None:
    owners = packages_distributions()  # which reads what everything installed says of itself
    for package, folder in SHIPPED.items():
        for name, path in third_party(folder, owners):
            assert name in declared(extra_of(package, path)), f"{path} imports {name}"


def extra_of(package: str, path: Path) -> str:
    """Who imports this file has this extra; nobody else may need what it imports."""
    if package == "trellis_perf" or path.name == "perf.py":
        return "perf"
    if package == "trellis_openapi" and path.name == "rules.py":
        return "openapi"
    return "dev" if "testing" in path.parts else ""


def test_every_declared_need_is_used() -> None:
    sources = [path.read_text() for folder in SHIPPED.values() for path in folder.rglob("*.py")]
    words = {word for source in sources for word in re.findall(r"\w+", source)}
    used = {
        canonicalize_name(owner)
        for module, owners in packages_distributions().items()
        if module in words
        for owner in owners
    }
    assert declared("perf") | declared("openapi") <= used


def test_the_locked_lists_hold_every_need_with_hashes_and_no_address() -> None:
    locked = {}
    for kind in ("build", "run", "dev"):
        text = (LISTS / f"{kind}.txt").read_text()
        assert not re.search(r"https?://|^-|file:", text, re.MULTILINE)
        entries = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip())
        assert all("--hash=sha256:" in entry for entry in entries)
        locked[kind] = {entry.split()[0] for entry in entries}
    assert locked["run"] <= locked["dev"]
    for kind, extra in (("run", ""), ("dev", "dev")):
        names = {pin.split("==")[0] for pin in locked[kind]}
        assert declared(extra) <= names
