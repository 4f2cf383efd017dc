"""Events: how a plugin tells others, and connected phones, that something has changed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal
from uuid import UUID


@dataclass(frozen=True)
class Event:
    """Base of a plugin's events: a frozen dataclass of ids and plain values, never personal data.

    The loader names the type: class ``AssetReady`` of plugin media is ``media.asset_ready/1``.
    """

    version: ClassVar[int] = 1
    resource: ClassVar[str]
    """Kind of thing that changed, in the plugin's own words: ``asset``."""
    operation: ClassVar[Literal["created", "updated", "deleted"]]

    def resource_id(self) -> str:
        """Id of the thing that changed."""
        raise NotImplementedError

    def audience(self) -> str | None:
        """Who may see it on the stream (see `user_audience`); ``None``: listeners only."""
        return None

    def subject(self) -> UUID | None:
        """The person whom it concerns, with whom it is erased."""
        return None

    def payload(self) -> dict[str, Any]:
        """The fields as plain JSON values; ids and times become strings."""
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}


@dataclass(frozen=True)
class Envelope:
    """An event as a listener receives it. ``id`` stays the same when it is delivered again."""

    id: UUID
    type: str
    payload: dict[str, Any]
    created_at: datetime


def user_audience(user_id: UUID) -> str:
    """The audience of things that one user may see."""
    return f"user:{user_id}"


def _plain(value: object) -> object:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return value
