"""Real Pillow on real bytes, friendly and hostile, through the process that decodes."""

from __future__ import annotations

import os
import re
import signal
import struct
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image, ImageCms, ImageOps

from trellis.errors import Transient
from trellis_media.services import decoding
from trellis_media.services.decoding import Decoded, UndecodableError, decode

pytestmark = pytest.mark.usefixtures("app_context")

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def corners(width: int = 60, height: int = 40, mode: str = "RGB") -> Image.Image:
    """A picture of four colours, so that one sees how it is turned."""
    four = Image.new("RGB", (2, 2))
    for at, colour in enumerate(["red", "lime", "blue", "white"]):
        four.paste(colour, (at % 2, at // 2, at % 2 + 1, at // 2 + 1))
    return four.resize((width, height), Image.Resampling.NEAREST).convert(mode)


def renditions(decoded: Decoded) -> dict[str, Image.Image]:
    return {rendition.name: Image.open(BytesIO(rendition.data)) for rendition in decoded.renditions}


def seen_corners(picture: Image.Image) -> list[tuple[int, ...]]:
    """The colours of the four quarters, roughly."""
    small = picture.convert("RGB").resize((4, 4), Image.Resampling.BOX)
    return [
        tuple(round(band / 255) for band in small.getpixel(at))  # type: ignore[union-attr]
        for at in ((0, 0), (3, 0), (0, 3), (3, 3))
    ]


def chunks(webp: bytes) -> Iterator[bytes]:
    """The names of the chunks of a WebP file."""
    assert webp[:4] + webp[8:12] == b"RIFFWEBP"
    assert int.from_bytes(webp[4:8], "little") == len(webp) - 8, "nothing follows the picture"
    at = 12
    while at < len(webp):
        yield webp[at : at + 4]
        size = int.from_bytes(webp[at + 4 : at + 8], "little")
        at += 8 + size + size % 2


# --- what is made -------------------------------------------------------------------------------


def test_a_photograph_gets_two_renditions_without_exif(photograph: bytes) -> None:
    exif = Image.open(BytesIO(photograph)).getexif()
    assert exif[ExifTags.Base.Orientation] == 6
    assert exif.get_ifd(ExifTags.IFD.GPSInfo), "the photograph should tell where it was taken"
    camera = str(exif[ExifTags.Base.Make]).encode()

    decoded = decode([photograph], "image/jpeg")
    assert (decoded.width, decoded.height) == (2048, 1152)
    sizes = {name: picture.size for name, picture in renditions(decoded).items()}
    assert sizes == {"large": (1280, 720), "small": (320, 180)}
    for rendition in decoded.renditions:
        assert set(chunks(rendition.data)) == {b"VP8 "}
        assert camera not in rendition.data
        assert not Image.open(BytesIO(rendition.data)).getexif()
    assert decoded == decode([photograph], "image/jpeg"), "twice the same"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_renditions_are_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = encoded(corners(), "JPEG", exif=exif)
    upright = ImageOps.exif_transpose(Image.open(BytesIO(data)))
    decoded = decode([data], "image/jpeg")
    assert (decoded.width, decoded.height) == upright.size
    for picture in renditions(decoded).values():
        assert picture.size == upright.size, "a small picture is not made larger"
        assert seen_corners(picture) == seen_corners(upright)


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("JPEG", "RGB", {"progressive": True}),
        ("JPEG", "L", {}),
        ("JPEG", "CMYK", {}),
        ("PNG", "RGB", {}),
        ("PNG", "P", {}),
        ("PNG", "L", {"icc_profile": SRGB}),
        ("PNG", "RGBA", {"icc_profile": SRGB}),
        ("PNG", "RGB", {"transparency": (1, 2, 3)}),
        ("WEBP", "RGB", {"quality": 90}),
        ("WEBP", "RGBA", {"lossless": True}),
        ("GIF", "P", {}),
    ],
    ids=lambda part: part if isinstance(part, str) else "-".join(part) or "plain",
)
def test_every_kind_keeps_its_colours(kind: str, mode: str, options: dict[str, Any]) -> None:
    picture = corners(mode=mode)
    decoded = decode([encoded(picture, kind, **options)], f"image/{kind.lower()}")
    for made in renditions(decoded).values():
        assert seen_corners(made) == seen_corners(picture)


def test_sixteen_bits_of_grey_are_scaled_and_not_clipped() -> None:
    grey = Image.frombytes("I;16", (64, 1), b"".join(struct.pack("<H", x << 10) for x in range(64)))
    made = renditions(decode([encoded(grey.resize((64, 64)), "PNG")], "image/png"))["small"]
    levels = [made.convert("L").getpixel((x, 32)) for x in (2, 32, 61)]
    assert levels == pytest.approx([8, 128, 246], abs=12)


def test_transparency_stays() -> None:
    clear = Image.new("RGBA", (50, 40), (255, 0, 0, 0))
    decoded = decode([encoded(clear, "PNG")], "image/png")
    for picture in renditions(decoded).values():
        assert picture.getchannel("A").getextrema() == (0, 0)
    assert decoded.thumbhash


def test_colours_of_a_profile_are_converted_and_the_profile_dropped() -> None:
    """The same numbers mean another colour under another profile."""
    xyz = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    wide = bytearray(xyz.tobytes())
    red, green = wide.index(b"rXYZ"), wide.index(b"gXYZ")
    # A profile that swaps red and green, as no display does.
    wide[red : red + 4], wide[green : green + 4] = b"gXYZ", b"rXYZ"
    data = encoded(Image.new("RGB", (40, 40), (255, 0, 0)), "PNG", icc_profile=bytes(wide))
    for rendition in decode([data], "image/png").renditions:
        made = Image.open(BytesIO(rendition.data))
        assert "icc_profile" not in made.info
        assert seen_corners(made)[0] == (0, 1, 0)


def test_of_an_animation_only_the_first_frame_is_decoded() -> None:
    frames = [Image.new("P", (20, 20), number % 251) for number in range(2000)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], optimize=False)
    assert getattr(Image.open(BytesIO(data)), "n_frames", 1) == 2000
    made = renditions(decode([data], "image/gif"))["small"]
    assert getattr(made, "n_frames", 1) == 1


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 5000), (60_000, 1), (3, 2)])
def test_odd_shapes_are_fine(width: int, height: int) -> None:
    decoded = decode([encoded(Image.new("RGB", (width, height)), "PNG")], "image/png")
    assert (decoded.width, decoded.height) == (width, height)
    for picture in renditions(decoded).values():
        assert max(picture.size) <= 1280
        assert min(picture.size) >= 1


# --- what is refused ----------------------------------------------------------------------------


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_with(name: bytes, data: bytes) -> bytes:
    png = encoded(corners(), "PNG")
    return png[:33] + png_chunk(name, data) + png[33:]


def large_gif_frame() -> bytes:
    """The header says 10 x 10, the frame says 65,535 x 65,535."""
    gif = encoded(corners(10, 10), "GIF")
    at = gif.index(b"\x2c\0\0\0\0\x0a\0\x0a\0")
    return gif[: at + 5] + b"\xff\xff\xff\xff" + gif[at + 9 :]


JPEG = encoded(corners(300, 200), "JPEG", quality=90)
BOMB = zlib.compress(b"\0" * 30_000_000)


@pytest.mark.parametrize(
    ("kind", "data", "reason"),
    [
        ("jpeg", JPEG[: len(JPEG) // 2], "broken"),
        ("jpeg", JPEG[:400], "broken"),
        ("jpeg", encoded(corners(), "PNG"), "broken"),
        ("png", encoded(corners(), "PNG")[:-40], "broken"),
        ("png", png_with(b"zTXt", b"a\0\0" + BOMB), "broken"),
        ("png", png_with(b"iCCP", b"a\0\0" + BOMB), "broken"),
        ("png", png_with(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)),
         "too_large"),
        ("webp", encoded(corners(), "WEBP")[:40], "broken"),
        ("gif", encoded(corners(), "GIF")[:60], "broken"),
        ("gif", large_gif_frame(), "too_large"),
    ],
    ids=["cut", "cut-early", "png-as-jpeg", "png-cut", "text-bomb", "profile-bomb",
         "second-header", "webp-cut", "gif-cut", "large-frame"],
)  # fmt: skip
def test_a_hostile_picture_is_refused_for_good(kind: str, data: bytes, reason: str) -> None:
    with pytest.raises(UndecodableError) as refused:
        decode([data], f"image/{kind}")
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "options",
    [
        {"exif": b"Exif\0\0II*\0\xff\xff\xff\xff" + os.urandom(2000)},
        {"exif": b"Exif\0\0" + b"\xff" * 60_000},
        {"icc_profile": os.urandom(70_000)},
        {"icc_profile": SRGB[:200]},
        {"icc_profile": SRGB + b"\0" * 2_000_000},
        {"icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()},
        {"comment": b"\0" * 60_000},
    ],
    ids=["exif", "exif-full", "profile", "profile-cut", "profile-huge", "profile-lab", "comment"],
)
def test_spoiled_metadata_does_not_spoil_the_picture(options: dict[str, Any]) -> None:
    decoded = decode([encoded(corners(), "JPEG", **options)], "image/jpeg")
    for rendition in decoded.renditions:
        assert set(chunks(rendition.data)) == {b"VP8 "}


def test_noise_never_makes_it_fail_in_another_way(photograph: bytes) -> None:
    reasons = set()
    for first in (2, 200, 20_000):
        data = bytearray(photograph)
        for at in range(first, len(data), 997):
            data[at] ^= at % 256
        try:
            decode([bytes(data)], "image/jpeg")
        except UndecodableError as error:
            reasons.add(error.reason)
    assert reasons <= {"broken"}


def test_more_pixels_than_permitted_are_refused(settings: Callable[..., None]) -> None:
    settings(max_pixels=60 * 40 - 1)
    with pytest.raises(UndecodableError, match="too_large"):
        decode([encoded(corners(), "JPEG")], "image/jpeg")


def test_a_picture_that_needs_too_much_memory_is_refused(settings: Callable[..., None]) -> None:
    settings(decode_bytes=128 * 1024 * 1024)
    data = encoded(Image.new("RGBA", (7000, 7000)), "PNG", compress_level=1)
    assert len(data) < 1_000_000
    with pytest.raises(UndecodableError, match="too_large"):
        decode([data], "image/png")


def test_a_picture_that_takes_too_long_is_refused(settings: Callable[..., None]) -> None:
    """A JPEG of a million bytes whose hundred thousand scans would take minutes."""
    settings(decode_seconds=1)
    data = encoded(Image.new("RGB", (6000, 6000), "teal"), "JPEG", progressive=True)
    scan = [match.start() for match in re.finditer(rb"\xff\xda", data)][-1]
    header = data[scan : scan + 2 + int.from_bytes(data[scan + 2 : scan + 4])]
    bomb = data[:-2] + header * 100_000 + data[-2:]
    with pytest.raises(UndecodableError, match="too_slow"):
        decode([bomb], "image/jpeg")


# --- how the decoder ends -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "reason"),
    [(signal.SIGSEGV, "broken"), (signal.SIGABRT, "broken"), (signal.SIGXCPU, "too_slow")],
)
def test_a_picture_that_crashes_the_decoder_is_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals, reason: str
) -> None:
    program = tmp_path / "crash.py"
    program.write_text(f"import os; os.kill(os.getpid(), {int(how)})")
    monkeypatch.setattr(decoding, "_DECODER", program)
    with pytest.raises(UndecodableError, match=reason):
        decode([JPEG], "image/jpeg")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_decoder_that_somebody_ends_is_no_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    program = tmp_path / "ended.py"
    program.write_text(f"import os; os.kill(os.getpid(), {int(how)}); input()")
    monkeypatch.setattr(decoding, "_DECODER", program)
    with pytest.raises(Transient, match=f"the decoder was ended by {how.name}"):
        decode([JPEG], "image/jpeg")


def test_the_decoder_sees_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "spy.py"
    program.write_text(
        "import json, os, sys\n"
        "seen = {name: value for name, value in os.environ.items() if name != 'LC_CTYPE'}\n"
        "ours = [name for name in sys.modules if name.startswith('trellis')]\n"
        "print(json.dumps({'reason': repr([seen, ours])}))\n"
    )
    monkeypatch.setenv("TRELLIS_SECRET_KEYS", "do not tell")
    monkeypatch.setattr(decoding, "_DECODER", program)
    with pytest.raises(UndecodableError) as told:
        decode([JPEG], "image/jpeg")
    assert told.value.reason == "[{}, []]"
