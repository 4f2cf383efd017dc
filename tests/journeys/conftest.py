"""One started server for the tests of this folder, by each process that runs them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.phones import Phones
from tests.processes import Trellis


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trellis]:
    trellis = Trellis(tmp_path_factory.mktemp("journey"))
    try:
        trellis.start()
        yield trellis
    finally:
        trellis.clean_up()


@pytest.fixture
def phones(server: Trellis) -> Iterator[Phones]:
    with Phones(server.url) as phones:
        yield phones
