"""The declarative base of every table and the Flask-SQLAlchemy extension that owns the engine."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import JSON, MetaData, Uuid, orm

from trellis.db.types import UTCDateTime

# Names for every constraint, so that a migration can drop what another one made (batch mode on
# SQLite copies tables and needs them too).
NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(orm.DeclarativeBase):
    """Typed base: ``Mapped[UUID]``, ``Mapped[datetime]``, ``Mapped[dict]`` know their columns."""

    # A registry, not its parts: Flask-SQLAlchemy makes its own base with what stands here.
    registry = orm.registry(
        metadata=MetaData(naming_convention=NAMING_CONVENTION),
        type_annotation_map={
            UUID: Uuid(),
            datetime: UTCDateTime(),
            dict[str, Any]: JSON(),
            list[str]: JSON(),
        },
    )


db = SQLAlchemy(model_class=Base, disable_autonaming=True)

# Flask-SQLAlchemy makes `db.Model` at run time, which mypy cannot see.
if TYPE_CHECKING:
    Model = Base
else:
    Model = db.Model
