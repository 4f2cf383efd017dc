"""The base classes of load scenarios: a person with the app open, signed in.

A plugin's ``perf.py`` subclasses `TrellisUser`; its tasks call operations by the ids that they have
in the OpenAPI document, which says where they are and what counts as success.
"""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from locust import FastHttpUser, between
from locust.exception import RescheduleTask

from trellis_perf.operations import Operation
from trellis_perf.people import People

_REFRESH_BEFORE = 60.0
_TRY_AGAIN_SECONDS = 0.5


@dataclass
class World:
    """What all simulated users share: the server's operations and the people whom it knows."""

    operations: Mapping[str, Operation]
    people: People
    _emails: Iterator[str] = field(init=False)

    def __post_init__(self) -> None:
        self._emails = itertools.cycle(self.people.emails)

    def next_email(self) -> str:
        """The next person, round and round."""
        return next(self._emails)


@dataclass(frozen=True)
class Session:
    """A person signed in from a device; `fresh_until` is in seconds of time.monotonic()."""

    id: str
    access_token: str
    refresh_token: str
    fresh_until: float


class TrellisUser(FastHttpUser):
    """A person of the seeded ones, signed in from a device of its own. Closed, with think time."""

    abstract = True
    wait_time = between(0.1, 0.4)
    connection_timeout = network_timeout = 10.0

    world: ClassVar[World]
    email: str
    session: Session | None = None

    def on_start(self) -> None:
        """Sign in; again, when the server refuses."""
        self.email = self.choose_email()
        while self.session is None:
            try:
                self.session = self.sign_in(self.email)
            except RescheduleTask:
                time.sleep(_TRY_AGAIN_SECONDS)

    def choose_email(self) -> str:
        """Who this is."""
        return self.world.next_email()

    def sign_in(self, email: str, password: str | None = None) -> Session:
        """Sign somebody in, from a new device."""
        body = {
            "email": email,
            "password": password or self.world.people.password,
            "device": {
                "installation_id": str(uuid.uuid4()),
                "name": "Load",
                "platform": "other",
            },
        }
        return _session(self.call("auth_sign_in", anonymous=True, json=body))

    def refresh(self) -> None:
        """Trade the refresh token for a new pair."""
        assert self.session is not None
        body = {"refresh_token": self.session.refresh_token}
        self.session = _session(self.call("auth_refresh", anonymous=True, json=body))

    def call(
        self,
        operation_id: str,
        *,
        path: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        anonymous: bool = False,
        variant: str = "",
        status: int | None = None,
        **options: Any,
    ) -> Any:
        """Call an operation with the user's session, or with none; returns Locust's response.

        ``path`` fills in the parameters of its path; ``status`` is what to expect instead of
        success; a ``variant`` ("304") is measured apart. ``options`` go to Locust: json, params,
        files, data. When the answer is another one, it counts as failed and the task ends here.
        """
        operation = self.world.operations[operation_id]
        sent = {} if anonymous else self._authorization()
        with self.client.request(
            operation.method,
            operation.path.format(**(path or {})),
            name=f"{operation_id} {variant}".strip(),
            headers={**sent, **(headers or {})},
            catch_response=True,
            **options,
        ) as response:
            code = response.status_code
            as_expected = code == status if status else code in operation.answers
            if as_expected:
                response.success()
            else:
                response.failure(_fault(response))
        if not as_expected:
            raise RescheduleTask
        return response

    def _authorization(self) -> dict[str, str]:
        if self.session is None:
            return {}
        if time.monotonic() > self.session.fresh_until:
            self.refresh()
        return {"Authorization": f"Bearer {self.session.access_token}"}


class OperatorUser(TrellisUser):
    """An operator, who may do everything."""

    abstract = True

    def choose_email(self) -> str:
        return self.world.people.operator


def _session(response: Any) -> Session:
    tokens = response.json()
    return Session(
        id=tokens["session_id"],
        access_token=tokens["access_token"],
        refresh_token=tokens["refresh_token"],
        fresh_until=time.monotonic() + tokens["expires_in"] - _REFRESH_BEFORE,
    )


def _fault(response: Any) -> Any:
    """What was wrong with an answer, in words that are the same each time."""
    if not response.status_code:
        return response.error
    try:
        return f"{response.status_code} {response.json()['code']}"
    except (TypeError, ValueError, KeyError):
        return f"{response.status_code}"
