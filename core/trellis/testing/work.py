"""Running and looking at durable work and the feed from a test."""

from __future__ import annotations

from typing import Any

from flask import Flask
from sqlalchemy import select

from trellis.db.reads import fetch_all
from trellis.feed.models import TAGS_OUTDATED, FeedEntry
from trellis.feed.sequencer import sequence
from trellis.jobs.run import run
from trellis.outbox.lease import claim_fresh
from trellis.outbox.models import OutboxRow
from trellis.runtime import runtime

_MOST = 10_000


def run_due(app: Flask, *, failures: bool = False) -> list[str]:
    """Run all due work of both classes until none is left; returns the names of the tasks run.

    Tasks that follow the feed run, too, and are not named: they come with every event.
    """
    names: list[str] = []
    with app.app_context():
        while (held := [*claim_fresh("light", 50), *claim_fresh("heavy", 50)]) or sequence():
            for one in held:
                run(one)
                names.append(one.task)
            assert len(names) < _MOST, "tasks keep making tasks"
        failed = fetch_all(
            select(OutboxRow.task, OutboxRow.error).where(
                OutboxRow.error.is_not(None), OutboxRow.done_at.is_(None)
            )
        )
        followers = runtime().followers
    assert failures or not failed, f"tasks failed: {[tuple(row) for row in failed]}"
    return [name for name in names if name not in followers]


def waiting(app: Flask) -> list[str]:
    """Names of the tasks that are neither done nor given up, in the order of their making.

    Those that follow the feed are not among them: the sequencer asks for them, not a call.
    """
    with app.app_context():
        rows = fetch_all(
            select(OutboxRow.task)
            .where(OutboxRow.done_at.is_(None), OutboxRow.dead_at.is_(None))
            .where(OutboxRow.task.not_in(runtime().followers))
            .order_by(OutboxRow.id)
        )
    return [row.task for row in rows]


def events(app: Flask) -> list[dict[str, Any]]:
    """Type, audience and payload of every event, in the order of the feed."""
    with app.app_context():
        sequence()
        rows = fetch_all(
            select(FeedEntry.type, FeedEntry.audience, FeedEntry.payload)
            .where(FeedEntry.type != TAGS_OUTDATED)
            .order_by(FeedEntry.position)
        )
    return [dict(row._mapping) for row in rows]
