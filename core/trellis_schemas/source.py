"""Functions that are generated; their text is kept, so that tracebacks and debuggers show it."""

from __future__ import annotations

import linecache
import weakref
from collections.abc import Callable
from itertools import count
from typing import Any

_numbers = count(1)


class Source:
    """The text of one function, and what its free names stand for."""

    def __init__(self, **names: Any) -> None:
        self._names = names
        self._numbers = count()

    def variable(self) -> str:
        """A name that nothing else has."""
        return f"v{next(self._numbers)}"

    def named(self, meant: object) -> str:
        """What stands for a thing in the text."""
        if meant is None or type(meant) in (int, str):
            return repr(meant)
        name = self.variable()
        self._names[name] = meant
        return name

    def function(self, head: str, lines: list[str]) -> Callable[..., Any]:
        """The function with this head, `name(parameters)`, and the lines as its body."""
        text = "\n".join([f"def {head}:", *indented(lines), ""])
        name = head.partition("(")[0]
        file = f"<compiled {name} {next(_numbers)}>"
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        exec(compile(text, file, "exec"), self._names)  # noqa: S102 (of field names as literals only)
        made: Callable[..., Any] = self._names[name]
        weakref.finalize(made, linecache.cache.pop, file, None)
        return made


def indented(lines: list[str]) -> list[str]:
    """Lines that stand within what is before them."""
    return ["    " + line for line in lines]
