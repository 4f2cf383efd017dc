"""E-03: a public linter finds nothing in the document of what is installed, warnings included."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from tests.processes import PATIENCE

from trellis.api import export_openapi

pytestmark = pytest.mark.nightly  # to install it takes minutes

LINTER = Path(__file__).parents[3] / "requirements/npm/node_modules/.bin/redocly"

OLDEST_NODE = (20, 19)


def node_version() -> tuple[int, ...]:
    if not shutil.which("node"):
        return ()
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    return tuple(int(part) for part in re.findall(r"\d+", told.stdout)[:2])


@pytest.fixture(autouse=True)
def linter() -> None:
    if node_version() < OLDEST_NODE:
        pytest.skip("there is no node from 20.19 on this machine")
    if not LINTER.exists():
        pytest.skip("the linter is not there: make npm")


def lint(document: str, directory: Path) -> list[str]:
    """The rules that the document does not keep, each as often as it is broken."""
    path = directory / "openapi.json"
    path.write_text(document)
    done = subprocess.run(
        [LINTER, "lint", path, "--extends=recommended-strict", "--format=json"],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={
            "PATH": str(Path(shutil.which("node") or "").parent),
            "REDOCLY_TELEMETRY": "off",
            "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true",
        },
    )
    told: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == bool(told["totals"]["errors"]), done.stderr
    assert told["totals"]["ignored"] == told["totals"]["warnings"] == 0
    return [
        f"{problem['ruleId']}: {problem['message']} {problem['location'][0].get('pointer')}"
        for problem in told["problems"]
    ]


def test_e03_the_document_lints_without_errors_and_warnings(app: Flask, tmp_path: Path) -> None:
    assert lint(export_openapi(app), tmp_path) == []


def test_e03_the_linter_finds_what_is_wrong(app: Flask, tmp_path: Path) -> None:
    document = json.loads(export_openapi(app))
    operation = document["paths"]["/v1/auth/sessions"]["post"]
    operation["operationId"] = "auth_sign_up"
    del operation["summary"], document["info"]["license"]
    del document["components"]["schemas"]["AuthSignIn"]
    found = {told.partition(":")[0] for told in lint(json.dumps(document), tmp_path)}
    assert found == {
        "operation-operationId-unique",
        "operation-summary",
        "info-license",
        "no-unresolved-refs",
    }
