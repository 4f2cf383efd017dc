"""The pytest plugin. It imports the application inside fixtures only, so coverage sees it all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient

    from trellis.testing.environment import Environment
    from trellis.testing.identity import Headers
    from trellis.testing.scenario import Scenario


_KEPT_BYTES = 8 * 1024 * 1024


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which servers are under the application: SQLite and an embedded broker, or others."""
    group = parser.getgroup("trellis")
    group.addoption(
        "--postgresql",
        action="store_true",
        help="run the application on PostgreSQL, on a server that is started for the tests",
    )
    group.addoption(
        "--postgresql-url",
        metavar="URL",
        help="run the application on PostgreSQL, in databases that are made on this server",
    )
    group.addoption(
        "--keep-answers",
        action="store_true",
        help="keep values in this process, as one that serves does, and answer before Flask",
    )
    group.addoption(
        "--redis-url",
        metavar="URL",
        help="run the application on this Redis or Valkey, which is EMPTIED before each test",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Tests that are about one database say so, and all begin without settings."""
    # What this machine's user has set for a server of their own is no matter of the tests.
    for name in [name for name in os.environ if name.startswith("TRELLIS_")]:
        del os.environ[name]
    config.addinivalue_line("markers", "sqlite_only: left out where the tests run on PostgreSQL")
    config.addinivalue_line("markers", "postgresql_only: left out where they do not")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what is about another database."""
    other = "sqlite_only" if on_postgresql(config) else "postgresql_only"
    left_out = [item for item in items if item.get_closest_marker(other)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def on_postgresql(config: pytest.Config) -> bool:
    """Whether these tests run on PostgreSQL."""
    return bool(config.getoption("--postgresql") or config.getoption("--postgresql-url"))


@pytest.fixture(scope="session")
def trellis_environment(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Environment]:
    """One application with a database and a broker of its own for each test process."""
    from trellis.testing import databases
    from trellis.testing.environment import Environment

    redis_url: str | None = pytestconfig.getoption("--redis-url")
    if redis_url and int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1:
        raise pytest.UsageError("--redis-url: one server serves one test process")
    directory = tmp_path_factory.mktemp("trellis")
    chosen = (
        databases.on_postgresql(pytestconfig.getoption("--postgresql-url"))
        if on_postgresql(pytestconfig)
        else databases.on_sqlite(directory)
    )
    keeps = _KEPT_BYTES if pytestconfig.getoption("--keep-answers") else 0
    with (
        chosen as database,
        Environment.started(directory, database, redis_url, cache_local_bytes=keeps) as environment,
    ):
        yield environment


@pytest.fixture
def app(trellis_environment: Environment) -> Flask:
    """The application with all installed plugins; database, broker, storage and sinks are fresh."""
    trellis_environment.reset()
    return trellis_environment.app


@pytest.fixture
def app_environ(
    app: Flask, trellis_environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> Mapping[str, str]:
    """The settings of `app`, put in the environment for commands and processes of a test.

    What tests before have left `app` of connections is closed: a restore would refuse over them.
    """
    trellis_environment.disconnect()
    for name, value in trellis_environment.variables.items():
        monkeypatch.setenv(name, value)
    return trellis_environment.variables


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """An HTTP client of `app`."""
    return app.test_client()


@pytest.fixture
def app_context(app: Flask) -> Iterator[None]:
    """An application context, for tests that call services. Not together with `client`."""
    with app.app_context():
        yield


@pytest.fixture
def as_user(app: Flask) -> Callable[..., Headers]:
    """``as_user()`` gives headers that sign in as a new person, ``as_user(id)`` as that one."""
    from trellis.testing.identity import Issuer

    return Issuer(app).user


@pytest.fixture
def as_operator(app: Flask) -> Callable[..., Headers]:
    """``as_operator("analytics.read")`` gives headers of an operator with these permissions."""
    from trellis.testing.identity import Issuer

    return Issuer(app).operator


@pytest.fixture
def run_tasks(app: Flask) -> Callable[..., list[str]]:
    """``run_tasks()`` runs all durable work that is due and what follows; returns the names.

    Fails when a task fails, unless ``failures=True``.
    """
    from trellis.testing.work import run_due

    return lambda **options: run_due(app, **options)


@pytest.fixture
def outbox(app: Flask) -> Callable[[], list[str]]:
    """``outbox()`` names the tasks that wait."""
    from trellis.testing.work import waiting

    return lambda: waiting(app)


@pytest.fixture
def feed(app: Flask) -> Callable[..., list[dict[str, object]]]:
    """``feed()`` gives type, audience and payload of every event so far, in order."""
    from trellis.testing.work import events

    return lambda: events(app)


@pytest.fixture
def stored(app: Flask) -> Callable[[], str]:
    """``stored()`` is the text of all that the database holds, as it lies there."""
    from trellis.testing.stored import all_rows

    return lambda: all_rows(app)


@pytest.fixture
def check(app: Flask) -> Callable[[Scenario], object]:
    """``check(Scenario(…))`` makes one call and compares all that it did; returns the response."""
    from trellis.testing.scenario import checked

    return lambda scenario: checked(app, scenario)


@pytest.fixture
def new_user_id() -> Callable[[], UUID]:
    """``new_user_id()`` is the id of a person whom nobody else knows."""
    from trellis.db.ids import new_id

    return new_id
