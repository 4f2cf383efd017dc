"""Durable work for operators: what waits, what failed, and another try."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from marshmallow import fields, validate

from trellis.api import Blueprint, Schema, Timestamp
from trellis.errors import Conflict, NotFound
from trellis.jobs import operate
from trellis.paging import Page
from trellis.task import PRIORITIES, QUEUES

PERMISSION = "core.jobs"
_PRIORITY_NAMES: dict[int, str] = {number: name for name, number in PRIORITIES.items()}

blueprint = Blueprint("core", __name__, mount="/v1/jobs", description="Durable work.")


class JobSchema(Schema):
    """One piece of durable work."""

    id = fields.UUID(required=True)
    task = fields.String(required=True, metadata={"example": "media.make_renditions"})
    queue = fields.String(required=True, validate=validate.OneOf(QUEUES))
    priority = fields.Function(
        lambda row: _PRIORITY_NAMES[row.priority],
        metadata={"type": "string", "enum": list(PRIORITIES), "example": "normal"},
    )
    state = fields.String(required=True, validate=validate.OneOf(operate.STATES))
    attempts = fields.Integer(required=True)
    created_at = Timestamp(required=True)
    due_at = Timestamp(required=True)
    done_at = Timestamp(required=True, allow_none=True)
    dead_at = Timestamp(required=True, allow_none=True)
    error = fields.String(required=True, allow_none=True)


class JobDetailSchema(JobSchema):
    """The same with what it was asked to do, which may concern a person."""

    arguments = fields.Dict(required=True)
    unique_key = fields.String(required=True, allow_none=True)


class JobFilterSchema(Schema):
    """Which jobs."""

    state = fields.String(
        validate=validate.OneOf(operate.STATES),
        metadata={"description": "Only jobs in this state; `dead` ones are not tried again."},
    )
    task = fields.String(
        validate=validate.Length(max=120), metadata={"description": "Only jobs of this task."}
    )
    queue = fields.String(
        validate=validate.OneOf(QUEUES), metadata={"description": "Only jobs of this class."}
    )


class DeadJobsSchema(Schema):
    """All dead jobs of one task."""

    task = fields.String(
        required=True,
        validate=validate.Length(min=1, max=120),
        metadata={"example": "media.make_renditions"},
    )


class CountSchema(Schema):
    """How many there were."""

    count = fields.Integer(required=True)


class TaskStatisticsSchema(Schema):
    """What the queue holds of one task."""

    task = fields.String(required=True, metadata={"example": "media.make_renditions"})
    queue = fields.String(required=True, validate=validate.OneOf(QUEUES))
    waiting = fields.Integer(required=True)
    delayed = fields.Integer(required=True)
    running = fields.Integer(required=True)
    failing = fields.Integer(required=True)
    dead = fields.Integer(required=True)
    oldest_seconds = fields.Float(required=True)


class StatisticsSchema(Schema):
    """Each task that has work which is not done."""

    tasks = fields.List(fields.Nested(TaskStatisticsSchema), required=True)


@blueprint.get("")
@blueprint.access(permission=PERMISSION)
@blueprint.arguments(JobFilterSchema, location="query", as_kwargs=True)
@blueprint.paginated(JobSchema)
def list_jobs(*, cursor: str | None, limit: int, **which: Any) -> Page[Any]:
    """List durable work, the newest first; what is done is kept for a day."""
    return operate.list_jobs(cursor=cursor, limit=limit, **which)


@blueprint.get("/statistics")
@blueprint.access(permission=PERMISSION)
@blueprint.response(200, StatisticsSchema)
def get_job_statistics() -> Mapping[str, Any]:
    """Tell what waits, runs, fails and is dead, for each task."""
    return {"tasks": operate.statistics()}


@blueprint.get("/<uuid:job_id>")
@blueprint.access(permission=PERMISSION)
@blueprint.errors(NotFound)
@blueprint.response(200, JobDetailSchema)
def get_job(job_id: UUID) -> Any:
    """Get one job with its arguments."""
    # What it is called with may concern a person.
    return operate.get_job(job_id), {"Cache-Control": "no-store"}


@blueprint.post("/<uuid:job_id>/retry")
@blueprint.access(permission=PERMISSION)
@blueprint.errors(NotFound, Conflict)
@blueprint.response(204)
def retry_job(job_id: UUID) -> None:
    """Have a dead or waiting job run now, with all its attempts before it again."""
    operate.retry_job(job_id)


@blueprint.delete("/<uuid:job_id>")
@blueprint.access(permission=PERMISSION)
@blueprint.errors(NotFound, Conflict)
@blueprint.response(204)
def drop_job(job_id: UUID) -> None:
    """Forget a job that is not done.

    Of one that is running no effect in the database is kept.
    """
    operate.drop_job(job_id)


@blueprint.post("/retry")
@blueprint.access(permission=PERMISSION)
@blueprint.arguments(DeadJobsSchema, as_kwargs=True)
@blueprint.response(200, CountSchema)
def retry_dead_jobs(task: str) -> Mapping[str, int]:
    """Have all dead jobs of a task run again."""
    return {"count": operate.retry_dead(task)}


@blueprint.post("/drop")
@blueprint.access(permission=PERMISSION)
@blueprint.arguments(DeadJobsSchema, as_kwargs=True)
@blueprint.response(200, CountSchema)
def drop_dead_jobs(task: str) -> Mapping[str, int]:
    """Forget all dead jobs of a task."""
    return {"count": operate.drop_dead(task)}
