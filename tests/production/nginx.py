"""A real nginx before Trellis, with the files that ship: only addresses and ports are ours."""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest
from tests.processes import PATIENCE, free_port, until

from trellis.local import sessions

SHIPPED = Path(__file__).parents[2] / "config/nginx"
_UPSTREAMS = (SHIPPED / "upstreams.conf").read_text()
BACK_SECONDS = 2 * int(_UPSTREAMS.partition("fail_timeout=")[2].partition("s")[0])
"""From when a process is ready until nginx sends it requests again, as the shipped file says."""

_ROOT = "include trellis/trellis.conf;"
_BELOW = """
server {
    listen 80;
    include trellis/limits.conf;
    include trellis/below-a-path.conf;
    location / { return 404 "other things\\n"; }
}
"""
_CONFIG = """
daemon off;
pid nginx.pid;
error_log error.log info;
events { worker_connections 1024; }
worker_processes 2;
http {
    log_format upstream '$msec $request_method $uri $status $upstream_addr $upstream_status';
    access_log access.log upstream;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include trellis/upstreams.conf;
    %s
}
"""
_CACHE = """
    proxy_cache_path cache keys_zone=shared:1m;
    proxy_cache shared;
    add_header X-Cache $upstream_cache_status always;
"""

needed = pytest.mark.skipif(not shutil.which("nginx"), reason="there is no nginx on this machine")


class Nginx:
    """As a context manager it runs for the block, in the thread that began it.

    ``webs`` and ``streams`` are ports of this machine. One that ``keeps`` is a shared cache
    (RFC 9111), which says `X-Cache: HIT` of what it has kept.
    """

    def __init__(
        self,
        directory: Path,
        webs: Sequence[int],
        streams: Sequence[int],
        *,
        below: bool = False,
        keeps: bool = False,
    ) -> None:
        self.directory = directory
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}" + ("/backend" if below else "")
        directory.mkdir(parents=True)
        directory.chmod(0o755)
        shutil.copytree(SHIPPED, directory / "trellis")
        upstreams = directory / "trellis/upstreams.conf"
        upstreams.write_text(_with_ports(upstreams.read_text(), {"web": webs, "stream": streams}))
        for file in (directory / "trellis").glob("*.conf"):
            file.write_text(re.sub(r"listen 80;", f"listen {self.port};", file.read_text()))
        config = _CONFIG % (_BELOW.replace("80", str(self.port)) if below else _ROOT)
        if keeps:
            config = config.replace("http {", f"http {{{_CACHE}")
            if os.getuid() == 0:  # or its workers could not write where the test may
                config = f"user root;{config}"
        (directory / "nginx.conf").write_text(config)

    def __enter__(self) -> Self:
        with (self.directory / "output.log").open("ab") as log:
            self._process = sessions.spawn(
                ["nginx", "-p", str(self.directory), "-c", str(self.directory / "nginx.conf")],
                stdout=log.fileno(),
            )
        until(self._answers, "an answer of nginx")
        return self

    def __exit__(self, *_: object) -> None:
        sessions.end(self._process, PATIENCE)

    @property
    def errors(self) -> str:
        """What went wrong, in nginx's own words."""
        return (self.directory / "error.log").read_text(errors="replace")

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self.directory / "output.log").read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False


def _with_ports(text: str, ports: dict[str, Sequence[int]]) -> str:
    """The shipped upstreams with other servers: what stands after an address stays."""

    def servers(match: re.Match[str]) -> str:
        lines = [f"    server 127.0.0.1:{port}{match[3]};\n" for port in ports[match[1]]]
        return f"upstream trellis_{match[1]} {{{match[2]}{''.join(lines)}{match[4]}}}"

    pattern = r"upstream trellis_(\w+) \{(.*?)(?:    server [\d.:]+([^;]*);\n)+(.*?)\}"
    return re.sub(pattern, servers, text, flags=re.DOTALL)
