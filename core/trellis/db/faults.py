"""What a failed statement says: the database is away, it refused, or the statement is wrong."""

from __future__ import annotations

import sqlite3
from enum import Enum

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError


class Fault(Enum):
    """Why a statement failed through no fault of its own."""

    REFUSED = "refused"
    """For the sake of another transaction (serialization, deadlock): tried again it may pass."""
    LOST = "lost"
    """The connection ended: what was not committed never happened."""
    AWAY = "away"
    """The database takes no connection, no time, or has no room now."""
    SLOW = "slow"
    """It took too long: the database has much to do, or the statement asks for too much."""


# Classes of SQLSTATE (PostgreSQL, appendix A); a longer prefix stands before a shorter one.
_STATES = (
    ("40001", Fault.REFUSED),
    ("40P01", Fault.REFUSED),
    ("08", Fault.LOST),
    ("57P", Fault.LOST),  # shut down, crashed, starting, idle for too long
    ("25P03", Fault.LOST),  # idle in a transaction for too long
    ("25006", Fault.AWAY),  # read-only: a standby, or a full disk
    ("53", Fault.AWAY),  # disk, memory or connections
    ("55P03", Fault.AWAY),  # a lock was not to be had in time
    ("57014", Fault.SLOW),
    ("58030", Fault.AWAY),  # input or output failed
)
_SQLITE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
    }
)


def fault_of(error: SQLAlchemyError) -> Fault | None:
    """The database's own fault behind an error; ``None`` when the statement is to blame."""
    if isinstance(error, PoolTimeoutError):
        return Fault.AWAY
    if not isinstance(error, DBAPIError) or error.orig is None:
        return None
    if isinstance(error.orig, sqlite3.Error):
        primary = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
        return Fault.AWAY if primary in _SQLITE else None
    state: str | None = getattr(error.orig, "sqlstate", None)
    for prefix, fault in _STATES:
        if state and state.startswith(prefix):
            return fault
    if error.connection_invalidated:
        return Fault.LOST
    # The driver's own words have no state: it could not connect, or lost its peer.
    away = state is None and type(error.orig).__name__ in ("OperationalError", "ConnectionTimeout")
    return Fault.AWAY if away else None
