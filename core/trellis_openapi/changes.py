"""What a comparison finds: each change once, with all operations that it concerns."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from enum import Enum

from trellis_openapi.nodes import Node, equal_values, same


class Verdict(Enum):
    """What a change means to the clients that are out there; the worst comes first."""

    BREAKING = "breaking"
    CLIENTS = "breaking for generated clients"
    UNKNOWN = "cannot tell"
    COMPATIBLE = "compatible"


class Side(Enum):
    """Who makes the value."""

    REQUEST = "request"
    ANSWER = "answer"


@dataclass(frozen=True)
class Change:
    """One difference. `pointer` leads into the new document; to what is gone, into the old one."""

    verdict: Verdict
    pointer: str
    words: str
    operations: tuple[str, ...]

    @property
    def breaks(self) -> bool:
        """Whether a client may break; also where nobody can tell."""
        return self.verdict is not Verdict.COMPATIBLE

    def __str__(self) -> str:
        concerned = f" ({', '.join(self.operations)})" if self.operations else ""
        text = f"{self.verdict.value}: {self.pointer or '/'}{concerned}: {self.words}"
        # A document is read from a file that anybody may have written, and shown on a terminal.
        return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


class Changes:
    """Gathers changes; the same one found by way of several operations is one."""

    def __init__(self) -> None:
        self.count = 0  # of all that was told, also of the same
        self.renamed: set[str] = set()  # components that have another name now
        self.unchanged: set[tuple[Side, str, str]] = set()  # pairs of schemas, by their pointers
        self._found: dict[tuple[Verdict, str, str], dict[str, None]] = {}

    def add(self, verdict: Verdict, pointer: str, words: str, operation: str | None = None) -> None:
        """Take note of a change, and of the operation in which it was seen."""
        self.count += 1
        operations = self._found.setdefault((verdict, pointer, words), {})
        if operation is not None:
            operations[operation] = None

    def rest(
        self,
        old: Node,
        new: Node,
        compared: Set[str],
        notes: Set[str],
        operation: str | None = None,
    ) -> None:
        """Note the members that were not `compared`: `notes` for people, and what nobody knows."""
        for key in dict.fromkeys(key for node in (old, new) for key, _ in node.children()):
            before, after = old.child(key), new.child(key)
            equal = equal_values if key in notes else same
            if key in compared or (before and after and equal(before, after)):
                continue
            verdict = Verdict.COMPATIBLE if key in notes else Verdict.UNKNOWN
            pointer = (after or before or new).pointer
            self.add(verdict, pointer, f"`{key}` has changed", operation)

    def all(self) -> list[Change]:
        """Every change, the worst first, else in the order of the document."""
        order = list(Verdict)
        changes = [Change(*key, tuple(operations)) for key, operations in self._found.items()]
        return sorted(changes, key=lambda change: order.index(change.verdict))


@dataclass(frozen=True)
class Report:
    """Judges the differences between the schemas of one side of one operation.

    What a request may be must not become narrower, what an answer may be must not become wider.
    """

    changes: Changes
    side: Side
    operation: str

    def narrower(self, pointer: str, words: str, *, typed: bool = False) -> None:
        """Fewer values than before; `typed` when generated clients have another type for it."""
        self._judge(self.side is Side.REQUEST, pointer, words, typed)

    def wider(self, pointer: str, words: str, *, typed: bool = False) -> None:
        """More values than before; `typed` when generated clients have another type for it."""
        self._judge(self.side is Side.ANSWER, pointer, words, typed)

    def note(self, verdict: Verdict, pointer: str, words: str) -> None:
        """A difference whose verdict does not depend on the side."""
        self.changes.add(verdict, pointer, f"{self.side.value}: {words}", self.operation)

    def _judge(self, breaks: bool, pointer: str, words: str, typed: bool) -> None:
        calm = Verdict.CLIENTS if typed else Verdict.COMPATIBLE
        self.note(Verdict.BREAKING if breaks else calm, pointer, words)
