"""Trellis below a path of a host that has other things too, behind a real nginx."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx2
import pytest
from tests.processes import PATIENCE, free_port, until
from tests.production import nginx
from tests.production.command import Command
from tests.production.nginx import Nginx

pytestmark = nginx.needed


@pytest.fixture
def front(trellis: Command, tmp_path: Path) -> Iterator[Nginx]:
    web, stream = int(trellis.environ["TRELLIS_PORT"]), free_port()
    front = Nginx(tmp_path / "nginx", [web], [stream], below=True)
    trellis.environ["TRELLIS_PUBLIC_URL"] = front.url
    with (
        front,
        trellis.running("serve"),
        trellis.running("stream", TRELLIS_PORT=str(stream)),
    ):
        for path in ("/health/ready", "/v1/stream"):
            until(partial(_answers, front.url + path), f"an answer of {path}")
        yield front


def _answers(url: str) -> bool:
    return _status(url) in (httpx2.codes.OK, httpx2.codes.UNAUTHORIZED)


def _status(url: str) -> int:
    try:
        return httpx2.get(url, timeout=10).status_code
    except httpx2.TransportError:
        return 0


def test_links_document_and_page_lead_below_the_path(front: Nginx) -> None:
    root = urlsplit(front.url)._replace(path="").geturl()
    assert httpx2.get(f"{root}/health/live").text == "other things\n"

    document = httpx2.get(f"{front.url}/v1/openapi.json").json()
    assert [server["url"] for server in document["servers"]] == [front.url]
    assert "/v1/stream" in document["paths"]

    page = httpx2.get(f"{front.url}/docs")
    assert page.status_code == 200
    links = re.findall(r'(?:src|href|data-url)="([^"#]+)"', page.text)
    assert links
    for link in links:
        assert _status(urljoin(f"{front.url}/docs", link)) == 200, link

    problem = httpx2.get(f"{front.url}/v1/auth/sessions")
    assert problem.status_code == 401
    assert _status(urljoin(f"{front.url}/", problem.json()["type"].lstrip("/"))) == 200


def test_what_nginx_refuses_it_refuses_as_trellis_does(front: Nginx) -> None:
    too_large = httpx2.post(
        f"{front.url}/v1/analytics/events", content=b"x" * (41 * 1024 * 1024), timeout=60
    )
    assert too_large.status_code == 413
    assert too_large.headers["Content-Type"] == "application/problem+json"
    assert too_large.json()["code"] == "core.content_too_large"


def test_a_proxy_that_nobody_serves_says_so_in_trellis_words(tmp_path: Path) -> None:
    with Nginx(tmp_path / "nginx", [free_port()], [free_port()]) as front:
        away = httpx2.get(f"{front.url}/v1/auth/sessions")
    assert away.status_code == 503
    assert away.headers["Retry-After"] == "5"
    assert away.json()["code"] == "core.service_unavailable"


def test_a_slow_body_holds_no_process(tmp_path: Path) -> None:
    """nginx keeps a body to itself until it is whole."""
    with (
        socket.create_server(("127.0.0.1", 0)) as web,
        Nginx(tmp_path / "nginx", [web.getsockname()[1]], [free_port()]) as front,
        socket.create_connection(("127.0.0.1", front.port)) as slow,
    ):
        slow.sendall(b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
        web.settimeout(0.5)
        with pytest.raises(TimeoutError):
            web.accept()
        slow.sendall(b" done")
        web.settimeout(PATIENCE)
        connection, _ = web.accept()
        with connection, connection.makefile("rb") as request:
            assert b"".join(iter(request.readline, b"\r\n")).count(b"X-Next-Upstream: 502") == 1
            assert request.read(9) == b"half done"
