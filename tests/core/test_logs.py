"""Logs: one shape from structlog and the standard library, and never a secret."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from trellis.errors import Transient
from trellis.observe.logs import MASK, configure_logging, mask_secrets

TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Any:
    configure_logging("info", "json")
    return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_both_kinds_of_loggers_write_the_same_shape(lines: Any) -> None:
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        structlog.get_logger("a.b").info("made", count=3)
        logging.getLogger("a.b").info("made %s", "it", extra={"count": 3})
    ours, theirs = lines()
    assert ours.keys() == theirs.keys() - {"message"}  # left on the record by pytest's own handler
    assert (ours["event"], theirs["event"]) == ("made", "made it")
    assert (ours["level"], ours["logger"], ours["request_id"]) == ("info", "a.b", "r1")


def test_the_level_holds_for_all(lines: Any) -> None:
    structlog.get_logger("a").debug("no")
    logging.getLogger("a").debug("no")
    logging.getLogger("alembic.runtime").info("no")
    assert lines() == []


def test_setting_up_again_replaces(lines: Any, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("warning", "console")
    structlog.get_logger("a").info("no")
    structlog.get_logger("a").warning("once", size=1)
    [line] = capsys.readouterr().err.splitlines()
    assert "once" in line
    assert "size=1" in line


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_trace_shows_no_local_variable(capsys: pytest.CaptureFixture[str], form: Any) -> None:
    configure_logging("info", form)
    hidden = "correct-" + "horse"
    address = "postgresql://u:" + "p4ss@db"

    def fail() -> None:
        raise Transient(f"refused by {address}", len(hidden))

    try:
        fail()
    except Transient:
        structlog.get_logger("a").exception("failed")
        logging.getLogger("a").exception("failed")
    text = capsys.readouterr().err
    assert text.count("refused by postgresql://u:***@db") == 2
    assert "correct-horse" not in text
    assert "p4ss@db'" not in text


@pytest.mark.parametrize(
    "fields",
    [
        {"password": "x1y2"},
        {"new_password": "x1y2"},
        {"code": "x1y2"},
        {"code": 121212121212},
        {"access_token": "x1y2"},
        {"Authorization": "x1y2"},
        {"headers": {"Cookie": "x1y2"}},
        {"body": [{"client_secret": ["x1y2"]}]},
        {"note": "sent Authorization: Bearer x1y2 to them"},
        {"event": f"token {TOKEN} refused"},
        {"url": "redis://:a/b@x1y2@box/0"},
    ],
)
def test_secrets_are_blotted_out(lines: Any, fields: dict[str, Any]) -> None:
    structlog.get_logger("a").info(**({"event": "e"} | fields))
    logging.getLogger("a").info("e", extra={k: v for k, v in fields.items() if k != "event"})
    text = json.dumps(lines())
    assert MASK in text
    assert not any(secret in text for secret in ("x1y2", "121212121212", TOKEN))


def test_the_rest_stays(lines: Any) -> None:
    fields = {"error_code": "auth.wrong", "status_code": 404, "url": "http://a:8000/b", "n": None}
    structlog.get_logger("a").info("event", **fields)
    [line] = lines()
    assert {key: line[key] for key in fields} == fields


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(
    event=st.dictionaries(st.text(), json_values),
    key=st.sampled_from(["password", "refresh_token", "api-key", "X-Api-Key", "Set-Cookie", "otp"]),
    depth=st.integers(0, 3),
)
def test_no_depth_hides_a_secret(event: dict[str, Any], key: str, depth: int) -> None:
    inner: Any = {key: "hunter2-hunter2"}
    for _ in range(depth):
        inner = {"part": [inner]}
    masked = mask_secrets(None, "info", {**event, **inner})
    assert "hunter2-hunter2" not in repr(masked)
