"""The transaction of a unit of work: a connection, and a session on it once somebody wants one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session

from trellis.db.base import db
from trellis.db.engine import LAZY_UNIT, UNIT
from trellis_statements.compiled import Columns, Compiled, Found, taken

current_transaction: ContextVar[Transaction | None] = ContextVar(
    "trellis_transaction", default=None
)


def begun_transaction() -> Transaction | None:
    """That of the open unit of work, once it has begun."""
    return current_transaction.get()


class Transaction:
    """Begun when it is made; nothing stays that is not committed. ``lazy`` need not wait.

    An ``isolated`` one sees one state of the database, and is refused (SQLSTATE 40001) when it
    writes to a row that another one has changed since. On SQLite all are so: they take turns.
    """

    def __init__(self, *, lazy: bool = False, isolated: bool = False) -> None:
        options: dict[str, Any] = LAZY_UNIT if lazy else UNIT
        if isolated and db.engine.dialect.name == "postgresql":
            options = {**options, "isolation_level": "REPEATABLE READ"}
        self.connection = db.engine.connect().execution_options(**options)
        self._session: Session | None = None
        try:
            self._root = self.connection.begin()
        except BaseException:
            self.connection.close()
            raise

    @property
    def session(self) -> Session:
        """SQLAlchemy's session on this connection. Most units need none, and each has its price."""
        if self._session is None:
            self._session = Session(self.connection, join_transaction_mode="rollback_only")
        return self._session

    def rows(
        self,
        statement: Columns | Compiled,
        parameters: Mapping[str, Any],
        *,
        first: bool = False,
    ) -> Sequence[Found]:
        """What a statement returns, or the first row, with all that the session has to write.

        Raises InvalidRequestError when the transaction has ended with what failed in it: SQLite
        would commit what comes after it at once.
        """
        self.flush()
        if self._session is not None and self._session.in_nested_transaction():
            self._session.connection()  # it sets its savepoint when it is first used behind it
        if not self._root.is_active:
            raise InvalidRequestError("this transaction has ended with what failed in it")
        return _run(self.connection, statement, parameters, first=first)

    def flush(self) -> None:
        """Write what the session has to write."""
        if self._session is not None:
            self._session.flush()

    def end_session(self) -> None:
        """The next one begins without its objects. What it has not written is not written."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def commit(self) -> None:
        """All that was written stays."""
        self.flush()
        self._root.commit()

    def close(self) -> None:
        """What was not committed is taken back. Raises what SQLAlchemy does when that fails."""
        try:
            self.end_session()
            self._root.close()
        except BaseException:
            self.connection.invalidate()  # in the middle of something, and of no use to the pool
            raise
        finally:
            self.connection.close()


def alone(
    statement: Columns | Compiled, parameters: Mapping[str, Any], *, first: bool = False
) -> Sequence[Found]:
    """What a statement returns, or the first row, outside of any transaction."""
    engine = db.engine
    if isinstance(statement, Compiled) and statement.knows(engine.dialect):
        # Without events of its own, which take as long to set up as all the rest.
        with Connection(engine, _has_events=False) as connection:
            return statement.run(connection, parameters, first=first, alone=True)
    with engine.connect() as connection:
        # On SQLite connections are without transactions already, see engine.py.
        if engine.dialect.name == "postgresql":
            connection.execution_options(isolation_level="AUTOCOMMIT")
        return _run(connection, statement, parameters, first=first)


def _run(
    connection: Connection,
    statement: Columns | Compiled,
    parameters: Mapping[str, Any],
    *,
    first: bool,
) -> Sequence[Found]:
    if isinstance(statement, Compiled):
        return statement.run(connection, parameters, first=first)
    return taken(connection.execute(statement, parameters), first=first)
