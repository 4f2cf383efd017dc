"""The base of schemas that read rows of a database, and the field for moments."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from marshmallow import RAISE, fields
from marshmallow import Schema as MarshmallowSchema
from sqlalchemy import Row

from trellis_schemas.strict_json import utc_text

Field = fields.Field[Any]


class Schema(MarshmallowSchema):
    """Base of the schemas of plugins: refuses unknown fields, dumps rows by column name."""

    class Meta:
        unknown = RAISE

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """Read a value; of a row as of a mapping, as `row.count` is a method of tuples."""
        return super().get_attribute(obj._mapping if isinstance(obj, Row) else obj, attr, default)


class Timestamp(fields.AwareDateTime):
    """A moment: RFC 3339 with an offset in, UTC ending in `Z` out."""

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return None if value is None else utc_text(value)
