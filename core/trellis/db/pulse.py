"""Whether PostgreSQL answers at all: one that hangs ends no connection, and no statement either.

Who waits in vain tries a fresh connection, and gives up when that hears nothing either. From then
on one caller after the other tries, and all others are told at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.errors import ConnectionTimeout
from psycopg.pq import TransactionStatus

from trellis.breaker import CircuitBreaker

CONNECT_SECONDS = 3
_PATIENCE_SECONDS = 0.5


class Pulse:
    """Of one database, as this process hears it."""

    def __init__(self) -> None:
        self._breaker = CircuitBreaker(1, CONNECT_SECONDS)
        self._heard = 0.0

    def connect(self, _dialect: Any, _record: Any, arguments: Any, options: Any) -> _Connection:
        """What SQLAlchemy connects by. Raises `ConnectionTimeout`."""
        if not self._breaker.allows():
            raise ConnectionTimeout("the database says nothing")
        try:
            connection = _Connection.connect(*arguments, **options)
        except ConnectionTimeout:
            self._breaker.failed()
            raise
        self._breaker.succeeded()
        connection.pulse = self
        connection.another = partial(self.connect, None, None, arguments, options)
        return connection

    def watched(self, connection: _Connection, gen: PQGen[RV]) -> PQGen[RV]:
        """The same wait for an answer, for as long as there is hope of one."""
        began = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() - max(began, self._heard) > _PATIENCE_SECONDS:
                    self._ask(connection)
                wanted = gen.send(ready)
        except StopIteration as end:
            self._heard = time.monotonic()
            return end.value  # type: ignore[no-any-return]

    def _ask(self, connection: _Connection) -> None:
        asked = time.monotonic()
        try:
            connection.another().close()
        except ConnectionTimeout:
            if self._heard < asked:  # nor did any other connection hear something meanwhile
                connection.close()
                raise
        except psycopg.Error:
            pass  # a refusal is an answer
        self._heard = time.monotonic()


class _Connection(psycopg.Connection[Any]):
    pulse: Pulse
    another: Callable[[], _Connection]

    # Each read needs these, and while nothing goes on the driver's own do as little in ten times as
    # long. What goes on, it refuses or ends.

    def set_autocommit(self, value: bool) -> None:
        if self.pgconn.transaction_status == TransactionStatus.IDLE:
            self._autocommit = value
        else:
            super().set_autocommit(value)

    def rollback(self) -> None:
        if self.pgconn.transaction_status != TransactionStatus.IDLE:
            super().rollback()

    def wait(self, gen: PQGen[RV], *arguments: Any, **options: Any) -> RV:
        return super().wait(self.pulse.watched(self, gen), *arguments, **options)
