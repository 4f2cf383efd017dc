"""What can be wrong with the machine before anything is started, each told in one sentence."""

from __future__ import annotations

import errno
import os
import socket
import tempfile
from contextlib import closing
from pathlib import Path

from trellis.errors import StartError


def is_port_free(host: str, port: int) -> bool:
    """Whether this process could listen on `host` and `port` now.

    Raises OSError when the host has no address, the address is not this machine's, or the port
    needs more rights: no other port would help then, or no waiting.
    """
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    ):
        with closing(socket.socket(family, kind, protocol)) as listener:
            # As servers do: what lingers of connections that have ended is no obstacle.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                listener.bind(address)
                listener.listen(1)
            except OSError as fault:
                if fault.errno == errno.EADDRINUSE:
                    return False
                raise
    return True


def require_port(host: str, port: int) -> str:
    """The address to listen on: IPv4 where a name has both.

    Raises StartError unless this process could listen on `host` and `port`.
    """
    try:
        free = is_port_free(host, port)
        address = min(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))[4][0]
    except (OSError, UnicodeError) as fault:  # a name that none could be
        raise StartError(
            f"The server cannot listen on {host}, port {port} "
            f"({getattr(fault, 'strerror', None) or fault}): "
            "choose another address with TRELLIS_HOST or another port with TRELLIS_PORT."
        ) from fault
    if not free:
        raise StartError(
            f"Port {port} on {host} is taken by another program: "
            "stop that program, or choose another port with TRELLIS_PORT."
        )
    return str(address)


def require_writable(directory: Path) -> None:
    """Make `directory`, for its owner alone, when it is missing.

    Raises StartError unless files can be written in it.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory) as probe:
            probe.write(b"x")
            probe.flush()
    except OSError as fault:
        raise StartError(
            f"The data directory {directory} cannot be written ({os.strerror(fault.errno or 0)}): "
            "make it yours, or choose another with TRELLIS_DATA_DIR."
        ) from fault
