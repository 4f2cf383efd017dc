"""An API test as a row: who calls what, what comes back, and what it did besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from trellis.observe.statements import counted_statements
from trellis.testing.work import events, waiting


@dataclass(frozen=True)
class Scenario:
    """One call. ``events`` and ``tasks`` are all that it may publish and enqueue, in order."""

    method: str
    path: str
    status: int
    who: Mapping[str, str] = field(default_factory=dict)
    """Headers of the caller; empty is anonymous."""
    json: Any = None
    data: Any = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    code: str | None = None
    """The error code of the problem document."""
    has: Mapping[str, Any] = field(default_factory=dict)
    """Members that the answer must have, with these values."""
    keys: frozenset[str] | None = None
    """Exactly the members of the answer."""
    lacks: tuple[str, ...] = ()
    """Text that must not stand anywhere in the answer."""
    events: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    statements: int | None = None
    """The most SQL statements that it may take."""


def checked(app: Flask, scenario: Scenario) -> TestResponse:
    """Make the call and compare; returns the response for what a row cannot say."""
    events_before, tasks_before = events(app), waiting(app)
    with counted_statements() as statements:
        response = app.test_client().open(
            scenario.path,
            method=scenario.method,
            json=scenario.json,
            data=scenario.data,
            query_string=dict(scenario.query),
            headers={**scenario.who, **scenario.headers},
        )
    text = response.get_data().decode(errors="replace")  # which may be a file
    told = f"{scenario.method} {scenario.path}: {response.status} {text[:500]}"
    assert response.status_code == scenario.status, told
    body: Any = response.get_json(silent=True)
    if response.status_code >= 400:
        assert response.content_type == "application/problem+json", told
        assert body["status"] == response.status_code, told
    if scenario.code is not None:
        assert body["code"] == scenario.code, told
    for name, value in scenario.has.items():
        assert body[name] == value, told
    if scenario.keys is not None:
        assert set(body) == scenario.keys, told
    for lacking in scenario.lacks:
        assert lacking not in text, told
    published = [event["type"] for event in events(app)[len(events_before) :]]
    assert published == list(scenario.events), told
    assert waiting(app)[len(tasks_before) :] == list(scenario.tasks), told
    if scenario.statements is not None:
        assert statements.count <= scenario.statements, f"{told}: {statements.count} statements"
    return response
