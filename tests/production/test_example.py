"""What the page on production says to set is enough for a start, and all of it is needed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.production.command import Command

PAGE = Path(__file__).parents[2] / "docs" / "operations" / "production.md"
SECRET = "a-secret-that-is-long-enough-for-it"


def example() -> dict[str, str]:
    """The variables of the first block of commands."""
    block = PAGE.read_text().partition("```sh\n")[2].partition("```")[0]
    return dict(re.findall(r"^(TRELLIS_\w+)=(\S+)", block, re.MULTILINE))


@pytest.fixture
def installation(tmp_path: Path) -> Command:
    """An installation that has the example's settings and no other."""
    command = Command(tmp_path, {})
    for name in [name for name in command.environ if name.startswith("TRELLIS_")]:
        del command.environ[name]
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "secret_keys").write_text(SECRET)
    command.environ |= example() | {"TRELLIS_SECRETS_DIR": str(secrets)}
    return command


def test_its_settings_are_whole(installation: Command) -> None:
    shown = installation("config", "show")
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"^environment +production ", shown.stdout, re.MULTILINE)


def test_without_them_no_command_goes_on(installation: Command) -> None:
    keys = ["public_url", "database_url", "redis_url", "storage_url", "notifications.mail_url"]
    names = [f"TRELLIS_{key.upper().replace('.', '__')}" for key in keys]
    for name in names:
        del installation.environ[name]
    for command in ("serve", "db status"):
        ended = installation(*command.split())
        assert ended.returncode == 2
        told = ended.stderr.splitlines()
        for key, name, sentence in zip(keys, names, told, strict=True):
            assert sentence.startswith(f"trellis: {key}: its default is for one machine only, ")
            assert sentence.endswith(f" as {name}.")
