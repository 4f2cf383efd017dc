"""What a file is, decided by its first bytes: an allow-list, and the size that its header states.

Nothing is decoded here, and no decoder is loaded: this runs while a request waits.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from trellis_media.errors import UnsupportedContent

# Cameras write a few dozen; each one is read by Python.
_MOST_JPEG_SEGMENTS = 500
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset(range(0xD0, 0xD8)) | {0x01}

Dimensions = tuple[int, int]


@dataclass(frozen=True)
class Kind:
    """A type of file that may be uploaded."""

    content_type: str
    extension: str
    magic: tuple[tuple[int, bytes], ...]
    """Offsets and the bytes that stand there."""
    dimensions: Callable[[BinaryIO], Dimensions]


@dataclass(frozen=True)
class Content:
    """What a file is, as its header states it."""

    kind: Kind
    width: int
    height: int


def identify(file: BinaryIO) -> Content:
    """Tell type and size of a picture. Raises `UnsupportedContent`."""
    file.seek(0)
    head = file.read(16)
    for kind in KINDS.values():
        if all(head[offset:].startswith(magic) for offset, magic in kind.magic):
            try:
                width, height = kind.dimensions(file)
            except (struct.error, IndexError, ValueError):
                break
            if width > 0 and height > 0:
                return Content(kind, width, height)
            break
    raise UnsupportedContent(f"Send one of {', '.join(KINDS)}.", supported=list(KINDS))


def _jpeg(file: BinaryIO) -> Dimensions:
    file.seek(2)
    for _ in range(_MOST_JPEG_SEGMENTS):
        marker = _jpeg_marker(file)
        if marker in _JPEG_BARE:
            continue
        (length,) = struct.unpack(">H", file.read(2))
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack(">xHH", file.read(5))
            return width, height
        if length < 2:
            break
        file.seek(length - 2, 1)
    raise ValueError("no frame header")


def _jpeg_marker(file: BinaryIO) -> int:
    if file.read(1) != b"\xff":
        raise ValueError("no marker")
    for _ in range(16):  # any number of fill bytes is allowed, in practice there are none
        byte = file.read(1)[0]
        if byte != 0xFF:
            return byte
    raise ValueError("no marker")


def _png(file: BinaryIO) -> Dimensions:
    file.seek(12)
    chunk, width, height = struct.unpack(">4sII", file.read(12))
    if chunk != b"IHDR":
        raise ValueError("no header")
    return width, height


def _gif(file: BinaryIO) -> Dimensions:
    file.seek(6)
    width, height = struct.unpack("<HH", file.read(4))
    return width, height


def _webp(file: BinaryIO) -> Dimensions:
    file.seek(12)
    chunk = file.read(18)
    if chunk.startswith(b"VP8X") and len(chunk) == 18:
        return (
            int.from_bytes(chunk[12:15], "little") + 1,
            int.from_bytes(chunk[15:18], "little") + 1,
        )
    if chunk.startswith(b"VP8 ") and chunk[11:14] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", chunk[14:18])
        return width & 0x3FFF, height & 0x3FFF
    if chunk.startswith(b"VP8L") and chunk[8] == 0x2F:
        bits = int.from_bytes(chunk[9:13], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    raise ValueError("no header")


KINDS = {
    kind.content_type: kind
    for kind in (
        Kind("image/jpeg", ".jpg", ((0, b"\xff\xd8\xff"),), _jpeg),
        Kind("image/png", ".png", ((0, b"\x89PNG\r\n\x1a\n"),), _png),
        Kind("image/webp", ".webp", ((0, b"RIFF"), (8, b"WEBP")), _webp),
        Kind("image/gif", ".gif", ((0, b"GIF8"), (5, b"a")), _gif),  # GIF87a, GIF89a
    )
}
