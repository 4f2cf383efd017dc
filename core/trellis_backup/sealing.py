"""Files sealed under a key: AES-256-GCM in chunks, by the STREAM construction (Hoang et al. 2015).

A nonce is the file's prefix, the number of the chunk and whether it is the last one: so a chunk
that was altered, dropped, repeated or moved does not open. Key and prefix of a file come from a
random salt and the file's name: so no nonce is used twice, and no file passes for another.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from trellis.db.secret import fingerprint
from trellis_backup.errors import BackupError

MAGIC = b"trellis-sealed-1\n"
CHUNK = 64 * 1024
_TAG, _SALT, _PREFIX, _PRINT = 16, 32, 7, 8
_HEADER = len(MAGIC) + _PRINT + _SALT


class Sealer:
    """Seals and opens files under one key, a text of 32 bytes or more."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()
        self.fingerprint = fingerprint(key)

    def seal(self, name: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The bytes of the sealed file."""
        salt = os.urandom(_SALT)
        stream = self._stream(name, salt)
        yield MAGIC + bytes.fromhex(self.fingerprint) + salt
        for number, (chunk, last) in enumerate(_chunks(pieces, CHUNK)):
            yield stream.cipher.encrypt(stream.nonce(number, last), chunk, None)

    def open(self, name: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The bytes that were sealed. Raises BackupError, which says what is wrong with the file.

        Each chunk is genuine and in its place; that there are all is known at the end only.
        """
        rest = iter(pieces)
        head = b""
        while len(head) < _HEADER and (piece := next(rest, b"")):
            head += piece
        sealed_under = sealed_by(head)
        if len(head) < _HEADER or sealed_under is None:
            raise BackupError(f"{name} is cut short.")
        if sealed_under != self.fingerprint:
            raise BackupError(
                f"{name} is sealed under the key with fingerprint {sealed_under}; "
                f"TRELLIS_BACKUP_KEY is the one with fingerprint {self.fingerprint}."
            )
        stream = self._stream(name, head[_HEADER - _SALT : _HEADER])
        chunks = _chunks(_chained(head[_HEADER:], rest), CHUNK + _TAG)
        for number, (chunk, last) in enumerate(chunks):
            try:
                yield stream.cipher.decrypt(stream.nonce(number, last), chunk, None)
            except InvalidTag:
                if last and stream.opens(number, chunk):
                    raise BackupError(f"{name} is cut short.") from None
                raise BackupError(
                    f"{name} was altered, or stands in another file's place."
                ) from None

    def blind(self, sha256: str) -> str:
        """A name for bytes of this SHA-256 that tells nobody else which bytes they are."""
        return hmac.digest(_derived(self._key, 32, b"names"), sha256.encode(), "sha256").hex()

    def _stream(self, name: str, salt: bytes) -> _Stream:
        both = _derived(self._key, 32 + _PREFIX, b"file " + name.encode(), salt)
        return _Stream(AESGCM(both[:32]), both[32:])


class _Stream(NamedTuple):
    cipher: AESGCM
    prefix: bytes

    def nonce(self, number: int, last: bool) -> bytes:
        return self.prefix + number.to_bytes(4) + bytes([last])

    def opens(self, number: int, chunk: bytes) -> bool:
        """Whether it is a chunk that others should follow."""
        try:
            self.cipher.decrypt(self.nonce(number, last=False), chunk, None)
        except InvalidTag:
            return False
        return True


def sealed_by(head: bytes) -> str | None:
    """The fingerprint of the key under which a file is sealed that begins like this, or None."""
    if not head.startswith(MAGIC):
        return None
    return head[len(MAGIC) : len(MAGIC) + _PRINT].hex()


def _derived(key: bytes, length: int, purpose: bytes, salt: bytes | None = None) -> bytes:
    return HKDF(SHA256(), length, salt, b"trellis backup 1 " + purpose).derive(key)


def _chained(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _chunks(pieces: Iterable[bytes], size: int) -> Iterator[tuple[bytes, bool]]:
    """The same bytes in chunks of one size, each with whether it is the last; at least one."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        while len(waiting) > size:
            yield bytes(waiting[:size]), False
            del waiting[:size]
    yield bytes(waiting), True
