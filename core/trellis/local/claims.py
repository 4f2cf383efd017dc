"""What a program claims of the machine while it runs: a data directory, and a place for sockets."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trellis.errors import StartError

LONGEST_SOCKET_PATH = 103
"""In bytes; macOS has room for 104 with the closing zero, Linux for 108."""

_POLL_SECONDS = 0.02


@contextmanager
def locked(lock_file: Path, within: float) -> Iterator[int]:
    """Hold the lock on `lock_file`, for which we wait `within` seconds; gives its descriptor.

    The system holds the lock and not the file: it is free as soon as the last process that has the
    descriptor ends, however it ends, and a file that is left says nothing. Raises StartError.
    """
    descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + within
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as fault:
                if time.monotonic() > deadline:
                    raise StartError(
                        f"Another Trellis is running on the data directory {lock_file.parent}: "
                        "stop it, or choose another directory with TRELLIS_DATA_DIR."
                    ) from fault
                time.sleep(_POLL_SECONDS)
        yield descriptor
    finally:
        os.close(descriptor)


def socket_path(owner: Path, name: str) -> Path:
    """A path for the unix socket `name`, the same whenever `owner` (a directory) is the same.

    It is not inside `owner`, as the path of a socket may be a hundred bytes long and no more.
    """
    digest = hashlib.sha256(os.fsencode(owner)).hexdigest()[:12]
    for parent in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):  # noqa: S108
        if parent and os.access(parent, os.W_OK | os.X_OK):
            path = Path(parent, f"trellis-{os.getuid()}-{digest}", name)
            if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
                return path
    raise StartError(
        "There is no directory for the broker's socket: "
        "set TMPDIR to a directory that can be written and has a short path."
    )


@contextmanager
def private(directory: Path) -> Iterator[None]:
    """Have `directory` for ourselves, with mode 700, and remove it after. Raises StartError."""
    with suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    facts = directory.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise StartError(
            f"{directory} is not a directory of yours alone: "
            "remove it, or set TMPDIR to another place."
        )
    try:
        yield
    finally:
        shutil.rmtree(directory, ignore_errors=True)
