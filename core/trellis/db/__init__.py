"""Database access for plugins: models, ids, times, units of work and reads."""

from trellis.db.base import Model
from trellis.db.clock import database_now, utcnow
from trellis.db.ids import new_id
from trellis.db.inserts import insert_into
from trellis.db.reads import Found, fetch_all, fetch_one, fetch_value
from trellis.db.secret import Secret
from trellis.db.types import UTCDateTime
from trellis.db.unit_of_work import UnitOfWork, unit_of_work

__all__ = [
    "Found",
    "Model",
    "Secret",
    "UTCDateTime",
    "UnitOfWork",
    "database_now",
    "fetch_all",
    "fetch_one",
    "fetch_value",
    "insert_into",
    "new_id",
    "unit_of_work",
    "utcnow",
]
