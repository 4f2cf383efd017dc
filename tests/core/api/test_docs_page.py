"""The documentation page is served from here and asks nobody else."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin

import pytest
from flask import Flask
from flask.testing import FlaskClient

from trellis.api import Blueprint
from trellis.errors import DomainError


class Odd(DomainError):
    """It is <odd>."""

    code = "things.odd"
    title = "Odd"


@pytest.fixture
def client(make_app: Callable[..., Flask]) -> FlaskClient:
    things = Blueprint("things", __name__)

    @things.get("/odd")
    @things.access(public="a test")
    @things.errors(Odd)
    def odd() -> Any:
        """Be odd."""

    return make_app(things).test_client()


def fetch(client: FlaskClient, path: str) -> bytes:
    with client.get(path) as response:
        assert response.status_code == 200
        return response.get_data()


@pytest.mark.parametrize("path", ["/docs", "/docs/errors"])
def test_page_and_all_that_it_loads_come_from_this_host(client: FlaskClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    loaded = re.findall(r'<(?:script|link)[^>]* (?:src|href)="([^"]+)"', response.text)
    assert loaded
    for address in loaded:
        # Relative, so that it holds also below a path of the public address.
        assert not address.startswith(("/", "http"))
        found = urljoin(path, address)
        assert found.startswith("/docs/assets/")
        assert fetch(client, found)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert not re.search(r"<script[^>]*>[^<]", response.text)  # the policy allows no inline script


def test_styles_and_own_script_name_no_other_host(client: FlaskClient) -> None:
    for name in ("swagger-ui.css", "docs.css", "docs.js"):
        text = fetch(client, f"/docs/assets/{name}").decode()
        assert not re.findall(
            r"(?:url\(\s*[\"']?|@import\s+[\"']?|fetch\([\"'])(?:https?:)?//", text
        )
    assert b"validatorUrl: null" in fetch(client, "/docs/assets/docs.js")


@pytest.mark.parametrize(
    "name", ["swagger-ui.js", "index.css", "..%2f__init__.py", "../api/init.py", "docs.html"]
)
def test_nothing_else_is_served(client: FlaskClient, name: str) -> None:
    response = client.get(f"/docs/assets/{name}")
    assert response.status_code == 404
    assert response.content_type == "application/problem+json"


def test_assets_are_revalidated(client: FlaskClient) -> None:
    with client.get("/docs/assets/swagger-ui.css") as first:
        condition = {"If-None-Match": first.headers["ETag"]}
    with client.get("/docs/assets/swagger-ui.css", headers=condition) as again:
        assert again.status_code == 304


def test_every_code_is_described_where_its_type_leads(client: FlaskClient) -> None:
    page = client.get("/docs/errors").text
    problem = client.get("/nowhere").get_json()
    assert f'id="{problem["type"].partition("#")[2]}"' in page
    assert 'id="things.odd"' in page
    assert "It is &lt;odd&gt;." in page
