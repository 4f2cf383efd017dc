"""Assets for tests and load: one seed always makes the same pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from io import BytesIO
from random import Random
from uuid import UUID

from PIL import Image

from trellis_media import services

_PER_PERSON = 5


def picture(seed: int = 0, width: int = 64, height: int = 48) -> bytes:
    """A small JPEG of four colours."""
    colours = [tuple(Random(seed * 4 + corner).randbytes(3)) for corner in range(4)]
    corners = Image.new("RGB", (2, 2))
    corners.putdata(colours)
    file = BytesIO()
    corners.resize((width, height), Image.Resampling.BILINEAR).save(file, "JPEG")
    return file.getvalue()


def make_assets(user_id: UUID, count: int = 3, *, seed: int = 0) -> list[UUID]:
    """Store pictures of one user that are ready; returns their ids, the oldest first."""
    data = picture(seed)
    files = ((f"picture-{number}.jpg", BytesIO(data)) for number in range(count))
    return services.add_ready_assets(user_id, files, _decoded(seed))


def populate(user_ids: Sequence[UUID], *, seed: int = 0) -> None:
    """An album for each of these people, for load."""
    for user_id in user_ids:
        make_assets(user_id, _PER_PERSON, seed=seed)


@cache
def _decoded(seed: int) -> services.Decoded:
    return services.decode([picture(seed)], "image/jpeg")
