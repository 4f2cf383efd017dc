"""Rules that a program's source can break without any test seeing it, read from syntax trees.

`PluginContract` holds every plugin to them; the core holds itself to those of the unit of work.
A rule looks at one node and tells what is wrong with it, or ``None``.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PUBLIC_MODULES = frozenset(
    {
        "trellis.api",
        "trellis.cache",
        "trellis.contracts",
        "trellis.db",
        "trellis.errors",
        "trellis.events",
        "trellis.feed",
        "trellis.jobs",
        "trellis.jobs.dead",
        "trellis.observe.audit",
        "trellis.outgoing",
        "trellis.paging",
        "trellis.plugin",
        "trellis.privacy",
        "trellis.settings",
        "trellis.unit_of_work",
    }
)
"""The core that a plugin may use; what such a package does not export is not public either."""

_CORE = frozenset(
    {
        "trellis",
        "trellis_backup",
        "trellis_cache",
        "trellis_http",
        "trellis_openapi",
        "trellis_outgoing",
        "trellis_schemas",
        "trellis_statements",
    }
)

Rule = Callable[[ast.AST], str | None]

_SQL_CALLS = frozenset({"text", "execute", "exec_driver_sql", "executescript"})
_MAKERS = frozenset({"create_engine", "sessionmaker", "scoped_session"})
_EACH_ALONE = ("isolation_level", "AUTOCOMMIT")
_TRANSACTION_SQL = re.compile(r"\s*(BEGIN|COMMIT|END|ROLLBACK)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Breach:
    """A place where a rule is broken."""

    path: Path
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


def breaches(paths: Iterable[Path], *rules: Rule) -> Iterator[Breach]:
    """Where the files break the rules."""
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(), str(path))):
            for rule in rules:
                if what := rule(node):
                    yield Breach(path, getattr(node, "lineno", 0), what)


def ends_a_transaction(node: ast.AST) -> str | None:
    """Only the unit of work begins, commits and rolls back; savepoints inside it are free."""
    if not isinstance(node, ast.Call):
        return None
    name = _called(node)
    # SQLAlchemy's and the drivers' take no positional argument; other things that begin may.
    if name in ("begin", "commit", "rollback") and not node.args:
        return f"calls .{name}(): only the unit of work may"
    if name in _SQL_CALLS and node.args and _TRANSACTION_SQL.match(_text(node.args[0])):
        return f"sends {_text(node.args[0]).split(maxsplit=1)[0]}: only the unit of work may"
    return None


def opens_a_session(node: ast.AST) -> str | None:
    """Only the unit of work has a session; reads go through `trellis.db`."""
    if isinstance(node, ast.Attribute) and node.attr == "session" and _name(node.value) == "db":
        return "uses db.session: a service writes through unit_of_work()"
    if isinstance(node, ast.Call) and _called(node) in _MAKERS:
        return f"calls {_called(node)}: a service writes through unit_of_work()"
    if isinstance(node, ast.keyword) and (node.arg, _text(node.value)) == _EACH_ALONE:
        return "sets AUTOCOMMIT: writes would commit one by one"
    return None


def enqueues(node: ast.AST) -> str | None:
    """Work is enqueued by `uow.enqueue`, which writes a row; nothing leaves before the commit."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        receiver = _name(node.func.value)
        if node.func.attr.startswith("enqueue") and receiver != "uow":
            return f"calls {receiver or '…'}.{node.func.attr}(): work goes through uow.enqueue()"
    if any(module.partition(".")[0] == "rq" for module in _imported(node)):
        return "imports rq: work goes through uow.enqueue()"
    return None


def opens_a_unit(node: ast.AST) -> str | None:
    """Only services write: no other room opens a unit of work."""
    if "trellis.unit_of_work.unit_of_work" in _imported(node):
        return "uses unit_of_work: only services write"
    return None


def leaves_the_public_core(node: ast.AST) -> str | None:
    """A plugin uses only what is public."""
    for name in _imported(node):
        if name.partition(".")[0] in _CORE and not _is_public(name):
            return f"imports {name}, which is not public"
    return None


def imports_any_of(packages: Iterable[str]) -> Rule:
    """Plugins serve one another through ports and events, never by an import."""
    foreign = frozenset(packages)

    def rule(node: ast.AST) -> str | None:
        for name in _imported(node):
            if name.partition(".")[0] in foreign:
                return f"imports {name}: use a port or an event"
        return None

    return rule


def _is_public(name: str) -> bool:
    if name in PUBLIC_MODULES:
        return True
    module_name, _, attribute = name.rpartition(".")
    if module_name not in PUBLIC_MODULES:
        return False
    exported = getattr(importlib.import_module(module_name), "__all__", None)
    return not attribute.startswith("_") if exported is None else attribute in exported


def _imported(node: ast.AST) -> list[str]:
    """Full names that an import brings: of `from a.b import c` it is `a.b.c`."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else _name(call.func)


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _text(node: ast.AST) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
