"""Has a picture decoded in a process with limits, so that no picture takes a worker with it."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import structlog

from trellis.errors import Transient
from trellis_media.settings import MediaSettings

log = structlog.get_logger(__name__)

_DECODER = Path(__file__).with_name("decoder.py")

# How a decoder ends that a picture has crashed. By any other signal somebody ended it from outside.
_CRASHES: dict[int, str] = {
    signal.SIGSEGV: "broken",
    signal.SIGBUS: "broken",
    signal.SIGABRT: "broken",
    signal.SIGFPE: "broken",
    signal.SIGILL: "broken",
    signal.SIGXCPU: "too_slow",
}


@dataclass(frozen=True)
class Rendition:
    """A smaller form of a picture, as WebP."""

    name: str
    width: int
    height: int
    data: bytes

    @property
    def facts(self) -> dict[str, Any]:
        """What its asset's row keeps of it."""
        return {
            "width": self.width,
            "height": self.height,
            "size": len(self.data),
            "sha256": hashlib.sha256(self.data).hexdigest(),
        }


@dataclass(frozen=True)
class Decoded:
    """What was made of a picture: its size as shown, and its smaller forms."""

    width: int
    height: int
    thumbhash: str
    renditions: tuple[Rendition, ...]


class UndecodableError(Exception):
    """The picture itself is the reason: another attempt would end the same way."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def decode(original: Iterable[bytes], content_type: str) -> Decoded:
    """Decode a picture. Raises `UndecodableError`; Transient when somebody ended the decoder."""
    settings = MediaSettings.current()
    order = {
        "format": content_type.removeprefix("image/").upper(),
        "edges": {"small": settings.small_edge, "large": settings.large_edge},
        "max_pixels": settings.max_pixels,
        "seconds": settings.decode_seconds,
        "bytes": settings.decode_bytes,
    }
    with TemporaryFile() as file:
        file.writelines(original)
        file.seek(0)
        # No environment: it may hold secrets, and the decoder needs none of it.
        ended = subprocess.run(
            [sys.executable, "-I", str(_DECODER), json.dumps(order)],
            stdin=file,
            capture_output=True,
            env={},
            check=False,
        )
    if ended.returncode < 0:
        if reason := _CRASHES.get(-ended.returncode):
            raise UndecodableError(reason)
        by = signal.Signals(-ended.returncode).name
        want = " (by somebody, or for want of memory)" if by == "SIGKILL" else ""
        raise Transient(f"the decoder was ended by {by}{want}")
    if ended.returncode:
        raise RuntimeError(f"decoder ended with {ended.returncode}: {ended.stderr[-500:]!r}")
    line, _, data = ended.stdout.partition(b"\n")
    answer = json.loads(line)
    if "reason" in answer:
        log.info("picture_refused", reason=answer["reason"], detail=answer.get("detail"))
        raise UndecodableError(answer["reason"])
    return _decoded(answer, data)


def _decoded(answer: dict[str, Any], data: bytes) -> Decoded:
    renditions = []
    for facts in answer["renditions"]:
        blob, data = data[: facts["size"]], data[facts["size"] :]
        renditions.append(Rendition(facts["name"], facts["width"], facts["height"], blob))
    return Decoded(answer["width"], answer["height"], answer["thumbhash"], tuple(renditions))
