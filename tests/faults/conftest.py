"""An installation of its own for each test, which may do to its processes what it likes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.phones import Phones
from tests.processes import Trellis


@pytest.fixture
def trellis(tmp_path: Path) -> Iterator[Trellis]:
    """Not started yet."""
    trellis = Trellis(tmp_path)
    try:
        yield trellis
    finally:
        trellis.clean_up()


@pytest.fixture
def phones(trellis: Trellis) -> Iterator[Phones]:
    with Phones(trellis.url) as phones:
        yield phones
