"""One started server for the tests of this folder, by each process that runs them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.phones import Phones
from tests.processes import Trellis, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trellis]:
    with serving(tmp_path_factory.mktemp("journey")) as trellis:
        yield trellis


@pytest.fixture
def phones(server: Trellis) -> Iterator[Phones]:
    with Phones(server.url) as phones:
        yield phones
