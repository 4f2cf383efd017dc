"""Pages as clients see them: the schema of one, and the link to the next."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from urllib.parse import quote, urlencode

from flask import current_app, request
from marshmallow import Schema as MarshmallowSchema
from marshmallow import fields

from trellis.api.requests import EXTENSION
from trellis_schemas.schema import Schema


@cache
def page_schema(item: type[MarshmallowSchema]) -> type[Schema]:
    """The schema of a page of items, named after them: `AssetSchema` gives `AssetPageSchema`."""
    return type(
        f"{item.__name__.removesuffix('Schema')}PageSchema",
        (Schema,),
        {
            "__module__": item.__module__,
            "__doc__": "Some items of a list, and where the next ones begin.",
            "page_of": item,
            "items": fields.List(fields.Nested(item), required=True),
            "next_cursor": fields.String(
                required=True,
                allow_none=True,
                metadata={
                    "description": "Ask for the next page with it; null on the last page.",
                    "example": "WyIwMTk4YzBkZS03YTAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDEiXQ",
                },
            ),
        },
    )


def next_link(cursor: str) -> str:
    """The value of `Link` (RFC 8288) that leads from this request's page to the next."""
    query = urlencode([*_other_arguments(), ("cursor", cursor)])
    public_url = current_app.extensions[EXTENSION].public_url
    return f'<{public_url}{quote(request.path)}?{query}>; rel="next"'


def _other_arguments() -> Iterator[tuple[str, str]]:
    return ((name, value) for name, value in request.args.items(multi=True) if name != "cursor")
