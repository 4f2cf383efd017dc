"""The source stays readable: small files with names that say something, and a small core."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core/trellis"

MOST_LINES = 400
MOST_CORE_LINES = 10_600
BESIDE_THE_CORE = ("cli", "local", "testing")
SAYS_NOTHING = ("utils", "util", "helpers", "helper", "common", "misc")


def sources(*roots: Path) -> Iterator[Path]:
    for root in roots:
        yield from root.rglob("*.py")


def too_long(paths: Iterator[Path]) -> list[str]:
    counted = ((path, len(path.read_text().splitlines())) for path in paths)
    return [f"{path}: {lines} lines" for path, lines in counted if lines > MOST_LINES]


def named_for_nothing(paths: Iterator[Path]) -> list[Path]:
    return [path for path in paths if {path.stem, path.parent.name} & set(SAYS_NOTHING)]


def core_lines(core: Path) -> int:
    """Lines of the core with something in them; comments and docstrings are read, too."""
    parts = (
        path for path in sources(core) if path.relative_to(core).parts[0] not in BESIDE_THE_CORE
    )
    return sum(bool(line.strip()) for path in parts for line in path.read_text().splitlines())


SHIPPED = [ROOT / "core", ROOT / "plugins", ROOT / "perf", ROOT / "migrations"]


def test_no_file_is_longer_than_one_can_keep_in_mind() -> None:
    assert too_long(sources(*SHIPPED, ROOT / "tests")) == []


def test_no_file_is_named_for_nothing() -> None:
    assert named_for_nothing(sources(*SHIPPED, ROOT / "tests")) == []


def test_the_core_can_be_read_in_an_afternoon(record_property: Callable[..., None]) -> None:
    lines = core_lines(CORE)
    record_property("core_lines", lines)
    print(f"the core has {lines} lines")  # noqa: T201 (shown when this fails)
    assert 2_000 < lines < MOST_CORE_LINES


def test_these_rules_can_fail(tmp_path: Path) -> None:
    (tmp_path / "cli").mkdir()
    (tmp_path / "utils.py").write_text("x = 1\n" * (MOST_LINES + 1) + "\n" * 5)
    (tmp_path / "cli/main.py").write_text("x = 1\n" * MOST_LINES)
    assert too_long(sources(tmp_path)) == [f"{tmp_path / 'utils.py'}: {MOST_LINES + 6} lines"]
    assert named_for_nothing(sources(tmp_path)) == [tmp_path / "utils.py"]
    assert core_lines(tmp_path) == MOST_LINES + 1
