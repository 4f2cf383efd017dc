"""Each thing that can be wrong with a plugin stops the start, told with its phase and cause.

All the faulty plugins are installed at once, beside the bundled ones: one start shows every fault.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

CLASS = """
from typing import Protocol
from trellis.contracts import EventSink, Identity
from trellis.plugin import Cron, Every, Permission, PersonalData, Plugin

class Ledger(Protocol):
    ...

class Faulty(Plugin):
    '''Written by a test.'''
    name = "NAME"
    core = ">=1.0,<2"
"""
TABLE = """
from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column
from trellis.db import Model

class Thing(Model):
    __tablename__ = "NAME_thing"
    id: Mapped[int] = mapped_column(primary_key=True)
"""
EVENT = """
from dataclasses import dataclass
from trellis.events import Event

@dataclass(frozen=True)
class Happened(Event):
    resource, operation = "thing", "created"
"""
LISTENERS = """
def listen(envelope):
    ...
"""
TASKS = """
from trellis.jobs import task

@task()
def tidy():
    ...
"""
ROUTE = """
from trellis.api import Blueprint, Schema
blueprint = Blueprint("NAME", __name__)

@blueprint.route("/things")
@blueprint.access(public="a test")
def look():
    '''Look.'''
"""
SCHEMA = """
from trellis.api import Schema

class ThingSchema(Schema):
    ...
"""
ROUTES = """
import faulty_NAME.schemas
from trellis.api import Blueprint
blueprint = Blueprint("NAME", __name__)

@blueprint.route("/things")
@blueprint.access(public="a test")
@blueprint.response(200, ThingSchema)
def look():
    '''Look.'''

@blueprint.route("/others")
@blueprint.access(public="a test")
@blueprint.response(200, faulty_NAME.schemas.ThingSchema)
def look_there():
    '''Look there.'''
"""
BROKEN = "import no_such_module\n"
NO_MODULE = "ModuleNotFoundError: No module named 'no_such_module'"


class Written:
    """A plugin that is written to disk as pip would lay it out; NAME stands for its name."""

    def __init__(
        self, name: str, attributes: str = "", *, entry: str = "", package: str = "", **rooms: str
    ) -> None:
        self.name = name
        self.entry = entry or name
        self.package = package or f"faulty_{name}"
        self.rooms = {"__init__": "", "plugin": CLASS, **rooms}
        for line in attributes.splitlines():
            self.rooms["plugin"] += f"    {line}\n"

    def write(self, directory: Path) -> None:
        for path, text in self._files():
            (directory / path).parent.mkdir(exist_ok=True)
            (directory / path).write_text(text.replace("NAME", self.name))

    def _files(self) -> Iterator[tuple[str, str]]:
        for room, text in self.rooms.items():
            yield f"{self.package}/{room}.py", text
        metadata = f"{self.package}-1.2.dist-info"
        yield f"{metadata}/METADATA", f"Metadata-Version: 2.1\nName: {self.package}\nVersion: 1.2\n"
        entry_point = f"{self.entry} = {self.package}.plugin:Faulty\n"
        yield f"{metadata}/entry_points.txt", f"[trellis.plugins]\n{entry_point}"


@dataclass(frozen=True)
class Fault:
    """A faulty plugin, and how its fault is told."""

    plugin: Written
    phase: str
    cause: str


# What others clash with; nothing is wrong with it.
SOUND = Written("aaa", 'mounts = ("/clash",)', models=TABLE, api=ROUTE, tasks=TASKS)

FAULTS = [
    # --- discover: the class and its name
    Fault(Written("importing", plugin=BROKEN), "discover", NO_MODULE),
    Fault(Written("exiting", plugin="raise SystemExit(3)\n"), "discover", "SystemExit: 3"),
    Fault(Written("classless", plugin="Other = 1\n"), "discover", "has no attribute 'Faulty'"),
    Fault(Written("plain", plugin="class Faulty: ...\n"), "discover", "not a subclass of"),
    Fault(Written("coreless", "del core"), "discover", "the class states no `core`"),
    Fault(Written("under_score"), "discover", "'under_score' cannot be a plugin's name"),
    Fault(Written("health"), "discover", "'health' cannot be a plugin's name"),
    Fault(Written("inside", entry="outside"), "discover", "'outside' but the class says 'inside'"),
    # --- check: versions and requirements; no other room is imported
    Fault(
        Written("newcore", 'core = ">=2.0"', models="raise SystemExit(7)\n"),
        "check",
        "needs core >=2.0, this is 1.0.0",
    ),
    Fault(Written("oddcore", 'core = "two"'), "check", "core = 'two' is not a version range"),
    Fault(
        Written("lonely", 'requires = ("nosuch>=1",)'),
        "check",
        "requires plugin nosuch>=1, which is not installed and enabled",
    ),
    Fault(
        Written("picky", 'requires = ("aaa>=2",)'),
        "check",
        "requires plugin aaa>=2, installed is 1.2",
    ),
    Fault(Written("chicken", 'requires = ("egg",)'), "check", "requires itself: "),
    Fault(Written("egg", 'requires = ("chicken",)'), "check", "requires itself: "),
    # --- configure
    Fault(Written("setbroken", 'settings = "settings:S"', settings=BROKEN), "configure", NO_MODULE),
    Fault(Written("setless", 'settings = "settings:S"'), "configure", "there is no settings.py"),
    Fault(
        Written("setplain", 'settings = "settings:S"', settings="class S: ...\n"),
        "configure",
        "'settings:S' is not a subclass of PluginSettings",
    ),
    # --- models
    Fault(Written("modbroken", models=BROKEN), "models", NO_MODULE),
    Fault(
        Written("squatter", models=TABLE.replace("NAME_thing", "media_thing")),
        "models",
        "table 'media_thing' does not begin with 'squatter_'",
    ),
    Fault(
        Written(
            "leaning",
            models=TABLE + '    asset: Mapped[int] = mapped_column(ForeignKey("media_asset.id"))\n',
        ),
        "models",
        "leaning_thing.asset is a foreign key into 'media_asset'; keep the id only",
    ),
    # --- services: ports and permissions
    Fault(Written("serbroken", services=BROKEN), "services", NO_MODULE),
    Fault(
        Written("needy", "uses = (Ledger,)"),
        "services",
        "uses port Ledger, which nobody provides",
    ),
    Fault(
        Written(
            "second",
            'provides = {Identity: "services:make"}',
            services="def make():\n    return object()\n",
        ),
        "services",
        "port Identity is provided by auth already",
    ),
    Fault(
        Written("empty", 'provides = {Ledger: "services:make"}', services=""),
        "services",
        "'services:make': services.py has no 'make'",
    ),
    Fault(
        Written("greedy", 'permissions = (Permission("media.all", "All"),)'),
        "services",
        "permission 'media.all' does not begin with 'greedy.'",
    ),
    Fault(
        Written(
            "forgetful", 'personal_data = PersonalData(export="services:a", erase="services:b")'
        ),
        "services",
        "'services:a': there is no services.py",
    ),
    # --- tasks and schedules
    Fault(Written("tasbroken", tasks=BROKEN), "tasks", NO_MODULE),
    Fault(
        Written("idle", 'schedules = (Every("idle.nothing", hours=1),)', tasks=TASKS),
        "tasks",
        "schedules task 'idle.nothing', which it does not declare",
    ),
    Fault(
        Written("bossy", 'schedules = (Every("media.sweep_orphans", hours=1),)'),
        "tasks",
        "schedules task 'media.sweep_orphans', which it does not declare",
    ),
    Fault(
        Written("always", 'schedules = (Every("always.tidy"),)', tasks=TASKS),
        "tasks",
        "schedules 'always.tidy' every 0 seconds",
    ),
    Fault(
        Written("never", 'schedules = (Cron("never.tidy", "61 * * * *"),)', tasks=TASKS),
        "tasks",
        "schedules 'never.tidy' by '61 * * * *', which is no cron expression",
    ),
    Fault(
        Written("nosy", 'follows = "media.sweep_orphans"'),
        "tasks",
        "follows the feed by 'media.sweep_orphans', which it does not declare",
    ),
    Fault(
        Written("wordy", 'follows = "wordy.tidy"', tasks=TASKS.replace("tidy()", "tidy(position)")),
        "tasks",
        "follows the feed by 'wordy.tidy', which takes arguments",
    ),
    # --- events
    Fault(
        Written("evebroken", 'publishes = ("events:Happened",)', events=BROKEN), "events", NO_MODULE
    ),
    Fault(
        Written("eventless", 'publishes = ("events:Thing",)', events="class Thing: ...\n"),
        "events",
        "'events:Thing' is not an event",
    ),
    Fault(
        Written("deaf", 'subscribes = {"media.never/1": "listeners:listen"}', listeners=LISTENERS),
        "events",
        "subscribes to 'media.never/1', which media does not publish",
    ),
    Fault(
        Written(
            "late", 'subscribes = {"media.asset_ready/2": "listeners:listen"}', listeners=LISTENERS
        ),
        "events",
        "subscribes to 'media.asset_ready/2', which media does not publish",
    ),
    Fault(
        Written(
            "lisbroken",
            'subscribes = {"media.asset_ready/1": "listeners:listen"}',
            listeners=BROKEN,
        ),
        "events",
        NO_MODULE,
    ),
    Fault(
        Written(
            "vague", 'subscribes = {"media.asset_ready/1": "listeners:other"}', listeners=LISTENERS
        ),
        "events",
        "'listeners:other': listeners.py has no 'other'",
    ),
    # --- commands
    Fault(Written("clibroken", cli=BROKEN), "commands", NO_MODULE),
    Fault(Written("mute", cli=""), "commands", "cli.py has no click command `cli`"),
    # --- routes
    Fault(Written("apibroken", api=BROKEN), "routes", NO_MODULE),
    Fault(
        Written("schbroken", api="import faulty_NAME.schemas\n", schemas=BROKEN),
        "routes",
        NO_MODULE,
    ),
    Fault(
        Written("open", api=ROUTE.replace('@blueprint.access(public="a test")\n', "")),
        "routes",
        "GET /v1/open/things (open.look) states no access rule",
    ),
    Fault(
        Written("unknown", api=ROUTE.replace('public="a test"', 'permission="unknown.look"')),
        "routes",
        "requires 'unknown.look', which no plugin declares",
    ),
    Fault(
        Written("alias", api=ROUTE.replace('"NAME"', '"media"')),
        "routes",
        "has a blueprint of the name 'media'",
    ),
    Fault(
        Written("mounted", 'mounts = ("/clash/here",)'),
        "routes",
        "mounts '/clash/here', which clashes with '/clash' of aaa",
    ),
    Fault(
        Written("rooted", 'mounts = ("/v1/media",)'),
        "routes",
        "mounts '/v1/media', which clashes with '/v1' of core",
    ),
    Fault(
        Written(
            "astray", api=ROUTE.replace('"NAME", __name__', '"NAME", __name__, mount="/elsewhere"')
        ),
        "routes",
        "GET /elsewhere/things (astray-elsewhere.look) lies outside /v1/astray",
    ),
    Fault(
        Written("sameroute", api=ROUTE + ROUTE.partition("\n\n")[2].replace("/things", "/others")),
        "routes",
        "two operations are called sameroute_look",
    ),
    Fault(
        Written("sameschema", schemas=SCHEMA, api=SCHEMA + ROUTES),
        "routes",
        "two schemas are called FaultySameschemaThing",
    ),
    # --- ready
    Fault(
        Written(
            "asking",
            "def setup(self, app):\n"
            "    from sqlalchemy import literal, select\n"
            "    from trellis.db import fetch_all\n"
            "    fetch_all(select(literal(1)))",
        ),
        "ready",
        "made a query during the start: SELECT",
    ),
    Fault(
        Written("falling", "def setup(self, app):\n    raise ValueError('two\\n  lines')"),
        "ready",
        "ValueError: two lines",
    ),
]

CLAIMANTS = (
    Written("claimed", package="faulty_claimed"),
    Written("claimed", package="faulty_claimant"),
)
# Plugins whose faults are told under another name than the class's.
TOLD_AS = {"inside": "outside"}

Rows = dict[str, list[list[str]]]


def check(
    directory: Path, *plugins: Written, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Install the plugins into a directory and have a process check them."""
    site = directory / "site"
    site.mkdir()
    for plugin in plugins:
        plugin.write(site)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRELLIS_")}
    return subprocess.run(
        [sys.executable, "-m", "trellis", "plugins", "check"],
        cwd=directory,
        env=kept
        | {"PYTHONPATH": str(site), "TRELLIS_DATA_DIR": str(directory / "var")}
        | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def rows(text: str) -> Rows:
    """Version, phase and cause of each fault, by plugin."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("PLUGIN "))
    told: Rows = {}
    for line in lines[start + 1 :]:
        plugin, *rest = re.split(r"\s{2,}", line, maxsplit=3)
        told.setdefault(plugin, []).append(rest)
    return told


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """What one start with every faulty plugin says."""
    done = check(
        tmp_path_factory.mktemp("faults"),
        SOUND,
        *CLAIMANTS,
        *(fault.plugin for fault in FAULTS),
        TRELLIS_PLUGINS__DISABLED='["absent"]',
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    found = rows(done.stderr)
    assert f"{sum(map(len, found.values()))} fault(s) in plugins" in done.stderr
    return found


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.plugin.name)
def test_a_fault_is_told(told: Rows, fault: Fault) -> None:
    name = TOLD_AS.get(fault.plugin.name, fault.plugin.name)
    [[version, phase, cause]] = told[name]
    assert (version, phase) == ("1.2", fault.phase)
    assert fault.cause in cause


def test_a_name_that_two_distributions_claim_is_told(told: Rows) -> None:
    assert told["claimed"] == [
        ["-", "discover", "the name is claimed by faulty_claimant, faulty_claimed"]
    ]


def test_a_plugin_of_the_settings_that_is_not_installed_is_told(told: Rows) -> None:
    assert told["absent"] == [["-", "discover", "is named in the settings but not installed"]]


def test_nobody_else_is_blamed(told: Rows) -> None:
    blamed = {TOLD_AS.get(fault.plugin.name, fault.plugin.name) for fault in FAULTS}
    assert told.keys() == blamed | {"claimed", "absent"}


def test_faults_of_settings_are_told_with_the_others(tmp_path: Path) -> None:
    settings = """
from pydantic import Field
from trellis.settings import PluginSettings

class S(PluginSettings):
    token: str = Field(description="A token.")
    size: int = Field(default=1, description="A size.")
"""
    done = check(
        tmp_path,
        Written("demanding", 'settings = "settings:S"', settings=settings),
        Written("newcore", 'core = ">=2.0"'),
        TRELLIS_PLUGINS__ONLY='["demanding", "newcore"]',
        TRELLIS_DEMANDING__SIZE="large",
        TRELLIS_DEMANDING__COLOUR="red",
    )
    assert done.returncode == 2
    found = rows(done.stderr)
    assert found["newcore"] == [["1.2", "check", "needs core >=2.0, this is 1.0.0"]]
    causes = [cause for version, phase, cause in found["demanding"] if phase == "configure"]
    assert len(causes) == 3
    for said in ("demanding.token: is required", "demanding.size", "COLOUR"):
        assert any(said in cause for cause in causes), causes


def test_a_plugin_that_is_left_out_is_not_looked_at(tmp_path: Path) -> None:
    done = check(
        tmp_path,
        SOUND,
        Written("importing", plugin=BROKEN),
        TRELLIS_PLUGINS__DISABLED='["importing"]',
        TRELLIS_IMPORTING__ANYTHING="may stay",
    )
    assert done.returncode == 0, done.stderr
    assert "aaa" in done.stdout
    assert "importing" not in done.stdout


def test_safe_mode_starts_the_named_plugins_alone(tmp_path: Path) -> None:
    broken = Written("importing", plugin=BROKEN)
    done = check(tmp_path, SOUND, broken, TRELLIS_PLUGINS__ONLY='["aaa"]')
    assert (done.returncode, done.stdout) == (0, "1 plugin(s) would start: aaa\n"), done.stderr
