"""Logging for the whole process: structlog and the standard library, one shape, no secret in it.

An error is told by its frames, its type and what names no person: its text may quote people.
"""

from __future__ import annotations

import functools
import logging
import re
import sys
import traceback
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from trellis.jobs.failure import describe

MASK = "***"

# A key that contains one of these words holds something that opens something.
_SECRET_WORD = re.compile(
    r"password|passphrase|secret|token|authorization|cookie|credential|api[-_]?key|private[-_]?key",
    re.IGNORECASE,
)
_SECRET_NAMES = frozenset({"code", "otp", "pin"})
# What such a text always contains comes first: most texts need no pattern.
_IN_TEXT = (
    (" ", re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]+", re.IGNORECASE), rf"\1 {MASK}"),
    ("@", re.compile(r"(?<=://)([^/\s:@]*):\S+@"), rf"\1:{MASK}@"),
    ("eyJ", re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+"), MASK),  # a signed token
)
_FRAMES = "Traceback (most recent call last):\n"
# They tell what they do at a level at which ours tells what matters.
_CHATTY = ("PIL", "alembic", "rq")
# Where nobody reads what is written, everybody waits for it in the end.
_MOST_WAITING = 1000


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is now, not to what it was when logging was set up.

    Whoever writes, writes what others have to say meanwhile, who need not wait: with a lock around
    each write the threads of a busy process would do little but hand it on.
    """

    def __init__(self, form: Literal["json", "console"]) -> None:
        logging.Handler.__init__(self)
        self.form = form
        self._waiting: deque[str] = deque()

    def handle(self, record: logging.LogRecord) -> bool:
        """Write a line, and what was left to this thread meanwhile."""
        handled = super().handle(record)  # under the lock
        with suppress(OSError, ValueError):  # nobody reads it any more
            self._write()
        return handled

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line; it is written when this returns, as the process may be about to end."""
        try:
            self._waiting.append(self.format(record) + self.terminator)
            self._write(wait=True)
        except Exception:  # noqa: BLE001 (it must not meet who logs)
            self.handleError(record)

    def write_line(self, line: str) -> None:
        """Write what is formatted already, or leave it to the thread that is writing."""
        self._waiting.append(line + self.terminator)
        with suppress(OSError, ValueError):  # nobody reads it any more
            self._write(wait=len(self._waiting) > _MOST_WAITING)

    def _write(self, *, wait: bool = False) -> None:
        assert self.lock is not None
        while self._waiting and self.lock.acquire(wait):
            try:
                lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
                self.stream.write("".join(lines))  # which flushes: it ends a line
            finally:
                self.lock.release()

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        raise AttributeError("always sys.stderr")


def configure_logging(
    level: Literal["debug", "info", "warning", "error"], form: Literal["json", "console"]
) -> None:
    """Route structlog and stdlib logging to stderr; may be called again, the last call holds."""
    before_rendering: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.ExceptionRenderer(_trace),
        mask_secrets,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *before_rendering,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = _Stderr(form)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before_rendering,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _renderer(form),
            ],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old, _Stderr):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))


def json_handler() -> _Stderr | None:
    """The handler of this module, if it is the only one and writes JSON."""
    handlers = logging.getLogger().handlers
    handler = handlers[0] if len(handlers) == 1 else None
    return handler if isinstance(handler, _Stderr) and handler.form == "json" else None


def mask_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Blot out values whose key names a secret, and credentials inside texts."""
    return {name: _masked(name, value) for name, value in event.items()}


def _trace(exc_info: ExcInfo) -> str:
    """Frames of an error and of those that led to it, each with what may be told of it."""
    error: BaseException | None = exc_info[1]
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n\n".join(
        f"{_FRAMES}{''.join(traceback.format_tb(each.__traceback__))}{describe(each)}"
        for each in reversed(chain)
    )


def _masked(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if _names_secret(name):
        return MASK
    if isinstance(value, str):
        for mark, pattern, replacement in _IN_TEXT:
            if mark in value:
                value = pattern.sub(replacement, value)
    elif isinstance(value, Mapping):
        return {part: _masked(str(part), inner) for part, inner in value.items()}
    elif isinstance(value, list | tuple):
        return [_masked("", inner) for inner in value]
    return value


@functools.lru_cache(maxsize=1024)
def _names_secret(name: str) -> bool:
    return name.lower() in _SECRET_NAMES or _SECRET_WORD.search(name) is not None


def _renderer(form: Literal["json", "console"]) -> Processor:
    if form == "json":
        return structlog.processors.JSONRenderer(default=repr)
    # The default formatter of traces shows local variables, secrets among them.
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
