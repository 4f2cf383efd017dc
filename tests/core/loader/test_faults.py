"""Each thing that can be wrong with a plugin stops the start, told with its phase and cause.

All the faulty plugins are installed at once, beside the bundled ones: one start shows every fault.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from tests.core.loader.written import (
    BROKEN,
    LISTENERS,
    NO_MODULE,
    ROUTE,
    ROUTES,
    SCHEMA,
    SOUND,
    TABLE,
    TASKS,
    Rows,
    Written,
    check,
    rows,
)


@dataclass(frozen=True)
class Fault:
    """A faulty plugin, and how its fault is told."""

    plugin: Written
    phase: str
    cause: str


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
        Written("loud", 'public_tags = ("media.asset",)'),
        "services",
        "public tag 'media.asset' does not begin with 'loud.'",
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
