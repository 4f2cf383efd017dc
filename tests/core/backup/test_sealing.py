"""A sealed file opens whole and as it was, or tells what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.core.backup.conftest import KEY, OTHER_KEY

from trellis.db.secret import fingerprint
from trellis_backup.errors import BackupError
from trellis_backup.sealing import CHUNK, MAGIC, Sealer

SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 17]
HEADER = len(MAGIC) + 8 + 32
SEALED_CHUNK = CHUNK + 16


def content(size: int) -> bytes:
    return bytes(number * 31 % 251 for number in range(size))


def sealed(size: int, name: str = "a", key: str = KEY) -> bytes:
    return b"".join(Sealer(key).seal(name, in_pieces(content(size), 10_007)))


def opened(data: bytes, name: str = "a", key: str = KEY) -> bytes:
    return b"".join(Sealer(key).open(name, in_pieces(data, 4_099)))


def in_pieces(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.mark.parametrize("size", SIZES)
def test_what_was_sealed_comes_out(size: int) -> None:
    assert opened(sealed(size)) == content(size)


def test_nothing_of_the_content_is_seen_and_nothing_is_sealed_alike() -> None:
    one, other = sealed(5 * CHUNK), sealed(5 * CHUNK)
    assert content(CHUNK)[:64] not in one
    assert one[:HEADER] != other[:HEADER]
    assert one[HEADER : HEADER + 64] != other[HEADER : HEADER + 64]


def test_the_key_that_is_needed_is_named() -> None:
    with pytest.raises(BackupError) as error:
        opened(sealed(5), key=OTHER_KEY)
    assert fingerprint(KEY) in str(error.value)
    assert fingerprint(OTHER_KEY) in str(error.value)
    assert KEY not in str(error.value)


@pytest.mark.parametrize("size", [0, 1, CHUNK, 2 * CHUNK, 2 * CHUNK + 5])
def test_a_file_that_is_cut_short_does_not_open(size: int) -> None:
    whole = sealed(size)
    ends = {0, 1, len(MAGIC), HEADER - 1, HEADER, HEADER + 1, len(whole) - 1}
    ends |= set(range(HEADER + SEALED_CHUNK, len(whole), SEALED_CHUNK))
    for end in ends:
        with pytest.raises(BackupError, match=r"cut short|altered"):
            opened(whole[:end])


def test_a_file_that_ends_between_two_chunks_is_told_as_cut_short() -> None:
    with pytest.raises(BackupError, match="a is cut short"):
        opened(sealed(3 * CHUNK)[: HEADER + SEALED_CHUNK])


def test_a_file_with_something_after_its_end_does_not_open() -> None:
    for more in (b"x", bytes(16), sealed(5)[HEADER:]):
        for size in (0, 5, CHUNK):
            with pytest.raises(BackupError, match="altered"):
                opened(sealed(size) + more)


def test_chunks_in_another_order_twice_or_from_another_file_do_not_open() -> None:
    whole, other = sealed(3 * CHUNK), sealed(3 * CHUNK)
    head, chunks = whole[:HEADER], list(in_pieces(whole[HEADER:], SEALED_CHUNK))
    foreign = other[HEADER : HEADER + SEALED_CHUNK]
    for order in (
        [chunks[1], chunks[0], chunks[2]],
        [chunks[0], chunks[0], chunks[1], chunks[2]],
        [chunks[0], chunks[2]],
        [foreign, *chunks[1:]],
    ):
        with pytest.raises(BackupError, match="altered"):
            opened(head + b"".join(order))


def test_one_bit_is_enough() -> None:
    whole = sealed(CHUNK + 5)
    for place in (0, len(MAGIC) - 1, len(MAGIC) + 3, HEADER - 1, HEADER, len(whole) - 1):
        broken = bytearray(whole)
        broken[place] ^= 1
        with pytest.raises(BackupError):
            opened(bytes(broken))


def test_a_file_in_another_one_s_place_does_not_open() -> None:
    with pytest.raises(BackupError, match="b was altered, or stands in another file's place"):
        opened(sealed(5, name="a"), name="b")


def test_names_of_contents_are_told_by_the_key_alone() -> None:
    sha256 = "0" * 64
    assert Sealer(KEY).blind(sha256) == Sealer(KEY).blind(sha256) != Sealer(OTHER_KEY).blind(sha256)
    assert sha256 not in Sealer(KEY).blind(sha256)
