"""Lists come in keyset pages that hold while the list changes."""

from __future__ import annotations

import random
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from marshmallow import fields
from pydantic import SecretStr
from sqlalchemy import (
    Column,
    Date,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Uuid,
    bindparam,
    delete,
    insert,
    select,
)

from trellis.api import Blueprint, Schema, Timestamp
from trellis.db import UTCDateTime
from trellis.db.base import db
from trellis.db.engine import init_engine
from trellis.errors import InvalidInput
from trellis.paging import Listing, Page, paginate
from trellis.paging.cursors import seal
from trellis.runtime import runtime
from trellis.settings import Settings
from trellis.unit_of_work import unit_of_work

THINGS = Table(
    "things_things",
    MetaData(),
    Column("id", Uuid, primary_key=True),
    Column("made_at", UTCDateTime, nullable=False),
    Column("day", Date, nullable=False),
    Column("name", String, nullable=False),
    Column("count", Integer, nullable=False),
    Column("share", Float, nullable=False),
)
C = THINGS.c
Pages = Callable[..., Page[Any]]
Way = Callable[..., Pages]
START = datetime(2026, 1, 31, 12, tzinfo=UTC)


class FilterSchema(Schema):
    name = fields.String()


class ThingSchema(Schema):
    id = fields.UUID()
    made_at = Timestamp()
    count = fields.Integer()


def row(number: int) -> dict[str, Any]:
    return {
        "id": UUID(int=number),
        "made_at": START + timedelta(microseconds=number // 4),
        "day": date(2026, 1, 1 + number % 3),
        "name": f"näme {number % 5}",
        "count": number % 2,
        "share": number / 7,
    }


def write(statement: Any, values: Any = None) -> None:
    with unit_of_work() as unit:
        unit.session.execute(statement, values)


@pytest.fixture
def app(make_app: Callable[..., Flask], tmp_path: Path) -> Iterator[Flask]:
    things = Blueprint("things", __name__)

    @things.get("/list")
    @things.access(public="a test")
    @things.arguments(FilterSchema, location="query")
    @things.paginated(ThingSchema)
    def show(query: dict[str, Any], *, cursor: str | None, limit: int) -> Page[Any]:
        """List things."""
        statement = select(C.made_at, C.count, C.id)
        if "name" in query:
            statement = statement.where(C.name == query["name"])
        return paginate(statement, C.made_at.desc(), C.id.desc(), cursor=cursor, limit=limit)

    app = make_app(things)
    init_engine(app, Settings(database_url=f"sqlite:///{tmp_path}/pages.sqlite"))
    with app.app_context():
        THINGS.create(db.engine)
        write(insert(THINGS), [row(number) for number in random.sample(range(50), 50)])
        yield app
        db.engine.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def test_walk_by_cursor(client: FlaskClient) -> None:
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(4):
        query = {"limit": 15} | ({"cursor": cursor} if cursor else {})
        answer = client.get("/v1/things/list", query_string=query).get_json()
        seen += [item["id"] for item in answer["items"]]
        cursor = answer["next_cursor"]
    assert cursor is None
    assert seen == [str(UUID(int=number)) for number in reversed(range(50))]


def test_walk_by_link_keeps_the_other_parameters(client: FlaskClient) -> None:
    url: str | None = "/v1/things/list?name=n%C3%A4me+3&limit=4"
    seen = []
    while url:
        response = client.get(url)
        seen += [UUID(item["id"]).int for item in response.get_json()["items"]]
        link = response.headers.get("Link")
        assert (link is None) == (response.get_json()["next_cursor"] is None)
        url = None
        if link:
            target, relation = link.split("; ")
            assert relation == 'rel="next"'
            assert target.startswith("<https://api.example.com/v1/things/list?")
            parts = urlsplit(target.strip("<>"))
            assert parse_qs(parts.query)["name"] == ["näme 3"]
            url = f"{parts.path}?{parts.query}"
    assert seen == [number for number in reversed(range(50)) if number % 5 == 3]


def test_rows_are_read_by_column_name(client: FlaskClient) -> None:
    # `count` and `index` are methods of every tuple
    answer = client.get("/v1/things/list?limit=1").get_json()
    assert answer["items"][0]["count"] == 49 % 2


def test_default_is_twenty(client: FlaskClient) -> None:
    assert len(client.get("/v1/things/list").get_json()["items"]) == 20


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "1e3"])
def test_limit_is_bounded(client: FlaskClient, limit: str) -> None:
    response = client.get("/v1/things/list", query_string={"limit": limit})
    assert response.status_code == 422
    assert response.get_json()["errors"][0]["pointer"] == "/limit"


def composed(statement: Any, *order: Any) -> Pages:
    """Pages of a select that is composed for each call."""
    return lambda **place: paginate(statement, *order, **place)


def compiled(statement: Any, *order: Any) -> Pages:
    """Pages of a select that is compiled once."""
    return Listing(statement, *order).page


ways = pytest.mark.parametrize("way", [composed, compiled])


def walk(pages: Pages, limit: int, between: Callable[[], None] = lambda: None) -> list[int]:
    """The numbers of all rows, page by page."""
    seen: list[int] = []
    cursor: str | None = None
    while True:
        page = pages(cursor=cursor, limit=limit)
        seen += [item.id.int for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return seen
        between()


@ways
def test_e10_walk_holds_while_rows_come_and_go(app: Flask, way: Way) -> None:
    pages = way(select(C.id), C.made_at.desc(), C.id.desc())
    first = pages(cursor=None, limit=10)
    write(delete(THINGS).where(C.id == first.items[-1].id))  # the row under the cursor
    write(delete(THINGS).where(C.id == UUID(int=20)))
    write(insert(THINGS), [row(number) for number in range(50, 60)])  # before the cursor
    seen = [item.id.int for item in first.items]
    cursor = first.next_cursor
    while cursor:
        page = pages(cursor=cursor, limit=10)
        seen += [item.id.int for item in page.items]
        cursor = page.next_cursor
    assert seen == [number for number in reversed(range(50)) if number != 20]


@ways
def test_e10_walks_hold_while_others_write_at_the_same_time(app: Flask, way: Way) -> None:
    """Even rows stay, odd ones come and go all the time."""
    pages = way(select(C.id), C.made_at.desc(), C.id.desc())
    write(delete(THINGS).where(C.count == 1))
    stays = [number for number in reversed(range(50)) if number % 2 == 0]
    ended = threading.Event()

    def come_and_go(numbers: range) -> int:
        rounds = 0
        with app.app_context():
            while not ended.is_set():
                write(insert(THINGS), [row(number) for number in numbers])
                write(delete(THINGS).where(C.id.in_([UUID(int=number) for number in numbers])))
                rounds += 1
        return rounds

    def walks(limit: int) -> list[list[int]]:
        with app.app_context():
            return [walk(pages, limit) for _ in range(15)]

    with ThreadPoolExecutor(5) as pool:
        writers = [
            pool.submit(come_and_go, numbers) for numbers in (range(1, 25, 2), range(25, 51, 2))
        ]
        try:
            readers = [pool.submit(walks, limit) for limit in (2, 3, 7)]
            seen = [numbers for reader in readers for numbers in reader.result(60)]
        finally:
            ended.set()
        assert all(writer.result(60) for writer in writers)
    for numbers in seen:
        assert [number for number in numbers if number % 2 == 0] == stays
        assert numbers == sorted(set(numbers), reverse=True)


def test_a_listing_has_parameters_of_its_own(app: Flask) -> None:
    of_name = select(C.id).where(C.name == bindparam("name"))
    listing = Listing(of_name, C.made_at.desc(), C.id.desc())
    for number in (3, 4, 3):
        name = f"näme {number}"
        seen = walk(lambda name=name, **place: listing.page(name=name, **place), 3)
        assert seen == [n for n in reversed(range(50)) if n % 5 == number]
    with pytest.raises(TypeError, match="it takes"):
        listing.page(cursor=None, limit=1)


@pytest.mark.parametrize(
    "order",
    [
        (C.id,),
        (C.id.desc(),),
        (C.name, C.id),
        (C.name.asc(), C.id.desc()),
        (C.count.desc(), C.day, C.id),
        (C.share.desc(), C.id),
        (C.day.desc(), C.made_at.desc(), C.id.desc()),
    ],
    ids=lambda order: ", ".join(str(column) for column in order),
)
@ways
def test_orders(app: Flask, way: Way, order: tuple[Any, ...]) -> None:
    expected = [
        item.id.int for item in paginate(select(C.id), *order, cursor=None, limit=100).items
    ]
    assert len(expected) == 50
    assert walk(way(select(C.id), *order), 7) == expected


def cursor_of(values: Any) -> str:
    import json

    return urlsafe_b64encode(json.dumps(values, default=str).encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "!!!!",
        "ä",
        "%00",
        "W10=",
        cursor_of({}),
        cursor_of([START]),
        cursor_of([START, UUID(int=1), 1]),
        cursor_of([1, UUID(int=1)]),
        cursor_of([START, "no uuid"]),
        cursor_of([START, None]),
        cursor_of(["2026-01-31T12:00:00", UUID(int=1)]),
        cursor_of(["31 January", UUID(int=1)]),
        cursor_of(["0001-01-01T00:00:00+14:00", UUID(int=1)]),  # before the first day, in UTC
        cursor_of(["9999-12-31T23:59:59-14:00", UUID(int=1)]),
        cursor_of([START, [1]]),
        "W" * 1001,
    ],
)
def test_foreign_cursor_is_a_field_error(client: FlaskClient, cursor: str) -> None:
    response = client.get("/v1/things/list", query_string={"cursor": cursor})
    assert response.status_code == 422
    [error] = response.get_json()["errors"]
    assert (error["location"], error["pointer"]) == ("query", "/cursor")


@ways
@pytest.mark.parametrize("values", [[True], [1.5], ["1"], [None]])
def test_cursor_types_are_those_of_the_columns(app: Flask, way: Way, values: list[Any]) -> None:
    pages = way(select(C.id), C.count)
    pages(cursor=seal([1], "count False"), limit=1)
    with pytest.raises(InvalidInput):
        pages(cursor=seal(values, "count False"), limit=1)


@ways
def test_e10_a_cursor_is_signed(app: Flask, way: Way) -> None:
    pages = way(select(C.id), C.count, C.id)
    cursor = pages(cursor=None, limit=1).next_cursor
    assert cursor is not None
    assert pages(cursor=cursor, limit=1).items
    sealed = bytearray(urlsafe_b64decode(cursor + "=="))
    for place in (0, 15, 16, len(sealed) - 2):
        changed = bytes([*sealed[:place], sealed[place] ^ 1, *sealed[place + 1 :]])
        with pytest.raises(InvalidInput):
            pages(cursor=urlsafe_b64encode(changed).decode(), limit=1)


@ways
def test_e10_a_cursor_belongs_to_its_order(app: Flask, way: Way) -> None:
    cursor = way(select(C.id), C.count, C.id)(cursor=None, limit=1).next_cursor
    with pytest.raises(InvalidInput):
        way(select(C.id), C.count.desc(), C.id)(cursor=cursor, limit=1)


@ways
def test_e10_a_cursor_outlives_the_key_that_signs_until_it_goes(
    app: Flask, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = runtime().settings

    def sign_with(*keys: str) -> None:
        core = loaded.core.model_copy(update={"secret_keys": tuple(map(SecretStr, keys))})
        monkeypatch.setattr(runtime(), "settings", replace(loaded, core=core))

    pages = way(select(C.id), C.id)
    sign_with("an-old-key")
    cursor = pages(cursor=None, limit=1).next_cursor
    sign_with("a-new-key", "an-old-key")
    assert pages(cursor=cursor, limit=1).items
    sign_with("a-new-key")
    with pytest.raises(InvalidInput):
        pages(cursor=cursor, limit=1)


def test_page_is_documented(client: FlaskClient) -> None:
    document = client.get("/v1/openapi.json").get_json()
    operation = document["paths"]["/v1/things/list"]["get"]
    limit = next(p for p in operation["parameters"] if p["name"] == "limit")
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    assert schema.endswith("ThingPage")
