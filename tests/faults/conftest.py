"""What tests of faults stand on: an installation for a test, or one that many share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from tests.faults import report
from tests.faults.invariants import Footprint, assert_kept
from tests.faults.load import Load
from tests.installation import Installation
from tests.phones import Phones
from tests.processes import Trellis

SteadyLoad = Callable[[Installation], AbstractContextManager[Load]]


@pytest.fixture
def trellis(tmp_path: Path) -> Iterator[Trellis]:
    """On a laptop, with a directory of its own for each test; not started yet."""
    trellis = Trellis(tmp_path)
    try:
        yield trellis
    finally:
        trellis.clean_up()


@pytest.fixture
def phones(trellis: Trellis) -> Iterator[Phones]:
    with Phones(trellis.url) as phones:
        yield phones


class _Shared:
    """The installation that tests share, until one of them leaves it other than it was."""

    def __init__(self) -> None:
        self._installation: Installation | None = None

    def installation(self) -> Installation:
        if self._installation is None or not self._installation.intact:
            self.close()
            self._installation = Installation().__enter__()
        return self._installation

    def close(self) -> None:
        if self._installation is not None:
            self._installation.__exit__()


@pytest.fixture(scope="session")
def _shared() -> Iterator[_Shared]:
    shared = _Shared()
    yield shared
    shared.close()


@pytest.fixture
def site(_shared: _Shared) -> Installation:
    """An installation as in production, which serves and is well."""
    return _shared.installation()


@pytest.fixture
def steady_load(request: pytest.FixtureRequest) -> SteadyLoad:
    """``with steady_load(site) as load: …`` makes a fault under load and ends it.

    Then full service must come back, and all that holds after every fault must hold.
    """

    @contextmanager
    def steady_load(site: Installation) -> Iterator[Load]:
        site.intact = False
        began = time.monotonic()
        with Load(site) as load:
            before = Footprint.of(site)
            yield load
            recovery = load.until_recovered()
            load.rest()
            assert_kept(load)
            before.until_back(site)
        journal = load.journal
        row = report.line(
            request.node.name.removeprefix("test_"),
            time.monotonic() - began,
            journal.acknowledged(),
            journal.answers(),
            recovery,
            journal.slowest(),
        )
        request.node.user_properties.append(("fault", row))
        site.intact = True

    return steady_load
