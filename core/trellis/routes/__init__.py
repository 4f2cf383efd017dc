"""The core's own routes, a file for each: they stand on the API, whatever room they tell of."""

from __future__ import annotations

from flask import Flask

from trellis.routes import changes, erasures, health, jobs, metrics, stream

BLUEPRINTS = (stream.blueprint, changes.blueprint, erasures.blueprint, jobs.blueprint)


def add_views(app: Flask) -> None:
    """Serve what machines ask, which is no part of the API: health and figures."""
    health.add_views(app)
    metrics.add_view(app)
