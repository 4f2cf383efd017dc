"""Servers that say whatever a test likes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.core.outgoing.talker import Talker


@pytest.fixture
def talk() -> Iterator[Callable[..., Talker]]:
    """``talk(speak)`` is a server that reads a request and then speaks."""
    talkers: list[Talker] = []

    def start(*arguments: Any, **options: Any) -> Talker:
        talkers.append(Talker(*arguments, **options))
        return talkers[-1]

    yield start
    for talker in talkers:
        talker.close()
