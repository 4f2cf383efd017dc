"""Signing in without an identity plugin: tests that are not about accounts need principals only."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import replace
from typing import Literal
from uuid import UUID

from flask import Flask

from trellis.contracts import Identity, Principal
from trellis.db.ids import new_id
from trellis.runtime import Runtime

Headers = dict[str, str]

_GOOD_SECONDS = 60.0


class IssuedIdentity:
    """Knows the tokens that a test issued, and asks the installed identity about all others."""

    def __init__(self, installed: Identity | None) -> None:
        self._installed = installed
        self._issued: dict[str, Principal] = {}

    def issue(self, principal: Principal) -> Headers:
        """Headers that sign in as the principal."""
        authorization = f"Bearer test-{secrets.token_hex(8)}"
        self._issued[authorization] = principal
        return {"Authorization": authorization}

    def authenticate(self, authorization: str | None) -> Principal | None:
        if authorization in self._issued:
            return replace(self._issued[authorization], good_seconds=_GOOD_SECONDS)
        return self._installed.authenticate(authorization) if self._installed else None

    def is_alive(self, principal: Principal) -> bool:
        if principal in self._issued.values() or self._installed is None:
            return True
        return self._installed.is_alive(principal)

    def end_all_sessions(self) -> int:
        self._issued.clear()
        return self._installed.end_all_sessions() if self._installed else 0

    def alive(self, principals: Collection[Principal]) -> set[Principal]:
        issued = set(principals) & set(self._issued.values())
        others = set(principals) - issued
        return issued | (self._installed.alive(others) if self._installed else others)

    def ensure_operator(self, email: str, password: str) -> bool:
        return self._installed.ensure_operator(email, password) if self._installed else False


class Issuer:
    """Issues headers for one application."""

    def __init__(self, app: Flask) -> None:
        runtime: Runtime = app.extensions["trellis"]
        installed = runtime.ports.get(Identity)
        if not isinstance(installed, IssuedIdentity):
            installed = IssuedIdentity(installed)  # type: ignore[arg-type]
            runtime.ports[Identity] = installed
        self._identity = installed

    def user(self, user_id: UUID | None = None, *permissions: str) -> Headers:
        """Headers of a person."""
        return self._issue("user", user_id or new_id(), permissions)

    def operator(self, *permissions: str) -> Headers:
        """Headers of an operator."""
        return self._issue("operator", new_id(), permissions)

    def _issue(
        self, kind: Literal["user", "operator"], user_id: UUID, permissions: tuple[str, ...]
    ) -> Headers:
        return self._identity.issue(
            Principal(
                user_id, kind, frozenset(permissions), new_id(), device_id=f"device-{user_id}"
            )
        )
