"""Selects that are compiled once: what is the same in each run is found out in the first.

That one goes through SQLAlchemy. What it made of the statement, of its parameters and of its
columns is kept, and from then on the driver's own cursor runs it: to the same rows, heard by the
same listeners, with the same faults, at a fraction of the cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias
from uuid import UUID, SafeUUID

from sqlalchemy import BindParameter, CursorResult, Select, Uuid
from sqlalchemy.engine import Connection, Dialect, Engine, Row
from sqlalchemy.sql import visitors
from sqlalchemy.sql.compiler import SQLCompiler

# `Select[Any]` would mean a select of exactly one column.
Columns: TypeAlias = Select[*tuple[Any, ...]]
Found: TypeAlias = Row[*tuple[Any, ...]]
_Process: TypeAlias = Callable[[Any], Any]

# What psycopg makes the same value of, whether it came as text or as bytes (of float4 it does not).
_THE_SAME_IN_BINARY = frozenset(
    {16, 17, 20, 21, 23, 25, 114, 701, 1042, 1043, 1082, 1114, 1184, 1700, 2950, 3802}
)


class Compiled:
    """A select of columns for `fetch_all`, `fetch_one` and `fetch_value`, made once for all calls.

    What differs between calls is a ``bindparam("name")`` in it, and an argument of each call.
    """

    def __init__(self, select: Columns) -> None:
        given = [
            one
            for one in visitors.iterate(select)
            if isinstance(one, BindParameter) and not one.unique
        ]
        if optional := sorted(one.key for one in given if not one.required):
            raise TypeError(f"{optional[0]} has a value of its own: leave it out, or give it none")
        self.select = select
        self.names = frozenset(one.key for one in given)
        self._plan: Plan | None = None

    def check(self, parameters: Mapping[str, Any]) -> None:
        """Raise TypeError unless these are its parameters."""
        if parameters.keys() != self.names:
            raise TypeError(f"it takes {sorted(self.names)}, not {sorted(parameters)}")

    def plan(self, dialect: Dialect) -> Plan | None:
        """How to run it on a database, once that is known."""
        plan = self._plan
        return plan if plan is not None and plan.dialect is dialect else None

    def learn(self, dialect: Dialect, result: CursorResult[*tuple[Any, ...]]) -> None:
        """Find out from a result that has its rows yet to give how to run it the next time."""
        # Two threads may do this at once, to the same end.
        self._plan = _made(self.select, self.select.compile(dialect=dialect), dialect, result)


@dataclass(frozen=True, slots=True)
class Plan:
    """How a statement is run on one database."""

    dialect: Dialect
    compiled: SQLCompiler
    given: Sequence[tuple[str, str, _Process | None]]
    """Key among the driver's parameters, name of the caller's argument, conversion."""
    fixed: Mapping[str, Any]
    """What the statement itself holds, converted."""
    expands: bool
    """Whether the text depends on the parameters."""
    make: Callable[[Any], Found]
    binary: bool

    def rows(
        self, engine: Engine, parameters: Mapping[str, Any], *, first: bool
    ) -> Sequence[Found]:
        """All rows, or the first one. Raises what SQLAlchemy would, TypeError for a wrong name."""
        text, values = self._bound(parameters)
        # Without events of its own, which take as long to set up as all the rest.
        with Connection(engine, _has_events=False) as connection:
            return list(map(self.make, self._fetched(connection, text, values, first=first)))

    def _fetched(
        self, connection: Connection, text: str, values: Any, *, first: bool
    ) -> Sequence[Any]:
        # Not SQLAlchemy's proxy of it: what is lost is replaced behind that.
        driver: Any = connection.connection.dbapi_connection
        listeners = connection.engine.dispatch
        cursor: Any = None
        try:
            if self.dialect.name == "postgresql":
                driver.autocommit = True  # until somebody takes it from the pool, see engine.py
                cursor = driver.cursor(binary=self.binary)
            else:
                cursor = driver.cursor()
            for listen in listeners.before_cursor_execute:
                text, values = listen(connection, cursor, text, values, None, False)
            cursor.execute(text, values)
            for listen in listeners.after_cursor_execute:
                listen(connection, cursor, text, values, None, False)
            found: Sequence[Any] = cursor.fetchmany(1) if first else cursor.fetchall()
        except self.dialect.loaded_dbapi.Error as error:
            # Names the fault, and empties the pool of what is lost, as for every other statement.
            connection._handle_dbapi_exception(error, text, values, cursor, None)
        finally:
            if cursor is not None:
                cursor.close()  # half-read, it would hold up SQLite's checkpoints
        return found

    def _bound(self, parameters: Mapping[str, Any]) -> tuple[str, Any]:
        """The text and the parameters for the driver."""
        compiled = self.compiled
        if self.expands:
            return self._expanded(parameters)
        values = dict(self.fixed)
        for key, name, process in self.given:
            value = parameters[name]
            values[key] = value if process is None else process(value)
        return compiled.string, self._in_order(values, compiled.positiontup)

    def _expanded(self, parameters: Mapping[str, Any]) -> tuple[str, Any]:
        """The same where the text depends on the parameters, as that of ``IN`` on their number."""
        state = self.compiled.construct_expanded_state(parameters, escape_names=False)
        conversions: dict[str, Any] = {**self.compiled._bind_processors, **state.processors}
        values = {
            key: conversions[key](value) if key in conversions else value
            for key, value in state.parameters.items()
        }
        return state.statement, self._in_order(values, state.positiontup)

    def _in_order(self, values: dict[str, Any], keys: Iterable[str] | None) -> Any:
        if keys is not None:
            return tuple(values[key] for key in keys)
        escaped = self.compiled.escaped_bind_names
        return {escaped.get(key, key): values[key] for key in values} if escaped else values


def _made(
    select: Columns,
    compiled: SQLCompiler,
    dialect: Dialect,
    result: CursorResult[*tuple[Any, ...]],
) -> Plan:
    conversions = compiled._bind_processors
    late = compiled.post_compile_params | compiled.literal_execute_params
    given: list[tuple[str, str, _Process | None]] = []
    fixed: dict[str, Any] = {}
    for parameter, key in compiled.bind_names.items():
        process: Any = conversions.get(key)
        if parameter.required:
            given.append((key, parameter.key, process))
        elif parameter not in late:
            value = parameter.effective_value
            fixed[key] = process(value) if process is not None else value
    metadata = result._metadata
    processors: Any = metadata._effective_processors
    types = [column.type for column in select.selected_columns]  # none of bare text
    if dialect.name == "sqlite" and processors is not None and len(types) == len(processors):
        processors = [
            _uuid if type(kind) is Uuid and kind.as_uuid else process
            for kind, process in zip(types, processors, strict=True)
        ]
    assert result.cursor is not None
    codes = {column[1] for column in result.cursor.description}
    return Plan(
        dialect,
        compiled,
        given,
        fixed,
        bool(late),
        partial(Row, metadata, processors, metadata._key_to_index),
        codes <= _THE_SAME_IN_BINARY,
    )


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
