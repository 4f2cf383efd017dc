"""The same scenarios under Locust's own page, to watch a load while it runs.

``locust -f perf/locustfile.py --host http://127.0.0.1:8000 --people people.json``, after
``trellis perf seed --people people.json``.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from locust import events

from trellis_perf.operations import fetch_operations
from trellis_perf.people import People
from trellis_perf.scenarios import GROUP, user_classes
from trellis_perf.user import TrellisUser, World

globals().update(
    (user.__name__, user) for user in user_classes(entry_points(group=GROUP).names, mailbox=True)
)


def _take_people(parser: Any) -> None:
    parser.add_argument("--people", type=Path, required=True, help="What `trellis perf seed` wrote")


def _meet_the_server(environment: Any, **_: Any) -> None:
    options = environment.parsed_options
    TrellisUser.world = World(fetch_operations(options.host), People.read(options.people))


events.init_command_line_parser.add_listener(_take_people)
events.init.add_listener(_meet_the_server)
