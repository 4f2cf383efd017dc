"""Locust patches sockets when it is imported: no process that serves may ever do that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from trellis.testing.borders import breaches, imports_any_of

ROOT = Path(__file__).parents[2]
LOAD = ["locust", "gevent"]
# Everything that any process type of the app imports, late imports included.
EVERYTHING = """
import importlib, pkgutil, sys
from trellis.app import create_app
import trellis
app = create_app()
packages = ["trellis", *(plugin.package for plugin in app.extensions["trellis"].plugins.values())]
found = 0
for package in packages:
    path = importlib.import_module(package).__path__
    for module in pkgutil.walk_packages(path, f"{package}."):
        name = module.name.removeprefix(f"{package}.")
        if name.split(".")[0] not in ("perf", "testing", "migrations", "__main__", "wsgi"):
            importlib.import_module(module.name)
            found += 1
print(found, sorted({"locust", "gevent"} & set(sys.modules)))
"""


def test_no_process_that_serves_imports_it(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", EVERYTHING],
        cwd=tmp_path,
        env={**os.environ, "TRELLIS_DATA_DIR": str(tmp_path / "var")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    modules, _, loaded = told.stdout.strip().partition(" ")
    assert int(modules) > 100
    assert loaded == "[]"


def test_only_load_scenarios_name_it() -> None:
    serving = [*(ROOT / "core").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]
    paths = [path for path in serving if path.name != "perf.py"]
    assert not list(breaches(paths, imports_any_of(LOAD)))
    naming = [ROOT / "perf/trellis_perf/user.py", *(ROOT / "plugins").glob("*/perf.py")]
    assert list(breaches(naming, imports_any_of(LOAD))), "the rule sees nothing"
