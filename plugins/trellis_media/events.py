"""What this plugin tells others, and the phones of an asset's owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from trellis.events import Event, user_audience


@dataclass(frozen=True)
class _AssetEvent(Event):
    resource: ClassVar[str] = "asset"

    asset_id: UUID
    owner_id: UUID

    def resource_id(self) -> str:
        return str(self.asset_id)

    def audience(self) -> str:
        return user_audience(self.owner_id)

    def subject(self) -> UUID:
        return self.owner_id


@dataclass(frozen=True)
class AssetUploaded(_AssetEvent):
    """A file was stored; its renditions are being made."""

    operation = "created"


@dataclass(frozen=True)
class AssetReady(_AssetEvent):
    """Renditions and placeholder are made. ``renditions`` holds name, width and height of each."""

    operation = "updated"

    width: int
    height: int
    thumbhash: str
    renditions: list[dict[str, Any]]


@dataclass(frozen=True)
class AssetFailed(_AssetEvent):
    """``reason`` is ``broken``, ``too_large`` or ``too_slow`` when the file cannot be decoded.

    ``given_up`` when whoever tried to was ended each time; then it may still become ready.
    """

    operation = "updated"

    reason: str


@dataclass(frozen=True)
class AssetShown(_AssetEvent):
    """Everybody may see a picture from now on, or its owner alone again."""

    operation = "updated"

    visibility: str


@dataclass(frozen=True)
class AssetDeleted(_AssetEvent):
    """Its owner deleted it."""

    operation = "deleted"
