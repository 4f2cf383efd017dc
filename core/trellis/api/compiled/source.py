"""Generated functions: their text is kept, so that tracebacks and debuggers show it."""

from __future__ import annotations

import linecache
import weakref
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

_numbers = count(1)


def function(name: str, lines: list[str], names: Mapping[str, Any]) -> Callable[..., Any]:
    """The function `name` that the lines define, whose free names are those given."""
    text = "\n".join(lines) + "\n"
    file = f"<compiled {name} {next(_numbers)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    space = dict(names)
    exec(compile(text, file, "exec"), space)  # noqa: S102 (of field names as literals only)
    made: Callable[..., Any] = space[name]
    weakref.finalize(made, linecache.cache.pop, file, None)
    return made
