"""A storage that is not the installation's is refused, whoever is first, also at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from click.testing import CliRunner
from flask import Flask

from trellis.cli.main import cli
from trellis.db import fetch_value
from trellis.db.installation import Installation
from trellis.settings import load_settings
from trellis.storage import ObjectStorage
from trellis.storage.mark import KEY, ForeignStorage, adopt, settle, verify

Machine = Callable[[str], ObjectStorage]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """``machine("a")`` is the storage of a machine with a directory of its own."""

    def machine(name: str) -> ObjectStorage:
        environ = {"TRELLIS_STORAGE_URL": f"file://{tmp_path}/{name}"}
        return ObjectStorage(load_settings({}, environ, tmp_path).core)

    return machine


def known() -> str | None:
    table = Installation.__table__
    mark: str | None = fetch_value(table.select().with_only_columns(table.c.storage_id))
    return mark


def mark_of(storage: ObjectStorage) -> str:
    return b"".join(storage.read(KEY)).decode()


def test_the_first_start_marks_and_the_next_ones_pass(app_context: None, machine: Machine) -> None:
    storage = machine("shared")
    verify(storage)  # nothing is known yet
    settle(storage)
    assert known() == mark_of(storage)
    settle(machine("shared"))


def test_a_machine_with_a_directory_of_its_own_is_refused(
    app_context: None, machine: Machine
) -> None:
    settle(machine("a"))
    for check in (settle, verify):
        with pytest.raises(ForeignStorage, match="does not carry"):
            check(machine("b"))
    assert list(machine("b").list("")) == []  # and it was not marked, so that it stays refused


def test_the_storage_of_another_installation_is_refused(
    app_context: None, machine: Machine
) -> None:
    other = machine("other")
    other.put(KEY, b"its mark")
    other.put("media/1/original", b"its picture")
    with pytest.raises(ForeignStorage, match="objects of another installation"):
        settle(other)
    assert known() is None
    settle(machine("ours"))
    with pytest.raises(ForeignStorage, match="mark of another installation"):
        settle(other)


def test_a_first_start_that_was_cut_short_is_made_good(app_context: None, machine: Machine) -> None:
    storage = machine("a")
    storage.put_new(KEY, b"the mark, of which the database was not told")
    settle(storage)
    assert known() == mark_of(storage)


@pytest.mark.parametrize("names", [("shared", "shared"), ("a", "b")])
def test_two_first_starts_at_once(app: Flask, machine: Machine, names: tuple[str, str]) -> None:
    together = Barrier(2)

    def start(name: str) -> bool:
        with app.app_context():
            together.wait(30)
            try:
                settle(machine(name))
            except ForeignStorage:
                return False
            return True

    with ThreadPoolExecutor(2) as pool:
        passed = list(pool.map(start, names))
    assert passed.count(True) == (2 if len(set(names)) == 1 else 1)


def test_a_storage_is_adopted_on_purpose(app_context: None, machine: Machine) -> None:
    old, new = machine("old"), machine("new")
    settle(old)
    adopt(new)
    settle(new)
    with pytest.raises(ForeignStorage):
        settle(old)


@pytest.mark.usefixtures("app_environ")
def test_the_command_adopts_after_it_has_asked(app: Flask, machine: Machine) -> None:
    with app.app_context():
        settle(machine("old"))
    before = CliRunner().invoke(cli, ["storage", "adopt"], input="n\n")
    assert before.exit_code == 1
    with app.app_context():
        assert known() == mark_of(machine("old"))
    asked = CliRunner().invoke(cli, ["storage", "adopt", "--yes"])
    assert asked.exit_code == 0, asked.output
    with app.app_context(), pytest.raises(ForeignStorage):
        settle(machine("old"))
