"""What this plugin tells others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from trellis.events import Event


@dataclass(frozen=True)
class EndpointDisabled(Event):
    """Nothing is sent to an endpoint any more.

    It is ``gone``, has been ``failing`` for too long, or is ``overrun`` by what waits for it.
    """

    resource: ClassVar[str] = "endpoint"
    operation = "updated"

    endpoint_id: UUID
    reason: str

    def resource_id(self) -> str:
        return str(self.endpoint_id)
