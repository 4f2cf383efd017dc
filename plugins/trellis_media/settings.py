"""Settings of the plugin."""

from __future__ import annotations

from pydantic import Field

from trellis.settings import PluginSettings

MIB = 1024 * 1024


class MediaSettings(PluginSettings):
    """What people may upload, and what is made of it."""

    max_upload_bytes: int = Field(
        default=32 * MIB, ge=1024, description="Largest file that may be uploaded, in bytes."
    )
    quota_bytes: int = Field(
        default=1024 * MIB,
        ge=0,
        description="Bytes of originals that one user may keep; renditions do not count.",
    )
    max_pixels: int = Field(
        default=50_000_000,
        ge=1,
        description="Most pixels (width times height) of a picture, read before it is decoded.",
    )
    decode_seconds: int = Field(
        default=10, ge=1, le=50, description="Processor time that decoding one picture may take."
    )
    decode_bytes: int = Field(
        default=512 * MIB,
        ge=128 * MIB,
        description="Memory that decoding one picture may take; the empty program has 50 MiB.",
    )
    small_edge: int = Field(
        default=320, ge=16, le=8192, description="Longer edge of the rendition `small`, in pixels."
    )
    large_edge: int = Field(
        default=1280, ge=16, le=8192, description="Longer edge of the rendition `large`, in pixels."
    )
