"""The pytest plugin. It imports the application inside fixtures only, so coverage sees it all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient

    from trellis.testing.environment import Environment
    from trellis.testing.identity import Headers
    from trellis.testing.scenario import Scenario

_EMBEDDED = "embedded"


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--postgresql`` runs the application on PostgreSQL instead of SQLite."""
    parser.addoption(
        "--postgresql",
        nargs="?",
        const=_EMBEDDED,
        metavar="URL",
        help="run the application on PostgreSQL: the server of this address, else one of its own",
    )


@pytest.fixture(scope="session")
def trellis_environment(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Environment]:
    """One application with a database and a broker of its own for each test process."""
    from trellis.testing.databases import on_postgresql, on_sqlite
    from trellis.testing.environment import Environment

    directory = tmp_path_factory.mktemp("trellis")
    server: str | None = pytestconfig.getoption("--postgresql")
    chosen = (
        on_sqlite(directory)
        if server is None
        else on_postgresql(None if server == _EMBEDDED else server)
    )
    with chosen as database, Environment.started(directory, database) as environment:
        yield environment


@pytest.fixture
def app(trellis_environment: Environment) -> Flask:
    """The application with all installed plugins; database, broker, storage and sinks are fresh."""
    trellis_environment.reset()
    return trellis_environment.app


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
def check(app: Flask) -> Callable[[Scenario], object]:
    """``check(Scenario(…))`` makes one call and compares all that it did; returns the response."""
    from trellis.testing.scenario import checked

    return lambda scenario: checked(app, scenario)


@pytest.fixture
def new_user_id() -> Callable[[], UUID]:
    """``new_user_id()`` is the id of a person whom nobody else knows."""
    from trellis.db.ids import new_id

    return new_id
