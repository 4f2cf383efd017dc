"""Room for many sockets in one process."""

from __future__ import annotations

import resource

import structlog

log = structlog.get_logger(__name__)

# For the database, Redis, and requests that are being refused.
_BESIDE = 512


def make_room(connections: int) -> None:
    """Raise this process's own limit of open files as far as so many connections need it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _BESIDE
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    possible = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
    if possible < wanted:
        log.warning("too_few_open_files", limit=hard, stream_max_connections=connections)
