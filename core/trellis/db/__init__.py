"""Database access for plugins: models, ids, times and reads."""

from trellis.db.base import Model
from trellis.db.clock import database_now, utcnow
from trellis.db.ids import new_id
from trellis.db.inserts import insert_into
from trellis.db.reads import Found, fetch_all, fetch_one, fetch_value
from trellis.db.secret import Secret
from trellis.db.types import UTCDateTime
from trellis_statements.compiled import Compiled

__all__ = [
    "Compiled",
    "Found",
    "Model",
    "Secret",
    "UTCDateTime",
    "database_now",
    "fetch_all",
    "fetch_one",
    "fetch_value",
    "insert_into",
    "new_id",
    "utcnow",
]
