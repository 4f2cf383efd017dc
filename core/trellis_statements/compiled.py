"""Statements that are compiled once: what is the same in each run is found out in the first.

That one goes through SQLAlchemy. What it made of the statement, of its parameters and of its
columns is kept, and from then on the driver's own cursor runs it: to the same rows, heard by the
same listeners, with the same faults, at a fraction of the cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias
from uuid import UUID, SafeUUID

from sqlalchemy import (
    BindParameter,
    CursorResult,
    Delete,
    Insert,
    Result,
    Select,
    TextClause,
    Update,
    Uuid,
)
from sqlalchemy.engine import Connection, Dialect, Row
from sqlalchemy.sql import visitors
from sqlalchemy.sql.compiler import SQLCompiler

# `Select[Any]` would mean a select of exactly one column.
Columns: TypeAlias = Select[*tuple[Any, ...]]
Write: TypeAlias = Insert | Update | Delete
Found: TypeAlias = Row[*tuple[Any, ...]]
Parameters: TypeAlias = Mapping[str, Any] | Sequence[Mapping[str, Any]]
_Process: TypeAlias = Callable[[Any], Any]

# What psycopg makes the same value of, whether it came as text or as bytes (of float4 it does not).
_THE_SAME_IN_BINARY = frozenset(
    {16, 17, 20, 21, 23, 25, 114, 701, 1042, 1043, 1082, 1114, 1184, 1700, 2950, 3802}
)


class Compiled:
    """A select of columns or a write, made once for all calls.

    What differs between calls is a ``bindparam("name")`` in it, and an argument of each call.
    """

    def __init__(self, statement: Columns | Write | TextClause) -> None:
        given = [
            one
            for one in visitors.iterate(statement)
            if isinstance(one, BindParameter) and not one.unique
        ]
        if optional := sorted(one.key for one in given if not one.required):
            raise TypeError(f"{optional[0]} has a value of its own: leave it out, or give it none")
        self.statement = statement
        self.names = frozenset(one.key for one in given)
        self._plan: _Plan | None = None

    def check(self, parameters: Mapping[str, Any]) -> None:
        """Raise TypeError unless these are its parameters."""
        if parameters.keys() != self.names:
            raise TypeError(f"it takes {sorted(self.names)}, not {sorted(parameters)}")

    def knows(self, dialect: Dialect) -> bool:
        """Whether it ran on that database, and so need not go through SQLAlchemy any more."""
        return self._plan is not None and self._plan.dialect is dialect

    def run(
        self,
        connection: Connection,
        parameters: Parameters,
        *,
        first: bool = False,
        alone: bool = False,
    ) -> Sequence[Found]:
        """The rows that it returns, or the first one, in the transaction of the connection.

        Of several sets of parameters none are returned. ``alone`` is without a transaction, on a
        connection that was taken for it and `knows` the statement. Raises what SQLAlchemy would,
        and TypeError for a write that leaves out a column whose default is made in Python.
        """
        plan = self._plan
        if plan is not None and plan.dialect is connection.dialect:
            return plan.rows(connection, parameters, first=first, alone=alone)
        if not isinstance(parameters, Mapping):
            for each in parameters:  # the first one is learned from
                self.run(connection, each)
            return ()
        compiled = self.statement.compile(dialect=connection.dialect)
        assert isinstance(compiled, SQLCompiler)
        if made := [*compiled.insert_prefetch, *compiled.update_prefetch]:
            raise TypeError(f"{made[0].key} has a default that is made in Python: give its value")
        result = connection.execute(self.statement, parameters)
        # Two threads may do this at once, to the same end.
        self._plan = _made(compiled, connection.dialect, result)
        return taken(result, first=first) if result.returns_rows else ()


def taken(result: Result[*tuple[Any, ...]], *, first: bool) -> Sequence[Found]:
    """All rows of a result, or the first one."""
    if not first:
        return result.all()
    row = result.first()
    return [] if row is None else [row]


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a statement is run on one database."""

    dialect: Dialect
    compiled: SQLCompiler
    bound: _Bound | None
    """None when the text depends on the parameters."""
    make: Callable[[Any], Found] | None
    """Of what the driver gives; None when it gives nothing."""
    binary: bool

    def rows(
        self, connection: Connection, parameters: Parameters, *, first: bool, alone: bool
    ) -> Sequence[Found]:
        many = not isinstance(parameters, Mapping)
        text, values = self._bound(parameters)
        # Not SQLAlchemy's proxy of it: what is lost is replaced behind that.
        driver: Any = connection.connection.dbapi_connection
        listeners = connection.engine.dispatch
        cursor: Any = None
        try:
            if self.dialect.name == "postgresql":
                if alone:
                    driver.autocommit = True  # until it is taken from the pool, see engine.py
                cursor = driver.cursor(binary=self.binary)
            else:
                cursor = driver.cursor()
            for listen in listeners.before_cursor_execute:
                text, values = listen(connection, cursor, text, values, None, many)
            (cursor.executemany if many else cursor.execute)(text, values)
            for listen in listeners.after_cursor_execute:
                listen(connection, cursor, text, values, None, many)
            if self.make is None or many:
                return ()
            return list(map(self.make, cursor.fetchmany(1) if first else cursor.fetchall()))
        except self.dialect.loaded_dbapi.Error as error:
            # Names the fault, and empties the pool of what is lost, as for every other statement.
            connection._handle_dbapi_exception(error, text, values, cursor, None)
        finally:
            if cursor is not None:
                cursor.close()  # half-read, it would hold up SQLite's checkpoints

    def _bound(self, parameters: Parameters) -> tuple[str, Any]:
        if isinstance(parameters, Mapping):
            bound = self.bound or _bound(self.compiled, parameters)
            return bound.text, bound.values(parameters)
        assert self.bound is not None
        return self.bound.text, [self.bound.values(each) for each in parameters]


@dataclass(frozen=True, slots=True)
class _Bound:
    """A text, and how its parameters are made for the driver."""

    text: str
    given: Sequence[tuple[str, str, _Process | None]]
    """Key among the driver's parameters, name of the caller's argument, conversion."""
    fixed: Mapping[str, Any]
    """What the statement itself holds, converted."""
    order: Sequence[str] | None
    """Of the keys, where the driver goes by it."""

    def values(self, parameters: Mapping[str, Any]) -> Any:
        values = dict(self.fixed)
        for key, name, process in self.given:
            value = parameters[name]
            values[key] = value if process is None else process(value)
        return values if self.order is None else [values[key] for key in self.order]


def _bound(compiled: SQLCompiler, parameters: Mapping[str, Any]) -> _Bound:
    """With lists of values spelled out, as those of ``IN``; they are not given any more."""
    state = compiled.construct_expanded_state(parameters, escape_names=False)
    conversions: dict[str, Any] = {**compiled._bind_processors, **state.processors}
    given = {
        key: parameter.key
        for parameter, key in compiled.bind_names.items()
        if parameter.required and key in state.parameters
    }
    fixed = {
        key: conversions[key](value) if key in conversions else value
        for key, value in state.parameters.items()
        if key not in given
    }
    # Where the driver goes by names, some are others than ours.
    names = compiled.escaped_bind_names if state.positiontup is None else {}
    return _Bound(
        state.statement,
        [(names.get(key, key), name, conversions.get(key)) for key, name in given.items()],
        {names.get(key, key): value for key, value in fixed.items()},
        state.positiontup,
    )


def _made(compiled: SQLCompiler, dialect: Dialect, result: CursorResult[*tuple[Any, ...]]) -> _Plan:
    required = {one.key: None for one in compiled.bind_names if one.required}
    late = compiled.post_compile_params | compiled.literal_execute_params
    depends = any(one.required for one in late)
    bound = None if depends else _bound(compiled, required)
    make, binary = _reader(compiled, dialect, result) if result.returns_rows else (None, False)
    return _Plan(dialect, compiled, bound, make, binary)


def _reader(
    compiled: SQLCompiler, dialect: Dialect, result: CursorResult[*tuple[Any, ...]]
) -> tuple[Callable[[Any], Found], bool]:
    """What makes a row of what the driver gives, and whether it may give it in binary."""
    metadata = result._metadata
    processors: Any = metadata._effective_processors
    types = [column.type for column in compiled._result_columns]  # none of bare text
    if dialect.name == "sqlite" and processors is not None and len(types) == len(processors):
        processors = [
            _uuid if type(kind) is Uuid and kind.as_uuid else process
            for kind, process in zip(types, processors, strict=True)
        ]
    assert result.cursor is not None
    codes = {column[1] for column in result.cursor.description}
    return partial(Row, metadata, processors, metadata._key_to_index), codes <= _THE_SAME_IN_BINARY


_new = object.__new__
_set_int = vars(UUID)["int"].__set__
_set_is_safe = vars(UUID)["is_safe"].__set__
_UNKNOWN = SafeUUID.unknown


def _uuid(text: str | None) -> UUID | None:
    """The id of its 32 digits, without the tests of what strangers write: a third of the time."""
    if text is None:
        return None
    made = _new(UUID)
    _set_int(made, int(text, 16))
    _set_is_safe(made, _UNKNOWN)
    return made
