"""Rows of SQLite survive the text form, and it is the form that PostgreSQL reads."""

from __future__ import annotations

import uuid
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import CHAR, JSON, Boolean, DateTime, Float, Integer, LargeBinary, String
from sqlalchemy.types import TypeEngine

from trellis_backup.copy_text import Value, parsed, written

TYPES: list[TypeEngine[Any]] = [
    CHAR(32),
    String(),
    Integer(),
    Boolean(),
    DateTime(),
    LargeBinary(),
    JSON(),
    Float(),
]

# Not the first and last days, which other time zones do not have.
times = st.datetimes(timezones=st.just(UTC)).filter(lambda time: 1 < time.year < 9999)
text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
rows = st.tuples(
    st.none() | st.uuids().map(lambda id_: id_.hex),
    st.none() | text | st.sampled_from(["\\N", "\\", "\\.", "", "\t", "a\nb", "\r\n", "\\n", "\v"]),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.sampled_from([0, 1]),
    st.none() | times.map(lambda time: f"{time.year:04}-{time:%m-%d %H:%M:%S.%f}"),
    st.none() | st.binary(),
    st.none() | text,
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
)


def in_bits(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@given(st.lists(rows, max_size=8), st.integers(1, 50))
def test_what_is_written_is_read(some: list[tuple[Any, ...]], size: int) -> None:
    data = b"".join(written(some, TYPES))
    assert data.count(b"\n") == len(some)
    assert list(parsed(in_bits(data, size), TYPES)) == some


@pytest.mark.parametrize(
    ("type_", "stored", "form"),
    [
        (Boolean(), 1, b"t"),
        (DateTime(), "2026-11-22 06:55:29.120000", b"2026-11-22 06:55:29.120000+00"),
        (CHAR(32), uuid.UUID(int=7).hex, b"00000000-0000-0000-0000-000000000007"),
        (LargeBinary(), b"\x00\xff", rb"\\x00ff"),
        (String(), "a\tb\\N", rb"a\tb\\N"),
        (String(), None, rb"\N"),
        (Integer(), -3, b"-3"),
    ],
)
def test_the_form_is_that_of_postgresql(type_: Any, stored: Value, form: bytes) -> None:
    assert b"".join(written([(stored,)], [type_])) == form + b"\n"


@pytest.mark.parametrize(
    ("form", "stored"),
    [
        (b"2026-11-22 06:55:29+00", "2026-11-22 06:55:29.000000"),
        (b"2026-11-22 06:55:29.12+00", "2026-11-22 06:55:29.120000"),
        (b"2026-11-22 08:55:29+02", "2026-11-22 06:55:29.000000"),
    ],
)
def test_times_of_postgresql_get_the_length_of_ours(form: bytes, stored: str) -> None:
    assert list(parsed([form + b"\n"], [DateTime()])) == [(stored,)]


@pytest.mark.parametrize("data", [b"1", b"1\t2\n", b"x\n", b"\n"])
def test_what_is_no_row_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        list(parsed([data], [Integer()]))
