"""`trellis cache`: what it shows, and that what it clears is gone from every process."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from tests.core.cache.conftest import Node
from tests.processes import until

from trellis.app import create_app as real_create_app
from trellis.cli.main import cli
from trellis.db.base import db

Run = Callable[..., Result]


@pytest.fixture
def run(app_environ: object, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``run("stats")`` runs ``trellis cache stats``."""
    made: list[Flask] = []

    def create_app() -> Flask:
        made.append(real_create_app())
        return made[-1]

    monkeypatch.setattr("trellis.app.create_app", create_app)

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(cli, ["cache", *arguments], prog_name="trellis")
        for one in made:  # in life the process ends here, and its connections with it
            with one.app_context():
                db.engine.dispose()
        return result

    return run


def test_what_is_kept_is_shown_and_cleared(nodes: tuple[Node, Node], run: Run) -> None:
    one, other = nodes
    for node in nodes:
        assert node.app.test_client().get("/.well-known/jwks.json").status_code == 200
    one.write("old")
    assert (one.read(), other.read()) == ("old", "old")
    until(lambda: "2 process(es)" in run("stats").output, "two that keep values")
    shown = [line.split() for line in run("stats").output.splitlines()]
    [auth] = [line for line in shown if line[0] == "auth"]
    assert int(auth[1]) == 1
    assert int(auth[2].replace(",", "")) > 100
    one.written["a"] = "new"
    assert run("clear", "auth").output == "1 value(s) forgotten.\n"
    assert (one.read(), other.read()) == ("old", "old")
    assert run("clear").exit_code == 0
    assert (one.read(), other.read()) == ("new", "new")


def test_who_is_no_plugin_is_refused(run: Run) -> None:
    result = run("clear", "nobody")
    assert result.exit_code == 2
    assert "nobody is none of core, " in result.output
