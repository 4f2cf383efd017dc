"""The audit trail: what was done that somebody may have to answer for, without personal data."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask import g, has_request_context
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from trellis.db.base import Model
from trellis.db.clock import utcnow
from trellis.db.ids import new_id
from trellis.runtime import runtime

if TYPE_CHECKING:
    from trellis.unit_of_work import UnitOfWork


class AuditEntry(Model):
    """One thing that was done. Nothing in it names a person, so erasure leaves it."""

    __tablename__ = "core_audit"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    action: Mapped[str] = mapped_column(String(80))
    actor_kind: Mapped[str] = mapped_column(String(16))
    subject_ref: Mapped[str | None] = mapped_column(String(64), index=True)
    details: Mapped[dict[str, Any]]


def record(uow: UnitOfWork, action: str, *, subject: UUID | None = None, **details: Any) -> None:
    """Add an entry that is committed with the change it tells of.

    `action` is `<plugin>.<what was done>`. `subject` is the person concerned, kept only as
    `subject_refs` of the id. `details` are JSON values that tell of no person: ids of things,
    counts, kinds. Raises TypeError for what is not JSON.
    """
    json.dumps(details)
    principal = g.get("principal") if has_request_context() else None
    uow.session.add(
        AuditEntry(
            id=new_id(),
            at=utcnow(),
            action=action,
            actor_kind="system" if principal is None else principal.kind,
            subject_ref=None if subject is None else subject_refs(subject)[0],
            details=details,
        )
    )


def subject_refs(subject: UUID) -> Sequence[str]:
    """What stands for a person in the trail: one for each of `secret_keys`, the newest first.

    Whoever knows an id can find its entries; from an entry nobody finds the id.
    """
    return [
        hmac.new(
            key.get_secret_value().encode(), b"audit:" + subject.bytes, hashlib.sha256
        ).hexdigest()
        for key in runtime().settings.core.secret_keys
    ]
