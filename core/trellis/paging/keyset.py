"""Lists in pages by keyset: a page begins after the last key seen, whatever changed meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Row, TypeDecorator, and_, bindparam, or_, tuple_
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import UnaryExpression

from trellis.db import Compiled, fetch_all
from trellis.db.reads import Columns
from trellis.errors import InvalidInput
from trellis.paging.cursors import seal, unseal

T = TypeVar("T")

_MOST = "_page_most"


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some items of a list, and the cursor of the page after it; None on the last page."""

    items: Sequence[T]
    next_cursor: str | None


@dataclass(frozen=True)
class _Key:
    column: ColumnElement[Any]
    descending: bool

    def after(self, value: ColumnElement[Any]) -> ColumnElement[bool]:
        comparison = operators.lt if self.descending else operators.gt
        return self.column.operate(comparison, value)


class Listing:
    """A list whose statements are compiled once, of a select of columns with named parameters.

    `order` is the only ordering: columns that are never NULL and together unique, each plain or
    `.desc()`, such as `Asset.created_at.desc(), Asset.id.desc()`.
    """

    def __init__(self, select: Columns, *order: ColumnElement[Any]) -> None:
        self._keys = [_key(column) for column in order]
        self._first = Compiled(_page_of(select, self._keys, order, after=False))
        self._next = Compiled(_page_of(select, self._keys, order, after=True))

    def page(self, *, cursor: str | None, limit: int, **parameters: Any) -> Page[Row[Any]]:
        """One page, at most `limit` rows; `parameters` are those of the select.

        Raises InvalidInput for a cursor that was not made for this order.
        """
        return _page(
            self._first if cursor is None else self._next, self._keys, cursor, limit, parameters
        )


def paginate(
    statement: Columns, *order: ColumnElement[Any], cursor: str | None, limit: int
) -> Page[Row[Any]]:
    """One page of a select that is composed for this call; see `Listing` for its order.

    Raises InvalidInput for a cursor that was not made for this order.
    """
    keys = [_key(column) for column in order]
    return _page(
        _page_of(statement, keys, order, after=cursor is not None), keys, cursor, limit, {}
    )


def _page_of(
    statement: Columns, keys: Sequence[_Key], order: Sequence[ColumnElement[Any]], *, after: bool
) -> Columns:
    """The select of one page, whose size and cursor are parameters."""
    if after:
        statement = statement.where(_after(keys))
    # The keys are read under names of their own, so that the statement need not select them.
    statement = statement.add_columns(
        *(key.column.label(_name(number)) for number, key in enumerate(keys))
    )
    return statement.order_by(*order).limit(bindparam(_MOST, type_=Integer))


def _page(
    statement: Columns | Compiled,
    keys: Sequence[_Key],
    cursor: str | None,
    limit: int,
    parameters: Mapping[str, Any],
) -> Page[Row[Any]]:
    place = {} if cursor is None else _decode(cursor, keys)
    rows = fetch_all(statement, **parameters, **place, **{_MOST: limit + 1})
    if len(rows) <= limit:
        return Page(rows, None)
    last = rows[limit - 1]._mapping
    place_of_last = [last[_name(number)] for number in range(len(keys))]
    return Page(rows[:limit], seal(place_of_last, _order(keys)))


def _name(number: int) -> str:
    return f"_page_key_{number}"


def _order(keys: Sequence[_Key]) -> str:
    """What lists have in common whose cursors fit one another."""
    return ",".join(f"{key.column.key} {key.descending}" for key in keys)


def _key(column: ColumnElement[Any]) -> _Key:
    if isinstance(column, UnaryExpression) and column.modifier in {
        operators.desc_op,
        operators.asc_op,
    }:
        return _Key(column.element, column.modifier is operators.desc_op)
    return _Key(column, descending=False)


def _after(keys: Sequence[_Key]) -> ColumnElement[bool]:
    bound = [bindparam(_name(n), type_=key.column.type) for n, key in enumerate(keys)]
    if len({key.descending for key in keys}) == 1:
        # One direction: a comparison of rows, which an index over the keys answers in one step.
        left, right = tuple_(*(key.column for key in keys)), tuple_(*bound)
        return left < right if keys[0].descending else left > right
    return or_(
        *(
            and_(
                *(same.column == value for same, value in zip(keys[:n], bound[:n], strict=True)),
                key.after(bound[n]),
            )
            for n, key in enumerate(keys)
        )
    )


def _decode(cursor: str, keys: Sequence[_Key]) -> dict[str, Any]:
    try:
        values = unseal(cursor, _order(keys))
        pairs = enumerate(zip(keys, values, strict=True))
        return {_name(number): _value(key, value) for number, (key, value) in pairs}
    except (ValueError, TypeError, OverflowError):
        raise InvalidInput.field(
            "/cursor", "Not a cursor of this list.", location="query"
        ) from None


def _value(key: _Key, value: Any) -> Any:
    column_type = key.column.type
    if isinstance(column_type, TypeDecorator):
        column_type = column_type.impl_instance
    kind = column_type.python_type
    if kind in _READERS and isinstance(value, str):
        return _READERS[kind](value)
    if type(value) is not kind:
        raise ValueError
    return value


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError
    return moment.astimezone(UTC)


_READERS: dict[type, Callable[[str], Any]] = {
    UUID: UUID,
    datetime: _moment,
    date: date.fromisoformat,
}
