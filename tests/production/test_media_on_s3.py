"""A photo's whole way with S3 in place of the disk, also while S3 is away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.phones import Phones, refused
from tests.processes import PATIENCE, Trellis, serving, until
from tests.production.s3 import S3
from tests.proxy import Proxy

from trellis.settings import load_settings
from trellis.storage import ObjectStorage
from trellis_demo.phone import PHOTO, Phone


@pytest.fixture
def laptop(s3: S3, proxy: Proxy, tmp_path: Path) -> Iterator[Trellis]:
    with serving(tmp_path, s3.environ(prefix="app", port=proxy.port)) as laptop:
        yield laptop


@pytest.fixture
def bucket(s3: S3, tmp_path: Path) -> ObjectStorage:
    """What lies there, past the proxy."""
    return ObjectStorage(load_settings({}, s3.environ(prefix="app"), tmp_path).core)


def upload(phone: Phone) -> httpx2.Response:
    files = {"file": ("photo.jpg", PHOTO.read_bytes(), "image/jpeg")}
    return phone.http.post("/v1/media/assets", files=files, headers=phone.headers)


def test_a_photo_is_stored_shown_and_erased(
    laptop: Trellis, bucket: ObjectStorage, proxy: Proxy
) -> None:
    with Phones(laptop.url) as phones:
        ada = phones.signed_in()
        asset = ada.until_ready(ada.upload()["id"], PATIENCE)
        keys = {key.rpartition("/")[2] for key in bucket.list(f"media/{asset['id']}/")}
        assert "original" in keys
        assert len(keys) > 1
        assert not (laptop.data / "objects").exists()

        content = f"/v1/media/assets/{asset['id']}/content"
        whole = ada.http.get(content, headers=ada.headers)
        assert whole.status_code == 200
        part = ada.http.get(content, headers={**ada.headers, "Range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, whole.content[10:20])

        # The storage goes away in the middle of everything.
        proxy.refuse()
        answer = upload(ada)
        refused(answer, 503, "core.service_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        refused(ada.http.get(content, headers=ada.headers), 503, "core.service_unavailable")
        until(lambda: health(laptop) == (200, "failed"), "health that tells of it")
        assert len(ada.http.get("/v1/media/assets", headers=ada.headers).json()["items"]) == 1

        proxy.restore()
        again = ada.until_ready(upload(ada).json()["id"], PATIENCE)
        assert set(bucket.list("media/")) >= set(bucket.list(f"media/{again['id']}/"))
        ada.until_erased(ada.delete_account(), PATIENCE)
        assert list(bucket.list("media/")) == []
        until(lambda: health(laptop) == (200, "ok"), "health that tells that it is back")


def health(laptop: Trellis) -> tuple[int, str]:
    """The status, and what is said of the storage."""
    answer = httpx2.get(f"{laptop.url}/health/ready", timeout=PATIENCE)
    return answer.status_code, answer.json()["checks"]["storage"]
