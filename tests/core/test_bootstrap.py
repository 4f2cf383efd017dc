"""`make serve` on a fresh machine: what is missing is one sentence, and nothing stays half done."""

from __future__ import annotations

import ast
import importlib.util
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

BOOTSTRAP = Path(__file__).parents[2] / "bootstrap.py"
PYTHON = (sys.executable, "-E")
OLD_PYTHONS = ("python2.7", *(f"python3.{minor}" for minor in range(6, 11)))

# A checkout that installs without a package index: it needs nothing, and builds itself.
PYPROJECT = """[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = '''
import os, zipfile
METADATA = "Metadata-Version: 2.1\\nName: toy\\nVersion: 1\\n"
def build_editable(directory, config_settings=None, metadata_directory=None):
    """A wheel that holds nothing."""
    name = "toy-1-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
        wheel.writestr("toy-1.dist-info/METADATA", METADATA)
        wheel.writestr("toy-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr("toy-1.dist-info/RECORD", "")
    return name
'''


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "a checkout"
    (root / "requirements").mkdir(parents=True)
    shutil.copy(BOOTSTRAP, root)
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "backend.py").write_text(BACKEND)
    for name in ("setup.py", *(f"requirements/{kind}.txt" for kind in ("build", "run", "dev"))):
        (root / name).write_text("")
    return root


def start(
    root: Path, *arguments: str, python: tuple[str, ...] = PYTHON, env: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    """Run the file without the settings of this machine's pip."""
    machine = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    machine["PIP_CONFIG_FILE"] = os.devnull
    return subprocess.Popen(
        [*python, str(root / "bootstrap.py"), *arguments],
        env=machine | (env or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def pretending(statement: str) -> tuple[str, ...]:
    """This Python, but with something changed before the file runs."""
    run = "sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')"
    return (sys.executable, "-E", "-c", f"import runpy, sys; {statement}; {run}")


def old_pythons() -> list[tuple[str, ...]]:
    pyenv = Path.home() / ".pyenv/versions"
    names = [shutil.which(name, path=os.defpath) for name in OLD_PYTHONS]
    names += [str(found) for name in OLD_PYTHONS for found in pyenv.glob(f"*/bin/{name}")]
    return [(name,) for name in names if name]


def test_uses_no_syntax_that_python_2_7_cannot_read() -> None:
    newer = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.YieldFrom, ast.Nonlocal, ast.Match)
    for node in ast.walk(ast.parse(BOOTSTRAP.read_text())):
        assert not isinstance(node, newer)
        if isinstance(node, ast.FunctionDef):
            assert node.returns is None
            assert not node.args.kwonlyargs
            assert not any(argument.annotation for argument in node.args.args)
        if isinstance(node, ast.Raise):
            assert node.cause is None
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            assert not any(isinstance(element, ast.Starred) for element in node.elts)


def test_an_old_python_says_what_is_missing(checkout: Path) -> None:
    pretended = pretending("sys.version_info = (3, 8, 1)")
    for python in [pretended, *old_pythons()]:
        code, out, err = finish(start(checkout, python=python, env={"PATH": "/nonexistent"}))
        assert (code, out) == (2, ""), python
        assert err.startswith("trellis: Trellis needs Python 3.11 or newer; this is Python ")
        assert err.count("\n") == 1
    assert not (checkout / ".venv").exists()


def test_an_old_python_hands_over_to_a_newer_one_on_the_path(checkout: Path) -> None:
    programs = checkout / "programs"
    programs.mkdir()
    (programs / "python3.14").symlink_to("/bin/false")  # as pyenv's shims of absent versions do
    (programs / "python3.11").symlink_to(os.path.realpath(sys.executable))
    (checkout / ".venv").write_text("in the way")
    (checkout / ".venv.lock").mkdir()
    old = pretending("sys.version_info = (3, 8, 1)")
    code, _, err = finish(start(checkout, python=old, env={"PATH": str(programs)}))
    assert code == 2
    assert "cannot write its environment" in err  # so it got as far as installing


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_a_python_without_venv_is_told_how_to_get_it(checkout: Path, module: str) -> None:
    code, out, err = finish(start(checkout, python=pretending(f"sys.modules['{module}'] = None")))
    assert (code, out) == (2, "")
    assert f"no module '{module}'" in err
    assert err.count("\n") == 1


def test_a_directory_that_cannot_be_written_is_named(checkout: Path) -> None:
    # root writes anywhere, unless it gives that up
    humble = ("setpriv", "--bounding-set=-dac_override") if os.geteuid() == 0 else ()
    checkout.chmod(0o555)
    code, out, err = finish(start(checkout, python=(*humble, *PYTHON)))
    checkout.chmod(0o755)
    assert (code, out) == (2, "")
    assert f"cannot write its environment in {checkout}: [Errno 13] Permission denied" in err
    assert err.count("\n") == 1


def test_no_package_index_is_one_sentence_and_the_log(checkout: Path) -> None:
    (checkout / "requirements/run.txt").write_text(f"absent==1 --hash=sha256:{'0' * 64}\n")
    closed = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0"}
    code, out, err = finish(start(checkout, env=closed))
    assert (code, out) == (2, "")
    last = err.splitlines()[-1]
    assert last.startswith("trellis: pip could not install Trellis, which needs a package index: ")
    assert "absent==1" in last
    assert (checkout / ".venv/setup.log").is_file()
    assert str(checkout / ".venv/setup.log") in last


def test_an_interrupted_install_is_done_again_from_clean_once_and_then_found_whole(
    checkout: Path,
) -> None:
    first = start(checkout)
    deadline = time.monotonic() + 60
    while not (checkout / ".venv/bin/python").exists():
        assert time.monotonic() < deadline
        assert first.poll() is None
    os.killpg(first.pid, signal.SIGKILL)
    finish(first)
    (checkout / ".venv/half").write_text("left behind")

    command = "import sys, os, hashlib; print(sys.prefix, os.environ['VIRTUAL_ENV'])"
    both = [start(checkout, "python", "-c", command) for _ in range(2)]
    venv = str(checkout / ".venv")
    expected = (0, f"{venv} {venv}\n")
    results = [finish(process) for process in both]
    assert [result[:2] for result in results] == [expected] * 2
    assert sum("making" in err for _, _, err in results) == 1
    assert not (checkout / ".venv/half").exists()

    shadow = checkout / "elsewhere"
    shadow.mkdir()
    (shadow / "hashlib.py").write_text("raise SystemExit('a stranger')")
    foreign = {"PYTHONPATH": str(shadow), "PYTHONHOME": "/absent", "VIRTUAL_ENV": "/absent"}
    before = cpu_of_children()
    assert finish(start(checkout, "python", "-c", command, env=foreign)) == (*expected, "")
    assert cpu_of_children() - before < 0.3  # other tests take their share of the clock

    code, _, err = finish(start(checkout, "absent"))
    assert (code, err) == (2, "trellis: absent cannot be started: No such file or directory.\n")

    bootstrap = load(checkout)
    assert bootstrap.installed("run")
    assert not bootstrap.installed("dev")
    for name in ("setup.py", "requirements/run.txt"):
        (checkout / name).write_text("# changed\n")
        assert not bootstrap.installed("run")
        (checkout / name).write_text("")
        assert bootstrap.installed("run")


def cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def load(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", root / "bootstrap.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
