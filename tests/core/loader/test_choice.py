"""Which plugins a start looks at, and that settings are checked with them."""

from __future__ import annotations

from pathlib import Path

from tests.core.loader.written import BROKEN, SOUND, Written, check, rows


def test_faults_of_settings_are_told_with_the_others(tmp_path: Path) -> None:
    settings = """
from pydantic import Field
from trellis.settings import PluginSettings

class S(PluginSettings):
    token: str = Field(description="A token.")
    size: int = Field(default=1, description="A size.")
"""
    done = check(
        tmp_path,
        Written("demanding", 'settings = "settings:S"', settings=settings),
        Written("newcore", 'core = ">=2.0"'),
        TRELLIS_PLUGINS__ONLY='["demanding", "newcore"]',
        TRELLIS_DEMANDING__SIZE="large",
        TRELLIS_DEMANDING__COLOUR="red",
    )
    assert done.returncode == 2
    found = rows(done.stderr)
    assert found["newcore"] == [["1.2", "check", "needs core >=2.0, this is 1.0.0"]]
    causes = [cause for version, phase, cause in found["demanding"] if phase == "configure"]
    assert len(causes) == 3
    for said in ("demanding.token: is required", "demanding.size", "COLOUR"):
        assert any(said in cause for cause in causes), causes


def test_a_plugin_that_is_left_out_is_not_looked_at(tmp_path: Path) -> None:
    done = check(
        tmp_path,
        SOUND,
        Written("importing", plugin=BROKEN),
        TRELLIS_PLUGINS__DISABLED='["importing"]',
        TRELLIS_IMPORTING__ANYTHING="may stay",
    )
    assert done.returncode == 0, done.stderr
    assert "aaa" in done.stdout
    assert "importing" not in done.stdout


def test_safe_mode_starts_the_named_plugins_alone(tmp_path: Path) -> None:
    broken = Written("importing", plugin=BROKEN)
    done = check(tmp_path, SOUND, broken, TRELLIS_PLUGINS__ONLY='["aaa"]')
    assert (done.returncode, done.stdout) == (0, "1 plugin(s) would start: aaa\n"), done.stderr
