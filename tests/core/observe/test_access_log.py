"""The line of a request is the same, whether the machinery of logging has written it or not."""

from __future__ import annotations

import io
import json
import logging
import re
import threading
from typing import Any, Literal

import pytest
import structlog
from tests.processes import PATIENCE

from trellis.observe.access_log import log_request
from trellis.observe.logs import configure_logging, json_handler

FIELDS: dict[str, Any] = {
    "method": 'G"ET\n',
    "route": "/things/<int:ü>",
    "status": 200,
    "duration_ms": 1.25,
    "statements": 3,
}


def bare_root(monkeypatch: pytest.MonkeyPatch) -> logging.Logger:
    """The logger of all, without the handlers that pytest adds when a test begins."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    structlog.contextvars.clear_contextvars()
    return root


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@pytest.mark.parametrize("quiet", [False, True])
@pytest.mark.parametrize("level", ["debug", "info", "warning"])
def test_both_ways_write_the_same_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    level: Literal["debug", "info", "warning"],
    quiet: bool,
) -> None:
    root = bare_root(monkeypatch)
    configure_logging(level, "json")
    structlog.contextvars.bind_contextvars(request_id="request-1", session_token="x", text="eyJa.b")
    assert json_handler() is not None
    log_request(structlog.contextvars.get_contextvars(), quiet=quiet, **FIELDS)
    plainly = lines(capsys)
    root.addHandler(logging.NullHandler())
    assert json_handler() is None
    log_request(structlog.contextvars.get_contextvars(), quiet=quiet, **FIELDS)
    assert len(plainly) == (level == "debug" or (level == "info" and not quiet))
    through_all = lines(capsys)
    for line in (*plainly, *through_all):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{6}Z", line.pop("timestamp"))
        assert line["session_token"] == "***"
    assert plainly == through_all


def test_lines_for_people_are_not_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bare_root(monkeypatch)
    configure_logging("info", "console")
    log_request({}, quiet=False, **FIELDS)
    assert "{" not in capsys.readouterr().err


class Slow(io.StringIO):
    """Takes no line until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.takes = threading.Event(), threading.Event()

    def write(self, text: str) -> int:
        self.asked.set()
        assert self.takes.wait(PATIENCE)
        return super().write(text)


def test_nobody_waits_for_the_thread_that_writes_and_no_line_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bare_root(monkeypatch)
    configure_logging("info", "json")
    stream = Slow()
    monkeypatch.setattr("sys.stderr", stream)
    writer = threading.Thread(target=structlog.get_logger("slow").info, args=["first"])
    writer.start()
    assert stream.asked.wait(PATIENCE)
    for number in range(100):
        log_request({}, quiet=False, **{**FIELDS, "status": number})
    assert stream.getvalue() == ""
    stream.takes.set()
    writer.join(PATIENCE)
    first, *others = map(json.loads, stream.getvalue().splitlines())
    assert first["event"] == "first"
    assert [line["status"] for line in others] == list(range(100))


class Gone(io.StringIO):
    """Nobody reads it any more, and who had the lock is told so while others have a line, too."""

    def write(self, text: str) -> int:
        other = threading.Thread(target=log_request, args=[{}], kwargs={"quiet": False, **FIELDS})
        other.start()
        other.join(PATIENCE)
        raise BrokenPipeError


def test_whoever_logs_is_not_told_that_nobody_reads_what_others_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bare_root(monkeypatch)
    configure_logging("info", "json")
    monkeypatch.setattr("logging.raiseExceptions", False)
    monkeypatch.setattr("sys.stderr", Gone())
    structlog.get_logger("gone").info("first")


def test_whoever_logs_is_not_told_that_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    bare_root(monkeypatch)
    configure_logging("info", "json")
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr("sys.stderr", stream)
    log_request({}, quiet=False, **FIELDS)
