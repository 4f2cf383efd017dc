"""The answers of an operation: statuses, content types, headers, and the codes of its errors."""

from __future__ import annotations

from trellis.api.problems import MEDIA_TYPE
from trellis_openapi.changes import Changes, Side, Verdict
from trellis_openapi.nodes import Node
from trellis_openapi.schemas import SchemaComparison, compare_media

# Only who sends `Range` or `If-None-Match` is answered so.
_ASKED_FOR = frozenset({"206", "304"})
_NOTES = frozenset({"description", "deprecated"})


def compare_answers(changes: Changes, old: Node, new: Node, operation: str) -> None:
    """Note what has changed in the answers. Raises BadDocument."""
    comparison = SchemaComparison(changes, Side.ANSWER, operation)
    before, after = _answers(old), _answers(new)
    for status, answer in before.items():
        if status in after:
            _compare_answer(changes, comparison, answer, after[status])
        elif not _codes_of(answer):
            changes.add(
                Verdict.BREAKING, answer.pointer, f"{status} is never answered now", operation
            )
    for status, answer in after.items():
        if status not in before:
            surprise = status[0] in "123" and status not in _ASKED_FOR
            verdict = Verdict.BREAKING if surprise else Verdict.COMPATIBLE
            changes.add(verdict, answer.pointer, f"{status} may be answered now", operation)
    _compare_codes(changes, before, after, operation)


def _answers(operation: Node) -> dict[str, Node]:
    return {status: node.followed() for status, node in operation.members("responses").items()}


def _compare_answer(changes: Changes, comparison: SchemaComparison, old: Node, new: Node) -> None:
    operation = comparison.report.operation
    before, after = old.members("content"), new.members("content")
    for name, media in before.items():
        if name not in after:
            words = f"`{name}` is never answered now"
            changes.add(Verdict.BREAKING, media.pointer, words, operation)
        else:
            compare_media(changes, comparison, media, after[name])
    for name, media in after.items():
        if name not in before:
            # Compatible if only those get it who ask for it, which no document says.
            words = f"`{name}` may be answered now"
            changes.add(Verdict.UNKNOWN, media.pointer, words, operation)
    _compare_headers(changes, comparison, old, new)
    changes.rest(old, new, {"content", "headers"}, {"description", "summary"}, operation)


def _compare_headers(changes: Changes, comparison: SchemaComparison, old: Node, new: Node) -> None:
    operation = comparison.report.operation
    before, after = (
        {name.lower(): node.followed() for name, node in answer.members("headers").items()}
        for answer in (old, new)
    )
    for name, header in before.items():
        there = after.get(name)
        if there is None:
            words = f"the header `{name}` is gone"
            changes.add(Verdict.BREAKING, header.pointer, words, operation)
            continue
        if header.get("required") is True and there.get("required") is not True:
            words = f"the header `{name}` may be missing now"
            changes.add(Verdict.BREAKING, there.pointer, words, operation)
        compare_media(changes, comparison, *(_written(one) for one in (header, there)))
        changes.rest(header, there, {*_keys(header), *_keys(there)} - _NOTES, _NOTES, operation)
    for name, header in after.items():
        if name not in before:
            changes.add(
                Verdict.COMPATIBLE, header.pointer, f"the header `{name}` is new", operation
            )


def _written(header: Node) -> Node:
    """Its schema, and whatever else says how it is written."""
    shown = {key: header.get(key) for key in _keys(header) - _NOTES - {"required"}}
    return Node(header.root, header.pointer, shown)


def _keys(node: Node) -> set[str]:
    return {key for key, _ in node.children()}


def _compare_codes(
    changes: Changes, before: dict[str, Node], after: dict[str, Node], operation: str
) -> None:
    """Programs compare the codes of problems; each is the name of an example of its status."""
    ours, theirs = _codes(before), _codes(after)
    for code, statuses in ours.items():
        if code not in theirs:
            pointer = next(iter(statuses.values()))
            words = f"the error `{code}` never comes now"
            changes.add(Verdict.BREAKING, pointer, words, operation)
        elif statuses.keys() != theirs[code].keys():
            pointer = next(iter(theirs[code].values()))
            words = (
                f"the error `{code}` comes with {', '.join(theirs[code])}, "
                f"it was {', '.join(statuses)}"
            )
            changes.add(Verdict.BREAKING, pointer, words, operation)
    for code, statuses in theirs.items():
        if code not in ours:
            pointer = next(iter(statuses.values()))
            words = f"the error `{code}` may come now"
            changes.add(Verdict.COMPATIBLE, pointer, words, operation)


def _codes(answers: dict[str, Node]) -> dict[str, dict[str, str]]:
    """The pointer of each code's example, by code and status."""
    found: dict[str, dict[str, str]] = {}
    for status, answer in answers.items():
        for code, example in _codes_of(answer).items():
            found.setdefault(code, {})[status] = example.pointer
    return found


def _codes_of(answer: Node) -> dict[str, Node]:
    media = answer.members("content").get(MEDIA_TYPE)
    return media.members("examples") if media else {}
