"""Which values a schema takes or gives now, and which it did."""

from __future__ import annotations

from collections import deque

from trellis_openapi.alternatives import ANNOTATIONS, Alternative, alternatives, component
from trellis_openapi.changes import Changes, Report, Side, Verdict
from trellis_openapi.nodes import Node, equal_values, same
from trellis_openapi.values import COMPARED, changed_at, compare_values

_NOTES = ANNOTATIONS | {"deprecated", "readOnly", "writeOnly"}
_Alternatives = list[Alternative]


class SchemaComparison:
    """Compares schemas of one side of one operation; what was compared once is not again."""

    def __init__(self, changes: Changes, side: Side, operation: str) -> None:
        self.report = Report(changes, side, operation)
        self._hidden = "readOnly" if side is Side.REQUEST else "writeOnly"
        self._began = changes.count
        self._met: set[tuple[Side, str, str]] = set()
        self._waiting: deque[tuple[Node, Node]] = deque()

    def compare(self, base: Node, head: Node) -> None:
        """Note every difference. Raises BadDocument."""
        self._later(base, head)
        while self._waiting:  # no recursion: components lead to one another through all of them
            self._compare_next(*self._waiting.popleft())
        changes = self.report.changes
        if changes.count == self._began:  # so nobody else need look at any of these
            changes.unchanged |= self._met

    def _later(self, base: Node, head: Node) -> None:
        base, head = component(base), component(head)
        where = (self.report.side, base.pointer, head.pointer)
        if where not in self._met and where not in self.report.changes.unchanged:
            self._met.add(where)
            self._waiting.append((base, head))

    def _compare_next(self, base: Node, head: Node) -> None:
        old, new = alternatives(base), alternatives(head)
        pairs, gone, added = _paired(old, new)
        if any(one.type is None for one in (*gone, *added)):
            words = f"is {_or(new)} now, was {_or(old)}"
            widened = any(one.type is None for one in added)
            change = self.report.wider if widened else self.report.narrower
            change(head.pointer, words, typed=True)
        else:
            for one in gone:
                self.report.narrower(
                    head.pointer, f"cannot be {one} any more", typed=one.type != "null"
                )
            for one in added:
                self.report.wider(head.pointer, f"can be {one} now", typed=one.type != "null")
        for ours, theirs in pairs:
            self._compare(ours, theirs)

    def _compare(self, old: Alternative, new: Alternative) -> None:
        if old.type != new.type:
            change = self.report.wider if new.type == "number" else self.report.narrower
            change(new.pointer, f"is {new.type} now, was {old.type}", typed=True)
        self._name(old, new)
        compare_values(self.report, old, new)
        self._fields(old, new)
        self._other_fields(old, new)
        if "items" in old.keywords or "items" in new.keywords:
            self._later(_or_anything(old, "items"), _or_anything(new, "items"))
        self._rest(old, new)

    def _name(self, old: Alternative, new: Alternative) -> None:
        """Generated clients call their types after components; requests and answers do not."""
        if old.name == new.name:
            return
        report = self.report
        if old.name and new.name:
            words = f"the type {old.name} is called {new.name} now"
            pointer = f"/components/schemas/{new.name}"
            report.changes.add(Verdict.CLIENTS, pointer, words, report.operation)
            report.changes.renamed.add(old.name)
        elif new.type in ("object", None) or "enum" in new.keywords:
            words = (
                f"is the type {new.name or 'without a name'} now, was {old.name or 'without one'}"
            )
            report.note(Verdict.CLIENTS, new.pointer, words)

    def _fields(self, old: Alternative, new: Alternative) -> None:
        before, after = self._shown(old), self._shown(new)
        demanded, demands = self._required(old), self._required(new)
        for name in {**before, **after, **dict.fromkeys([*demanded, *demands])}:
            ours, theirs = before.get(name), after.get(name)
            if theirs is None and ours is not None:
                words = f"the field `{name}` is gone"
                self.report.note(Verdict.BREAKING, ours.pointer, words)
                continue
            pointer = theirs.pointer if theirs else new.pointer
            if ours is None and theirs is not None:
                self._added(old, theirs, name, demanded=name in demands)
            elif ours is not None and theirs is not None:
                self._later(ours, theirs)
            if name in demands and name not in demanded and (ours or not theirs):
                self.report.narrower(pointer, f"the field `{name}` has to be there now")
            elif name in demanded and name not in demands:
                self.report.wider(pointer, f"the field `{name}` may be left out now")

    def _added(self, old: Alternative, field: Node, name: str, *, demanded: bool) -> None:
        kind = "the required field" if demanded else "the field"
        words = f"{kind} `{name}` is new"
        others = _or_anything(old, "additionalProperties")
        if self.report.side is Side.REQUEST:
            verdict = Verdict.BREAKING if demanded else Verdict.COMPATIBLE
        elif others.value is False:
            words += ", where no other fields were to be expected"
            verdict = Verdict.CLIENTS
        else:
            verdict = Verdict.COMPATIBLE
        self.report.note(verdict, field.pointer, words)
        if isinstance(others.value, dict):
            self._later(others, field)

    def _other_fields(self, old: Alternative, new: Alternative) -> None:
        keyword = "additionalProperties"
        if keyword not in old.keywords and keyword not in new.keywords:
            return
        before, after = _or_anything(old, keyword), _or_anything(new, keyword)
        pointer = changed_at(old, new, keyword)
        if before.value is False or after.value is False:
            if before.value is not False:
                self.report.narrower(pointer, "other fields are no longer allowed")
            elif after.value is not False:
                # What a client does not know it leaves alone; a strict generated one does not.
                answer = self.report.side is Side.ANSWER
                verdict = Verdict.CLIENTS if answer else Verdict.COMPATIBLE
                self.report.note(verdict, pointer, "other fields are allowed now")
        else:
            self._later(before, after)

    def _rest(self, old: Alternative, new: Alternative) -> None:
        """What says nothing of values is told; what nobody here understands, too, as that."""
        handled = COMPARED | {"required", "additionalProperties", "items"}
        for keyword in sorted((old.keywords.keys() | new.keywords.keys()) - handled):
            before, after = old.keywords.get(keyword), new.keywords.get(keyword)
            note = keyword in _NOTES
            equal = equal_values if note else same
            if before is None or after is None or not equal(before, after):
                verdict = Verdict.COMPATIBLE if note else Verdict.UNKNOWN
                pointer = changed_at(old, new, keyword)
                self.report.note(verdict, pointer, f"`{keyword}` has changed")

    def _shown(self, one: Alternative) -> dict[str, Node]:
        """The fields that this side sends: not `readOnly` ones in requests, nor the reverse."""
        return {name: node for name, node in one.properties.items() if not self._hides(node)}

    def _hides(self, node: Node) -> bool:
        values = [one.value for one in (node, node.followed()) if isinstance(one.value, dict)]
        return any(value.get(self._hidden) is True for value in values)

    def _required(self, one: Alternative) -> list[str]:
        node = one.keywords.get("required")
        hidden = one.properties.keys() - self._shown(one).keys()
        return [name for name in node.strings() if name not in hidden] if node else []


def compare_media(changes: Changes, comparison: SchemaComparison, old: Node, new: Node) -> None:
    """Compare two media type objects; without a schema anything goes."""
    before, after = (node.child("schema") or node.at("schema", value=True) for node in (old, new))
    comparison.compare(before, after)
    operation = comparison.report.operation
    changes.rest(old, new, {"schema"}, {"example", "examples"}, operation)


def _paired(
    old: _Alternatives, new: _Alternatives
) -> tuple[list[tuple[Alternative, Alternative]], _Alternatives, _Alternatives]:
    """Which alternative was which: by name, by what it says, or as the only one of its type."""
    gone, added = list(old), list(new)
    pairs = []
    for belong in (_same_name, _same_words, _same_type, _both_numbers):
        for ours in list(gone):
            candidates = [theirs for theirs in added if belong(ours, theirs)]
            rivals = [one for one in gone if candidates and belong(one, candidates[0])]
            if candidates and (belong is _same_words or len(candidates) == len(rivals) == 1):
                pairs.append((ours, candidates[0]))
                gone.remove(ours)
                added.remove(candidates[0])
    return pairs, gone, added


def _same_name(old: Alternative, new: Alternative) -> bool:
    return old.name is not None and (old.name, old.type) == (new.name, new.type)


def _same_words(old: Alternative, new: Alternative) -> bool:
    parts = ((old.keywords, new.keywords), (old.properties, new.properties))
    return old.type == new.type and all(
        ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
        for ours, theirs in parts
    )


def _same_type(old: Alternative, new: Alternative) -> bool:
    return old.type == new.type


def _both_numbers(old: Alternative, new: Alternative) -> bool:
    return {old.type, new.type} == {"integer", "number"}


def _or(found: _Alternatives) -> str:
    return " or ".join(map(str, found)) or "nothing"


def _or_anything(one: Alternative, keyword: str) -> Node:
    stated = one.keywords.get(keyword)
    if stated is not None:
        return stated
    root = next((node.root for node in one.keywords.values()), {})
    return Node(root, f"{one.pointer}/{keyword}", value=True)
