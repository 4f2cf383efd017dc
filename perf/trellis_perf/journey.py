"""The journey of a phone as a load: the very one of ``trellis demo``, each step measured."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx2
from locust import User, constant_pacing, task

from trellis_demo.journey import walk
from trellis_perf.figures import JOURNEY
from trellis_perf.user import TrellisUser

_GOES_WRONG = (AssertionError, TimeoutError, httpx2.HTTPError)


class Journey(User):
    """One newcomer at a time, from sign-up to leaving; the next one sets out ten seconds later."""

    fixed_count = 1
    wait_time = constant_pacing(10)

    @task
    def walk(self) -> None:
        """Walk it; a step that fails ends it, and is a failure of that step."""
        people = TrellisUser.world.people
        assert self.host is not None
        with suppress(*_GOES_WRONG):
            walk(self.host, (people.operator, people.password), self._step)

    @contextmanager
    def _step(self, title: str) -> Iterator[list[str]]:
        began = time.perf_counter()
        try:
            yield []
        except Exception as fault:
            self._tell(title, began, fault)
            raise
        self._tell(title, began)  # not when the run ends in the middle of a step

    def _tell(self, title: str, began: float, exception: Exception | None = None) -> None:
        self.environment.events.request.fire(
            request_type="journey",
            name=JOURNEY + title,
            response_time=(time.perf_counter() - began) * 1000,
            response_length=0,
            exception=exception,
            context={},
        )
