"""The keywords that bound a single value: limits, enumerations, formats, defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trellis_openapi.alternatives import Alternative
from trellis_openapi.changes import Report, Side, Verdict
from trellis_openapi.nodes import BadDocument, Node, canonical

_Bound = tuple[float, int]
_Rule = Callable[[Report, Alternative, Alternative], None]

_INFINITY = float("inf")
_COUNTS = {"minLength": "maxLength", "minItems": "maxItems", "minProperties": "maxProperties"}
# Formats by which generated clients choose a type; the second of a pair holds more than the first.
_TYPED_FORMATS = frozenset(
    {
        *("date", "date-time", "time", "duration", "uuid", "uri", "binary", "byte"),
        *("int32", "int64", "float", "double", "decimal"),
    }
)
_WIDENED = frozenset({("int32", "int64"), ("float", "double")})


def compare_values(report: Report, old: Alternative, new: Alternative) -> None:
    """Note what has changed in the keywords of `COMPARED`. Raises BadDocument."""
    for rule in _RULES:
        rule(report, old, new)


def changed_at(old: Alternative, new: Alternative, *keywords: str) -> str:
    """The pointer of the first of these keywords: where it is now, or else where it was."""
    stated = [one.keywords[key] for one in (new, old) for key in keywords if key in one.keywords]
    return stated[0].pointer if stated else new.pointer


def _limits(report: Report, old: Alternative, new: Alternative) -> None:
    for least, most in _COUNTS.items():
        _bound(report, old, new, [least], (0, 0))
        _bound(report, old, new, [most], (_INFINITY, 1))
    _bound(report, old, new, ["minimum", "exclusiveMinimum"], (-_INFINITY, 0))
    _bound(report, old, new, ["maximum", "exclusiveMaximum"], (_INFINITY, 1))


def _bound(
    report: Report, old: Alternative, new: Alternative, keywords: list[str], default: _Bound
) -> None:
    """Compare a limit; a pair's second part says whether the value itself is beyond it."""
    lower = default[0] < _INFINITY
    before, after = (_tightest(one, keywords, default) for one in (old, new))
    if before == after:
        return
    texts = [_limit_text(bound, lower) for bound in (after, before)]
    change = report.narrower if (after > before) is lower else report.wider
    change(changed_at(old, new, *keywords), f"`{keywords[0]}` is {texts[0]}, was {texts[1]}")


def _tightest(one: Alternative, keywords: list[str], default: _Bound) -> _Bound:
    lower = default[0] < _INFINITY
    bounds = [default]
    for excluded, keyword in enumerate(keywords):
        value = _number(one, keyword)
        if value is not None:
            bounds.append((value, excluded if lower else 1 - excluded))
    return max(bounds) if lower else min(bounds)


def _limit_text(bound: _Bound, lower: bool) -> str:
    value, last = bound
    if value in (_INFINITY, -_INFINITY):
        return "not limited"
    return f"{value} (excluded)" if last == int(lower) else str(value)


def _multiple(report: Report, old: Alternative, new: Alternative) -> None:
    before, after = (_number(one, "multipleOf") for one in (old, new))
    if before == after:
        return
    pointer = changed_at(old, new, "multipleOf")
    words = f"`multipleOf` is {after or 'not stated'}, was {before or 'not stated'}"
    if not before or (after and after % before == 0):
        report.narrower(pointer, words)
    elif not after or before % after == 0:
        report.wider(pointer, words)
    else:
        report.note(Verdict.BREAKING, pointer, words)


def _unique(report: Report, old: Alternative, new: Alternative) -> None:
    before, after = (_value(one, "uniqueItems") is True for one in (old, new))
    if before != after:
        change = report.narrower if after else report.wider
        words = "no item comes twice now" if after else "an item may come twice now"
        change(changed_at(old, new, "uniqueItems"), words)


def _enum(report: Report, old: Alternative, new: Alternative) -> None:
    before, after = (_texts(one, "enum") for one in (old, new))
    pointer = changed_at(old, new, "enum")
    if before is None or after is None:
        if after is not None:
            report.narrower(pointer, f"is one of {', '.join(after)} now", typed=True)
        elif before is not None:
            report.wider(pointer, f"is not only {', '.join(before)} now", typed=True)
        return
    if gone := [value for value in before if value not in after]:
        report.narrower(pointer, f"cannot be {', '.join(gone)} any more", typed=True)
    if added := [value for value in after if value not in before]:
        report.wider(pointer, f"can be {', '.join(added)} now")


def _extensible_enum(report: Report, old: Alternative, new: Alternative) -> None:
    """A list of values that may grow: clients bear a value that they do not know."""
    keyword = "x-extensible-enum"
    before, after = (_texts(one, keyword) or [] for one in (old, new))
    pointer = changed_at(old, new, keyword)
    if gone := [value for value in before if value not in after]:
        report.narrower(pointer, f"cannot be {', '.join(gone)} any more")
    if added := [value for value in after if value not in before]:
        report.note(Verdict.COMPATIBLE, pointer, f"can be {', '.join(added)} now")


def _format(report: Report, old: Alternative, new: Alternative) -> None:
    before, after = (_string(one, "format") for one in (old, new))
    if before == after:
        return
    pointer = changed_at(old, new, "format")
    words = f"its format is {after or 'not stated'}, was {before or 'not stated'}"
    typed = bool({str(before), str(after)} & _TYPED_FORMATS)
    if not before or (after, before) in _WIDENED:
        report.narrower(pointer, words, typed=typed)
    elif not after or (before, after) in _WIDENED:
        report.wider(pointer, words, typed=typed)
    else:
        report.note(Verdict.BREAKING, pointer, words)


def _pattern(report: Report, old: Alternative, new: Alternative) -> None:
    before, after = (_string(one, "pattern") for one in (old, new))
    if before == after:
        return
    pointer = changed_at(old, new, "pattern")
    if before is None:
        report.narrower(pointer, f"has to match `{after}` now")
    elif after is None:
        report.wider(pointer, f"need not match `{before}` now")
    else:
        report.note(Verdict.UNKNOWN, pointer, f"has to match `{after}`, had to match `{before}`")


def _default(report: Report, old: Alternative, new: Alternative) -> None:
    before, after = (_text(one, "default") for one in (old, new))
    if before == after:
        return
    words = f"left out, it is {after or 'not stated'}; it was {before or 'not stated'}"
    verdict = Verdict.COMPATIBLE
    if report.side is Side.REQUEST and before:
        verdict = Verdict.BREAKING if after else Verdict.UNKNOWN
    report.note(verdict, changed_at(old, new, "default"), words)


_RULES: tuple[_Rule, ...] = (
    _limits,
    _multiple,
    _unique,
    _enum,
    _extensible_enum,
    _format,
    _pattern,
    _default,
)
COMPARED = frozenset(
    {
        *_COUNTS.keys(),
        *_COUNTS.values(),
        *("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf"),
        *("uniqueItems", "enum", "x-extensible-enum", "format", "pattern", "default"),
    }
)


def _node(one: Alternative, keyword: str) -> Node | None:
    return one.keywords.get(keyword)


def _value(one: Alternative, keyword: str) -> Any:
    node = _node(one, keyword)
    return node.value if node else None


def _string(one: Alternative, keyword: str) -> str | None:
    value = _value(one, keyword)
    if value is not None and not isinstance(value, str):
        raise BadDocument(f"{one.keywords[keyword].pointer}: not a string")
    return value


def _text(one: Alternative, keyword: str) -> str | None:
    node = _node(one, keyword)
    return canonical(node.value) if node else None


def _texts(one: Alternative, keyword: str) -> list[str] | None:
    node = _node(one, keyword)
    return [canonical(value.value) for value in node.elements()] if node else None


def _number(one: Alternative, keyword: str) -> float | None:
    node = _node(one, keyword)
    if node is None:
        return None
    if isinstance(node.value, bool) or not isinstance(node.value, int | float):
        raise BadDocument(f"{node.pointer}: not a number")
    return node.value
