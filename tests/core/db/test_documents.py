"""JSON columns are read as Python's own reader does, whatever was written into them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trellis.db.types import document

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_what_python_writes_is_read_as_by_python(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    if not ascii_only:
        text = text.encode(errors="replace").decode()  # what a database takes
    # As text, in which NaN is the same as itself, and 1 another than 1.0 and True.
    assert repr(document(text)) == repr(json.loads(text))
    assert repr(document(text.encode())) == repr(json.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        "-0",
        "-0.0",
        "1e400",
        "-1e400",
        "1e-400",
        "123456789012345678901234567890",
        "18446744073709551616",
        "-9223372036854775809",
        "12345678901234567890.5",
        "0.1",
        "1E5",
        '"\\ud800"',
        '"\\ud83d\\ude00"',
        '{"a": 1, "a": 2}',
        "[NaN, Infinity, -Infinity]",
        ' [1 , {"" : null}]\n',
    ],
)
def test_numbers_and_characters_at_the_edge(text: str) -> None:
    assert repr(document(text)) == repr(json.loads(text))


@pytest.mark.parametrize("text", ["", "[1,]", "{", "nul", "'a'", "01"])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        document(text)
