"""Who may use what, beyond what import-linter sees; each rule is first proved on a bad sample."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from trellis.testing import borders
from trellis.testing.borders import Rule, breaches

ROOT = Path(__file__).parents[2]
# Libraries, which import nothing of it.
BELOW_THE_CORE = {
    "trellis_cache",
    "trellis_http",
    "trellis_outgoing",
    "trellis_schemas",
    "trellis_statements",
}

# The few places where a rule of the unit of work does not hold, because it is made of them.
ALLOWED: dict[Rule, frozenset[str]] = {
    borders.ends_a_transaction: frozenset(
        {
            "trellis/unit_of_work.py",
            "trellis/db/transaction.py",
            "trellis/db/migrations.py",
            "trellis/db/pulse.py",  # the driver's own, which it leaves out where nothing goes on
            # A backup is one state of all tables, and a restore is no unit of anybody's work.
            "trellis_backup/snapshot.py",
            "trellis_backup/loading.py",
            "trellis_backup/restore.py",
            "trellis_backup/verify.py",
        }
    ),
    borders.opens_a_session: frozenset(
        {
            "trellis/db/transaction.py",
            "trellis_backup/verify.py",
        }
    ),
    borders.enqueues: frozenset({"trellis/jobs/wake.py", "trellis/jobs/worker.py"}),
}

SAMPLES: list[tuple[Rule, str]] = [
    (borders.ends_a_transaction, "session.commit()"),
    (borders.ends_a_transaction, "uow.session.rollback()"),
    (borders.ends_a_transaction, "with engine.begin() as connection: ..."),
    (borders.ends_a_transaction, "session.begin(nested=False)"),
    (borders.ends_a_transaction, "connection.execute(text('commit'))"),
    (borders.ends_a_transaction, "connection.exec_driver_sql('BEGIN IMMEDIATE')"),
    (borders.opens_a_session, "db.session.add(row)"),
    (borders.opens_a_session, "sqlalchemy.create_engine(url)"),
    (borders.opens_a_session, "orm.sessionmaker(bind=engine)"),
    (borders.opens_a_session, "engine.execution_options(isolation_level='AUTOCOMMIT')"),
    (borders.enqueues, "import rq"),
    (borders.enqueues, "from rq.job import Job"),
    (borders.enqueues, "Queue('light').enqueue(work)"),
    (borders.enqueues, "self.queue.enqueue_call('work')"),
    (borders.enqueues, "queue.enqueue_in(delay, work)"),
    (borders.opens_a_unit, "from trellis.unit_of_work import unit_of_work"),
    (borders.leaves_the_public_core, "import trellis"),
    (borders.leaves_the_public_core, "import trellis.runtime"),
    (borders.leaves_the_public_core, "from trellis import outbox"),
    (borders.leaves_the_public_core, "from trellis.db.base import db"),
    (borders.leaves_the_public_core, "from trellis.db import db"),
    (borders.leaves_the_public_core, "from trellis.db import reads"),
    (borders.leaves_the_public_core, "from trellis.errors import _CODE"),
    (borders.leaves_the_public_core, "from trellis_schemas.schema import Schema"),
    (borders.leaves_the_public_core, "def late():\n    from trellis.feed.reader import head"),
    (borders.imports_any_of(["trellis_auth"]), "from trellis_auth import services"),
    (borders.imports_any_of(["trellis_auth"]), "import trellis_auth.models"),
]
FINE: list[tuple[Rule, str]] = [
    (borders.ends_a_transaction, "check.begin(app)"),
    (borders.ends_a_transaction, "with uow.session.begin_nested(): ..."),
    (borders.ends_a_transaction, "connection.execute(text('SELECT 1'))"),
    (borders.opens_a_session, "uow.session.add(row)"),
    (borders.enqueues, "uow.enqueue('media.make_renditions')"),
    (borders.opens_a_unit, "from trellis.unit_of_work import UnitOfWork"),
    (borders.leaves_the_public_core, "from trellis.db import fetch_all"),
    (borders.leaves_the_public_core, "import trellis.db"),
    (borders.leaves_the_public_core, "from trellis_media import services"),
    (borders.imports_any_of(["trellis_auth"]), "from trellis.contracts import Identity"),
]


def config() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"][
        "importlinter"
    ]
    return found


def folders(*roots: str) -> Iterator[str]:
    for root in roots:
        yield from (path.parent.name for path in (ROOT / root).glob("trellis*/__init__.py"))


# --- the rules can fail -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "source"), SAMPLES, ids=lambda part: getattr(part, "__name__", part)[:40]
)
def test_a_rule_sees_a_bad_sample(rule: Rule, source: str, tmp_path: Path) -> None:
    sample = tmp_path / "sample.py"
    sample.write_text(f"\n\n{source}\n")
    found = list(breaches([sample], rule))
    assert len(found) == 1
    assert str(found[0]).startswith(f"{sample}:{3 + source.count(chr(10))}: ")


@pytest.mark.parametrize(
    ("rule", "source"), FINE, ids=lambda part: getattr(part, "__name__", part)[:40]
)
def test_a_rule_lets_the_proper_way_pass(rule: Rule, source: str) -> None:
    assert not any(rule(node) for node in ast.walk(ast.parse(source)))


# --- the unit of work -------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ALLOWED, ids=lambda rule: rule.__name__)
def test_nothing_passes_by_the_unit_of_work(rule: Rule) -> None:
    exempt = {ROOT / "core" / name for name in ALLOWED[rule]}
    paths = [path for root in ("core", "plugins", "perf") for path in (ROOT / root).rglob("*.py")]
    # Measurements set our way against others' ways, and do not ship.
    paths = [path for path in paths if ROOT / "perf/micro" not in path.parents]
    assert len(paths) > 100
    found = list(breaches((path for path in paths if path not in exempt), rule))
    assert not found, "\n".join(["", *map(str, found)])


def test_the_kit_knows_every_package_of_the_core() -> None:
    assert set(folders("core")) == borders._CORE


@pytest.mark.parametrize("rule", ALLOWED, ids=lambda rule: rule.__name__)
def test_no_exemption_is_out_of_date(rule: Rule) -> None:
    for name in ALLOWED[rule]:
        assert list(breaches([ROOT / "core" / name], rule)), f"{name} needs its exemption no longer"


# --- import-linter ----------------------------------------------------------------------------


def test_import_linter_knows_every_package() -> None:
    roots = config()["root_packages"]
    assert sorted(roots) == sorted(folders("core", "plugins", "perf"))


def test_import_linter_holds_every_plugin_to_every_contract_of_plugins() -> None:
    plugins = set(folders("plugins"))
    contracts = {contract["name"]: contract for contract in config()["contracts"]}
    others = plugins | set(folders("core", "perf")) - {"trellis"} - BELOW_THE_CORE
    assert set(contracts["The core knows nothing that stands on it"]["forbidden_modules"]) == others
    assert set(contracts["No plugin knows another"]["modules"]) == plugins
    layered = [
        contract
        for contract in contracts.values()
        if contract["type"] == "layers" and contract["containers"] != ["trellis"]
    ]
    assert len(layered) == 2
    for contract in layered:
        assert set(contract["containers"]) == plugins
    routes = contracts["Routes, tasks and listeners leave the database to services"]
    assert {f"{name}.api" for name in plugins} <= set(routes["source_modules"])


def test_import_linter_sees_every_import() -> None:
    assert not config().get("exclude_type_checking_imports")
    for contract in config()["contracts"]:
        assert not contract.get("ignore_imports"), contract["name"]


def test_every_plugin_folder_is_found_through_its_entry_point() -> None:
    loaded = {
        entry.value.partition(".")[0]
        for entry in entry_points(group="trellis.plugins")
        if entry.dist is not None and entry.dist.name == "trellis-backend"
    }
    assert loaded == set(folders("plugins"))
