"""The program that decodes one picture: a process of its own, because the bytes are a stranger's.

`trellis_media.services.decoding` starts it with the picture on standard input and an order (JSON)
as its one argument. It answers on standard output: one line of JSON, which may hold a `reason` why
not, then the bytes of the renditions. It imports nothing of Trellis: so it starts fast, and a
decoder that a stranger has taken over finds nothing.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
from base64 import b64encode
from collections.abc import Mapping
from io import BytesIO
from typing import Any, BinaryIO

from PIL import ExifTags, Image, ImageCms
from thumbhash import rgba_to_thumb_hash

# A real profile has a few kilobytes; with tables for printing, some hundred.
_MOST_PROFILE_BYTES = 1024 * 1024
_QUALITY = 80
_THUMBHASH_EDGE = 64  # of 100 at most: half the time, and hashes that look the same

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = [_UPRIGHT[orientation] for orientation in (5, 6, 7, 8)]


class TooLargeError(Exception):
    """More pixels than the order permits."""


def main() -> None:
    """Accept the limits, do as ordered, answer."""
    order = json.loads(sys.argv[1])
    _limit(resource.RLIMIT_CORE, 0, 0)
    # The soft limit sends SIGXCPU, which says what happened; the hard one kills.
    _limit(resource.RLIMIT_CPU, order["seconds"], order["seconds"] + 1)
    _limit(resource.RLIMIT_AS, order["bytes"], order["bytes"])
    blobs: list[bytes] = []
    try:
        answer, blobs = decode(
            sys.stdin.buffer, order["format"], order["edges"], order["max_pixels"]
        )
    except (TooLargeError, MemoryError):
        answer = {"reason": "too_large"}
    except Exception as error:  # noqa: BLE001 (nobody knows what hostile bytes make a decoder raise)
        answer = {"reason": "broken", "detail": f"{type(error).__name__}: {error}"[:500]}
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n" + b"".join(blobs))


def decode(
    file: BinaryIO, picture_format: str, edges: Mapping[str, int], max_pixels: int
) -> tuple[dict[str, Any], list[bytes]]:
    """Renditions of the first frame, upright, in sRGB and without metadata; and a placeholder.

    An animation costs what its first frame costs, however many there are.
    """
    Image.MAX_IMAGE_PIXELS = None  # we have a limit of our own
    with Image.open(file, formats=[picture_format]) as picture:
        width, height = picture.size  # before draft mode changes it
        if width * height > max_pixels:
            raise TooLargeError
        image = _shrinkable(picture)
        image.thumbnail((max(edges.values()),) * 2, reducing_gap=2.0)
        image = _in_srgb(image)
        turn = _turn(picture)
        if turn is not None:
            image = image.transpose(turn)
        if turn in _SIDEWAYS:
            width, height = height, width
    renditions, blobs = [], []
    # The largest first: each smaller one is made of the one before.
    for name, edge in sorted(edges.items(), key=lambda item: item[1], reverse=True):
        image.thumbnail((edge, edge), reducing_gap=2.0)
        blob = _webp(image)
        blobs.append(blob)
        renditions.append(
            {"name": name, "width": image.width, "height": image.height, "size": len(blob)}
        )
    answer = {
        "width": width,
        "height": height,
        "thumbhash": _thumbhash(image),
        "renditions": renditions,
    }
    return answer, blobs


def _shrinkable(picture: Image.Image) -> Image.Image:
    """The picture in a mode whose pixels can be mixed; a JPEG is in one, and still undecoded."""
    mode = "RGBA" if picture.has_transparency_data else "RGB"
    if picture.mode in {mode, "L", "CMYK"}:
        return picture  # not `convert`, which would make a copy
    if picture.mode.startswith("I"):
        # 16 bits of grey, which `convert` would clip instead of scaling.
        picture = picture.point(lambda value: value / 256)
    return picture.convert(mode)


def _in_srgb(image: Image.Image) -> Image.Image:
    """The colours that the picture's profile means, for a file that says nothing of profiles."""
    profile = image.info.get("icc_profile")
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    if profile and len(profile) <= _MOST_PROFILE_BYTES:
        # A picture whose profile is spoiled is still a picture.
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError):
            converted = ImageCms.profileToProfile(
                image, BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode=mode
            )
            if converted is not None:
                return converted
    return image.convert(mode)


def _turn(picture: Image.Image) -> Image.Transpose | None:
    try:
        return _UPRIGHT.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 (a picture whose EXIF is spoiled is still a picture)
        return None


def _webp(image: Image.Image) -> bytes:
    image.info = {}  # no EXIF, no profile, no comment
    blob = BytesIO()
    image.save(blob, "WEBP", quality=_QUALITY)
    return blob.getvalue()


def _thumbhash(image: Image.Image) -> str:
    small = image.convert("RGBA")
    small.thumbnail((_THUMBHASH_EDGE, _THUMBHASH_EDGE), reducing_gap=2.0)
    # On white: the library fails on a picture that one can see through.
    opaque = Image.alpha_composite(Image.new("RGBA", small.size, "white"), small)
    return b64encode(bytes(rgba_to_thumb_hash(*opaque.size, opaque.tobytes()))).decode()


def _limit(kind: int, soft: int, hard: int) -> None:
    # macOS refuses a limit of the address space.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (soft, hard))


if __name__ == "__main__":
    main()
