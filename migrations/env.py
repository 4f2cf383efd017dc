"""The one Alembic environment of every owner of tables: the core and each plugin.

`trellis.db.migrations` sets ``owner`` and ``connection`` in the attributes; there is no ini file,
which would reset the application's logging.
"""

from __future__ import annotations

from typing import Any

from alembic import context
from sqlalchemy.schema import SchemaItem

from trellis.db.base import Model

owner: str = context.config.attributes["owner"]
connection = context.config.attributes["connection"]
version_table = f"{owner}_alembic_version"


def belongs_to_owner(
    item: SchemaItem, name: str | None, kind: str, reflected: bool, compare_to: Any
) -> bool:
    """Only the owner's tables: those of other owners, and of nobody, are left alone."""
    if kind == "table":
        return name is not None and name.startswith(f"{owner}_") and name != version_table
    return True


context.configure(
    connection=connection,
    target_metadata=Model.metadata,
    version_table=version_table,
    include_object=belongs_to_owner,
    # SQLite changes a table by copying it, and can do so inside a transaction when asked to.
    render_as_batch=connection.dialect.name == "sqlite",
    transactional_ddl=True,
    transaction_per_migration=True,
    compare_type=True,
    compare_server_default=True,
    user_module_prefix="trellis.db.",
    autogenerate_plugins=["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname"],
)
with context.begin_transaction():
    context.run_migrations()
