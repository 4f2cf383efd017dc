"""Fills a database with people and what they have, through the plugins' own factories.

A plugin takes part with a function ``populate(user_ids, *, seed)`` in its ``factories.py``; the
accounts come from the factories of the plugin that provides the identities.
"""

from __future__ import annotations

import secrets

from flask import Flask

from trellis.contracts import Identity
from trellis.loader.rooms import room
from trellis.runtime import Runtime
from trellis_perf.people import People


def seed_people(app: Flask, count: int, seed: int) -> People:
    """Make `count` people and an operator, with a password that nobody else knows.

    The same seed makes the same people with the same things, once: it is refused when they exist.
    """
    runtime: Runtime = app.extensions["trellis"]
    factories = {
        name: module
        for name, plugin in runtime.plugins.items()
        if (module := room(plugin, "factories")) is not None
    }
    accounts = factories[runtime.providers[Identity]]
    password = secrets.token_urlsafe(18)
    with app.app_context():
        user_ids = accounts.users(count, seed=seed, password=password)
        accounts.users(1, seed=_operator(seed), password=password, role="operator")
        for module in factories.values():
            if hasattr(module, "populate"):
                module.populate(user_ids, seed=seed)
    return People(
        password=password,
        operator=accounts.emails(1, seed=_operator(seed))[0],
        emails=tuple(accounts.emails(count, seed=seed)),
    )


def _operator(seed: int) -> int:
    """The operator comes from a seed of its own, so that its address is nobody else's."""
    return -1 - seed
