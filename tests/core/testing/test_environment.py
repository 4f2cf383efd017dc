"""What a test gets unused, whatever others did before it."""

from __future__ import annotations

import os

import pytest

from trellis.testing.environment import Environment


def test_what_a_test_starts_finds_the_settings_of_its_application(
    trellis_environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An application that was made before, and ends later, takes them along."""
    before = dict(os.environ)
    for name in [name for name in before if name.startswith("TRELLIS_")]:
        monkeypatch.delenv(name)
    trellis_environment.reset()
    assert dict(os.environ) == before
