"""A shared cache in front, as a CDN is one: nginx, with its own rules of what it may keep."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from tests.phones import Phones
from tests.processes import PATIENCE, Trellis, serving
from tests.production import nginx
from tests.production.nginx import Nginx

from trellis_demo.phone import Phone

pytestmark = nginx.needed


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trellis]:
    with serving(tmp_path_factory.mktemp("laptop")) as laptop:
        yield laptop


@pytest.fixture
def cache(laptop: Trellis, tmp_path: Path) -> Iterator[Nginx]:
    with Nginx(tmp_path / "nginx", [laptop.port], [laptop.port], keeps=True) as cache:
        yield cache


@pytest.fixture
def phones(laptop: Trellis) -> Iterator[Phones]:
    with Phones(laptop.url) as phones:
        yield phones


def ready(phone: Phone, visibility: str) -> list[str]:
    """The paths of a new picture of that phone's, once all are there."""
    asset_id = phone.upload()["id"]
    phone.http.patch(
        f"/v1/media/assets/{asset_id}",
        headers={**phone.headers, "Content-Type": "application/merge-patch+json"},
        json={"visibility": visibility},
    ).raise_for_status()
    asset = phone.until_ready(asset_id, PATIENCE)
    return [urlsplit(one["url"]).path for one in (asset, *asset["renditions"])]


def asked(cache: Nginx, path: str, phone: Phone | None) -> httpx2.Response:
    headers = phone.headers if phone is not None else {}
    return httpx2.get(cache.url + path, headers=headers, timeout=PATIENCE)


def test_b13_what_is_public_is_served_by_the_cache(cache: Nginx, phones: Phones) -> None:
    ada, eve = phones.signed_in(), phones.signed_in("Eve's phone")
    for path in ready(ada, "public"):
        first = asked(cache, path, ada)
        assert (first.status_code, first.headers["X-Cache"]) == (200, "MISS")
        for who in (eve, None):
            again = asked(cache, path, who)
            assert (again.status_code, again.headers["X-Cache"]) == (200, "HIT")
            assert again.content == first.content
            assert again.headers["ETag"] == first.headers["ETag"]


def test_b13_what_is_private_is_never_served_by_the_cache(cache: Nginx, phones: Phones) -> None:
    ada, eve = phones.signed_in(), phones.signed_in("Eve's phone")
    for path in [*ready(ada, "private"), "/v1/media/assets", "/v1/notifications/messages"]:
        for _ in range(2):
            answer = asked(cache, path, ada)
            assert (answer.status_code, answer.headers["X-Cache"]) == (200, "MISS"), path
        theirs, anonymous = asked(cache, path, eve), asked(cache, path, None)
        assert theirs.content != answer.content
        assert (anonymous.status_code, anonymous.headers["X-Cache"]) == (401, "MISS")
