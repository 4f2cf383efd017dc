"""The `trellis` command: quick to ask, honest in its exit codes, one sentence for what is wrong."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from openapi_spec_validator import validate

import trellis
from trellis.app import create_app as real_create_app
from trellis.cli.main import cli, main
from trellis.db import migrations
from trellis.db.base import db
from trellis.runtime import Runtime
from trellis.settings import describe

Run = Callable[..., Result]
BUNDLED = ["analytics", "auth", "media", "notifications", "webhooks"]


@pytest.fixture
def run(app_environ: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """``run("db", "status")`` runs the command against the database of `app`."""
    made: list[Flask] = []

    def create_app() -> Flask:
        made.append(real_create_app())
        return made[-1]

    monkeypatch.setattr("trellis.app.create_app", create_app)

    def run(*arguments: str, code: int = 0, **options: Any) -> Result:
        result = CliRunner().invoke(cli, arguments, prog_name="trellis", **options)
        assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
        return result

    yield run
    # In life the process ends here, and its connections with it.
    for one in made:
        with one.app_context():
            db.engine.dispose()


@pytest.fixture
def stop(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., str]:
    """``stop("web", port="x")`` runs a command that must not start; returns what it tells."""

    def stop(*arguments: str, **environ: str) -> str:
        monkeypatch.setattr(sys, "argv", ["trellis", *arguments])
        monkeypatch.setenv("TRELLIS_DATA_DIR", str(tmp_path / "var"))
        for name, value in environ.items():
            monkeypatch.setenv(f"TRELLIS_{name.upper()}", value)
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        assert ended.value.code == 2
        assert told.out == ""
        assert "Traceback" not in told.err
        return told.err

    return stop


# --- finding a command --------------------------------------------------------------------------


def test_help_lists_every_command_with_what_it_does(run: Run) -> None:
    told = run("--help").stdout
    for name in ("serve", "web", "stream", "worker", "scheduler", "db", "plugins", "config"):
        assert re.search(rf"^  {name} +[A-Z]\w+", told, re.MULTILINE), name
    for added in ("auth", "demo", "perf"):
        assert re.search(rf"^  {added} ", told, re.MULTILINE), added
    assert "media" not in told, "it has no commands"
    assert "..." not in told.partition("Commands:")[2]


def test_asking_for_help_imports_neither_database_nor_web_server() -> None:
    code = (
        "import sys; sys.argv = ['trellis', '--help']\n"
        "from trellis.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(*sys.modules)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    modules = set(told.splitlines()[-1].split())
    assert "click" in modules
    assert not modules & {"sqlalchemy", "alembic", "rq", "granian", "pydantic", "locust"}


def test_it_tells_its_version(run: Run) -> None:
    assert run("--version").stdout == f"trellis, version {trellis.__version__}\n"


@pytest.mark.parametrize("name", ["nothing", "media", "core"])
def test_what_is_no_command_is_refused(run: Run, name: str) -> None:
    assert f"No such command '{name}'" in run(name, code=2).stderr


def test_a_plugin_s_commands_run_with_the_application(run: Run) -> None:
    assert "create-operator" in run("auth", "--help").stdout
    short = run(
        "auth", "create-operator", "ops@example.com", "--password-stdin", input="x\n", code=1
    )
    assert "password" in short.stderr


# --- looking at what is installed ---------------------------------------------------------------


def test_plugins_list_shows_name_version_state_and_title(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRELLIS_PLUGINS__DISABLED", "media")
    rows = [line.split(maxsplit=3) for line in run("plugins", "list").stdout.splitlines()]
    bundled = [row for row in rows if row[0] in BUNDLED]
    assert [row[0] for row in bundled] == BUNDLED
    assert {row[1] for row in bundled} == {trellis.__version__}
    assert [row[2] for row in bundled] == ["enabled", "enabled", "disabled", "enabled", "enabled"]
    assert bundled[1][3] == "Accounts, sessions and tokens: who is calling."


def test_plugins_check_goes_through_the_phases(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    told = run("plugins", "check").stdout
    assert all(name in told for name in BUNDLED)
    monkeypatch.setenv("TRELLIS_PLUGINS__ONLY", "notifications,auth")
    assert run("plugins", "check").stdout == "2 plugin(s) would start: auth, notifications\n"


def test_config_show_tells_every_setting_with_its_source_and_no_secret(
    app: Flask, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRELLIS_METRICS_TOKEN", "open-sesame")
    monkeypatch.setenv("TRELLIS_MEDIA__MAX_UPLOAD_BYTES", "4096")
    monkeypatch.setenv("TRELLIS_NOTIFICATIONS__MAIL_URL", "smtp://us:hunter2@mail.example.com")
    told = run("config", "show").stdout
    runtime: Runtime = app.extensions["trellis"]
    shown = {line.split()[0]: line for line in told.splitlines()}
    assert set(shown) == {row.key for row in describe(runtime.settings)}
    assert re.search(
        r" 4096 +environment TRELLIS_MEDIA__MAX_UPLOAD_BYTES$", shown["media.max_upload_bytes"]
    )
    assert shown["metrics_token"].split()[1:] == [
        "********",
        "environment",
        "TRELLIS_METRICS_TOKEN",
    ]
    for secret in (
        "open-sesame",
        "hunter2",
        runtime.settings.core.secret_keys[0].get_secret_value(),
    ):
        assert secret not in told


def test_api_report_tells_what_is_compiled_and_what_is_not(run: Run) -> None:
    lines = run("api", "report").stdout.splitlines()
    told = {name: lines[lines.index(name) + 1 :] for name in lines if not name.startswith(" ")}
    assert told["media_list_assets"][:2] == ["  query    compiled", "  200      compiled"]
    assert told["media_upload_asset"][0] == "  files    marshmallow: read from files"
    assert told["core_get_job"][:3] == [
        "  200      compiled, but for",
        "           /priority  Function makes its value by itself",
        "           /arguments  no rule for Dict as it is set",
    ]


def test_openapi_export_prints_the_whole_document(run: Run) -> None:
    document = json.loads(run("openapi", "export").stdout)
    validate(document)
    assert {"/v1/stream", "/v1/media/assets"} <= set(document["paths"])


# --- migrating ----------------------------------------------------------------------------------


def test_db_takes_an_owner_down_and_everybody_up_again(app: Flask, run: Run) -> None:
    assert "pending" not in run("db", "status").stdout
    told = run("db", "downgrade", "--plugin", "media").stdout
    assert re.search(r"^media +\S+ +pending: \w+$", told, re.MULTILINE)
    assert "media" in run("db", "status", code=1).stdout
    run("db", "check", "--plugin", "auth")
    assert "pending" not in run("db", "upgrade").stdout
    run("db", "check")


def test_db_upgrades_one_owner_alone(run: Run) -> None:
    for name in ("media", "analytics"):
        run("db", "downgrade", "--plugin", name, "base")
    told = run("db", "upgrade", "--plugin", "media").stdout
    assert re.findall(r"^(\w+) .*pending", told, re.MULTILINE) == ["analytics"]


def test_db_check_tells_a_difference(app: Flask, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "drift", {"media": "a column too many"}.get)
    assert run("db", "check", code=1).stdout == "media: a column too many\n"
    assert run("db", "check", "--plugin", "auth").stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["upgrade", "--plugin", "nobody"],
        ["downgrade", "--plugin", "nobody"],
        ["check", "--plugin", "nobody"],
        ["revise", "--plugin", "nobody", "more"],
    ],
)
def test_db_refuses_whoever_owns_no_migrations(run: Run, arguments: list[str]) -> None:
    assert "'nobody' owns no migrations" in run("db", *arguments, code=2).stderr


def test_db_takes_nobody_down_who_is_not_named(run: Run) -> None:
    assert "Missing option '--plugin'" in run("db", "downgrade", code=2).stderr


# --- what stops a start -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", [["web"], ["openapi", "export"], ["db", "status"], ["plugins", "check"]]
)
def test_unknown_settings_are_told_all_at_once(
    stop: Callable[..., str], command: list[str]
) -> None:
    told = stop(*command, prot="80", port="eighty", media__max_upload="1").splitlines()
    assert len(told) == 3
    assert all(line.startswith("trellis: ") and line[-1] in ".?" for line in told)
    for name in ("TRELLIS_PROT", "TRELLIS_PORT", "TRELLIS_MEDIA__MAX_UPLOAD"):
        assert any(name in line for line in told), name


def test_faults_of_plugins_are_told_as_a_table(stop: Callable[..., str]) -> None:
    told = stop("plugins", "check", plugins__disabled="auth,notifications").splitlines()
    assert told[0] == "trellis: 3 fault(s) in plugins"
    assert told[1].split() == ["PLUGIN", "VERSION", "PHASE", "CAUSE"]
    for line, name in zip(told[2:], ["analytics", "media", "webhooks"], strict=True):
        row = line.split(maxsplit=3)
        assert row == [
            name,
            trellis.__version__,
            "services",
            "uses port Identity, which nobody provides",
        ]


def test_a_directory_that_cannot_be_written_is_told(
    stop: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "var").write_text("a file where the directory should be")
    [line] = stop("serve").splitlines()
    assert str(tmp_path / "var") in line


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["db", "downgrade", "--plugin", "core", "nosuchrevision"], "nosuchrevision"),
        (["db", "check"], "not up to date"),
        (["auth", "create-operator", "a@example.com", "--password-stdin"], "auth_user"),
    ],
)
def test_a_database_that_is_not_ready_is_told(
    stop: Callable[..., str], monkeypatch: pytest.MonkeyPatch, command: list[str], told: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("a long enough password\n"))
    assert told in stop(*command)


def test_a_demo_without_a_server_is_told(stop: Callable[..., str]) -> None:
    [line] = stop("demo", "--url", "http://127.0.0.1:1").splitlines()
    assert line == "trellis: Nothing answers at http://127.0.0.1:1: start it with `trellis serve`."


def test_a_fault_of_ours_is_no_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["trellis", "openapi", "export"])
    monkeypatch.setattr("trellis.app.create_app", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main()


@pytest.mark.parametrize("arguments", [["worker"], ["worker", "medium"], ["db", "sideways"]])
def test_what_is_no_argument_is_a_mistake_of_usage(run: Run, arguments: list[str]) -> None:
    assert "Usage: trellis" in run(*arguments, code=2).stderr
