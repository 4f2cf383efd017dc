"""`trellis openapi` from outside: what it prints, its exit codes, files that are no documents."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.core.openapi.documents import GONE, changed, document
from tests.processes import PATIENCE

from trellis.app import create_app
from trellis.cli.main import cli

Run = Callable[..., Result]

ROOT = Path(__file__).parents[3]
SIGN_IN = "/paths/~1v1~1auth~1sessions/post"


@pytest.fixture
def run() -> Run:
    """``run("diff", path, code=1)`` runs the command to its end."""

    def run(*arguments: Any, code: int = 0) -> Result:
        result = CliRunner().invoke(cli, ["openapi", *map(str, arguments)], prog_name="trellis")
        assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
        return result

    return run


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """``save(document)`` writes a file and returns its path."""

    def save(content: Any, name: str = "base.json") -> Path:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return save


@pytest.fixture
def released(app_environ: object, monkeypatch: pytest.MonkeyPatch, run: Run) -> dict[str, Any]:
    """The document of what is installed, as a release keeps it; `diff` compares with the same."""
    app = create_app()
    monkeypatch.setattr("trellis.app.create_app", lambda: app)
    installed: dict[str, Any] = json.loads(run("export").stdout)
    return installed


def test_the_installed_document_is_whole_and_the_same_as_itself(
    run: Run, released: dict[str, Any], save: Callable[..., Path]
) -> None:
    assert run("check").stderr == "0 fault(s) in the document\n"
    same = run("diff", save(released))
    assert (same.stdout, same.stderr) == ("", "0 change(s), 0 of which may break a client\n")


def test_what_the_release_had_and_the_installation_has_not_breaks(
    run: Run, released: dict[str, Any], save: Callable[..., Path]
) -> None:
    released["paths"]["/v1/lamps"] = {
        "get": {"operationId": "lamps_list", "security": [], "responses": {}}
    }
    told = run("diff", save(released), code=1)
    assert told.stdout == "breaking: /paths/~1v1~1lamps/get (lamps_list): the path is gone\n"
    assert told.stderr == "1 change(s), 1 of which may break a client\n"


def test_what_the_installation_has_and_the_release_had_not_breaks_nothing(
    run: Run, released: dict[str, Any], save: Callable[..., Path]
) -> None:
    told = run("diff", save(changed(released, SIGN_IN, GONE)))
    assert told.stdout == f"compatible: {SIGN_IN} (auth_sign_in): a new operation\n"


def test_two_files_are_compared_and_the_worst_comes_first(
    run: Run, save: Callable[..., Path]
) -> None:
    base = save(document(sent={"type": "string"}, shown={"type": "string", "pattern": "a"}))
    newer = document(sent={"type": "integer"}, shown={"type": "string", "pattern": "b"})
    lines = run("diff", base, save(newer, "head.json"), code=1).stdout.splitlines()
    kinds = [line.partition(":")[0] for line in lines]
    assert kinds == ["breaking", "breaking for generated clients", "cannot tell"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "Expecting value"),
        ("openapi: 3.1.0", "Expecting value"),
        ("[]", "not an OpenAPI 3.1 document"),
        ('"3.1.0"', "not an OpenAPI 3.1 document"),
        ('{"openapi": "3.0.3"}', "not an OpenAPI 3.1 document"),
        ('{"openapi": 3.1}', "not an OpenAPI 3.1 document"),
        ('{"openapi": "3.1.0", "paths": []}', "/paths: not an object"),
        ('{"openapi": "3.1.0", "paths": {"/a": {"get": 3}}}', "/paths/~1a/get: not an object"),
        ("[" * 100_000, "nested too deep"),
        ('{"openapi": "3.1.0", "x": NaN}', "NaN is no JSON"),
        (json.dumps(document(sent={"$ref": "#/nowhere"})), "leads nowhere"),
    ],
)
def test_a_file_that_is_no_document_is_refused_in_a_sentence(
    run: Run, save: Callable[..., Path], content: str, told: str
) -> None:
    good = save(document(), "good.json")
    bad = save(content)
    for pair in ((bad, good), (bad, bad)):
        assert told in run("diff", *pair, code=2).stderr


def test_bytes_that_are_no_text_and_files_that_are_not_there_are_refused(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00\xd8")
    assert "Usage:" in run("diff", tmp_path / "bytes", code=2).stderr
    assert "does not exist" in run("diff", tmp_path / "nothing", code=2).stderr
    assert "is a directory" in run("diff", tmp_path, code=2).stderr
    assert "Missing argument" in run("diff", code=2).stderr


def test_schemas_inside_one_another_are_compared_to_any_depth_that_can_be_read(
    run: Run, save: Callable[..., Path]
) -> None:
    def deep(leaf: Any) -> dict[str, Any]:
        for _ in range(300):
            leaf = {"type": "array", "items": leaf}
        return document(sent=leaf)

    base, head = save(deep({})), save(deep({"type": "string"}), "head.json")
    assert "items (make_thing): request: is string now" in run("diff", base, head, code=1).stdout


def test_a_large_document_whose_schemas_hold_one_another_is_compared(
    run: Run, save: Callable[..., Path]
) -> None:
    def large(leaf: str) -> dict[str, Any]:
        names = [f"Node{number}" for number in range(300)]
        links = {name: {"$ref": f"#/components/schemas/{name}"} for name in names[:20]}
        schemas = {name: {"type": "object", "properties": links} for name in names}
        schemas["Node7"] = {"type": leaf}
        whole = document(shown=links["Node0"], schemas=schemas)
        operation = whole["paths"]["/v1/things/{thing_id}"]["post"]
        for number in range(100):
            named = operation | {"operationId": f"operation{number}"}
            whole["paths"][f"/v1/{number}/{{thing_id}}"] = {"post": named}
        return whole

    base, head = save(large("string")), save(large("integer"), "head.json")
    assert run("diff", base, base).stdout == ""
    breaking = run("diff", base, head, code=1).stdout.splitlines()[0]
    assert breaking.startswith("breaking: /components/schemas/Node7 (make_thing, operation0,")


# --- the build ------------------------------------------------------------------------------------


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make on this machine")
def test_e05_the_build_fails_for_what_breaks_the_clients_of_the_last_release(
    app_environ: object, tmp_path: Path
) -> None:
    """The target of the Makefile that the build runs, on this Python and with files of its own."""
    (tmp_path / "trellis").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m trellis "$@"\n')
    (tmp_path / "trellis").chmod(0o755)
    kept = tmp_path / "released.json"

    def make(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", "--no-print-directory", "DEV=env", f"RELEASED={kept}", *arguments],
            cwd=ROOT,
            env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    assert "compared with nothing" in make("--dry-run", "api").stdout
    assert make("release-document").returncode == 0
    released = json.loads(kept.read_text())
    answers = released["paths"]["/v1/auth/sessions"]["post"]["responses"]
    answers["200"] = {"description": "OK"}
    kept.write_text(json.dumps(released))
    built = make("api")
    assert built.returncode != 0
    assert "(auth_sign_in): 200 is never answered now" in built.stdout
    assert "make api\n" in (ROOT / ".ci/run").read_text()
