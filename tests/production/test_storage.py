"""The same promises of `BlobStore` on S3 as on a disk, and what a server that fails does."""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.production.s3 import PAGE, S3
from tests.proxy import Proxy

from trellis.errors import NotFound, ServiceUnavailable
from trellis.settings import SettingsError, load_settings
from trellis.storage import ObjectStorage

Open = Callable[..., ObjectStorage]


@pytest.fixture
def open_storage(tmp_path: Path) -> Open:
    """``open_storage(TRELLIS_STORAGE_URL=…)`` is the storage that these settings name."""

    def open_storage(**environ: str) -> ObjectStorage:
        return ObjectStorage(load_settings({}, environ, tmp_path).core)

    return open_storage


@pytest.fixture(params=["disk", "s3", "s3 with a prefix"])
def storage(request: pytest.FixtureRequest, open_storage: Open) -> ObjectStorage:
    if request.param == "disk":
        return open_storage()
    s3: S3 = request.getfixturevalue("s3")
    return open_storage(**s3.environ(prefix="some/where/" if "prefix" in request.param else ""))


def content(storage: ObjectStorage, key: str, *bounds: int) -> bytes:
    return b"".join(storage.read(key, *bounds))


def test_what_is_put_is_read_and_replaced_and_deleted(storage: ObjectStorage) -> None:
    storage.put("media/1/original", b"first")
    storage.put("media/1/original", io.BytesIO(b"second"))
    assert content(storage, "media/1/original") == b"second"
    storage.delete("media/1/original")
    storage.delete("media/1/original")
    with pytest.raises(NotFound):
        storage.read("media/1/original")


def test_a_large_object_comes_in_parts_and_is_read_by_ranges(storage: ObjectStorage) -> None:
    data = os.urandom(12 * 1024 * 1024 + 7)
    storage.put("media/large", io.BytesIO(data))
    assert content(storage, "media/large") == data
    assert content(storage, "media/large", 5_000_000, 6_000_000) == data[5_000_000:6_000_000]
    assert content(storage, "media/large", len(data) - 3) == data[-3:]
    assert content(storage, "media/large", 9, 9) == b""


def test_a_listing_has_every_key_of_its_prefix_and_no_other(storage: ObjectStorage) -> None:
    keys = {f"media/{number:04}" for number in range(3 * PAGE + 5)}
    for key in keys | {"mediation/1", "other/1"}:
        storage.put(key, b"")
    assert set(storage.list("media/")) == keys
    assert list(storage.list("nothing/")) == []


def test_only_the_first_puts_a_new_object(storage: ObjectStorage) -> None:
    assert storage.put_new("mark", b"one")
    assert not storage.put_new("mark", b"two")
    assert content(storage, "mark") == b"one"


def test_a_prefix_is_not_left(open_storage: Open, s3: S3) -> None:
    open_storage(**s3.environ(prefix="a")).put("x", b"1")
    assert list(open_storage(**s3.environ(prefix="b")).list("")) == []
    assert list(open_storage(**s3.environ()).list("")) == ["a/x"]


# --- credentials ----------------------------------------------------------------------------------


def test_the_usual_variables_serve_where_no_setting_is(
    open_storage: Open, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    credentials = ("TRELLIS_STORAGE_ACCESS_KEY", "TRELLIS_STORAGE_SECRET_KEY")
    storage = open_storage(
        **{name: value for name, value in s3.environ().items() if name not in credentials}
    )
    storage.put("x", b"1")
    assert content(storage, "x") == b"1"


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"URL": "s3://"}, "must be file:// and a directory, or s3:// and a bucket"),
        ({"URL": "gs://bucket"}, "must be file:// and a directory, or s3:// and a bucket"),
        ({"URL": "s3://a:b@bucket"}, "no credentials"),
        ({"URL": "s3://bucket?region=x"}, "takes no options"),
        ({"ENDPOINT": "minio:9000"}, "http"),
        ({"ACCESS_KEY": "key"}, "goes together with storage_access_key"),
        ({"SECRET_KEY": "hush"}, "goes together with storage_access_key"),
    ],
)
def test_settings_that_cannot_be(open_storage: Open, environ: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError) as fault:
        open_storage(**{f"TRELLIS_STORAGE_{name}": value for name, value in environ.items()})
    (sentence,) = fault.value.faults
    assert told in sentence
    assert "hush" not in sentence


# --- a server that fails --------------------------------------------------------------------------


def every_call(storage: ObjectStorage) -> Iterator[Callable[[], object]]:
    yield lambda: storage.put("x", b"1")
    yield lambda: storage.put("x", io.BytesIO(bytes(6_000_000)))
    yield lambda: storage.put_new("x", b"1")
    yield lambda: storage.read("x")
    yield lambda: storage.delete("x")
    yield lambda: list(storage.list("x/"))


def test_a_server_that_is_not_there(open_storage: Open, s3: S3) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for call in every_call(open_storage(**s3.environ(port=port))):
        with pytest.raises(ServiceUnavailable):
            call()


def test_a_bucket_that_is_not_there_is_no_missing_object(open_storage: Open, s3: S3) -> None:
    nowhere = s3.environ() | {"TRELLIS_STORAGE_URL": "s3://nowhere"}
    for call in every_call(open_storage(**nowhere)):
        with pytest.raises(ServiceUnavailable):
            call()


def test_a_server_that_says_nothing_holds_nobody_for_long(open_storage: Open, s3: S3) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        storage = open_storage(**s3.environ(port=silent.getsockname()[1]))
        with pytest.raises(ServiceUnavailable):
            storage.read("x")  # without a bound it would never end, and the test run with it


def test_a_server_that_goes_in_mid_upload_leaves_nothing_to_read(
    open_storage: Open, s3: S3, proxy: Proxy
) -> None:
    storage = open_storage(**s3.environ(port=proxy.port))

    class Cut(io.BytesIO):
        """Cuts the line once the first parts have gone."""

        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 6_000_000:
                proxy.refuse()
            return super().read(size)

    with pytest.raises(ServiceUnavailable):
        storage.put("media/large", Cut(os.urandom(30_000_000)))
    proxy.restore()
    with pytest.raises(NotFound):
        storage.read("media/large")
    storage.put("media/large", b"the client tried again")
    assert content(storage, "media/large") == b"the client tried again"


def test_a_body_that_breaks_midway_is_told_as_the_server_being_away(
    open_storage: Open, s3: S3, proxy: Proxy
) -> None:
    storage = open_storage(**s3.environ(port=proxy.port))
    storage.put("media/large", os.urandom(30_000_000))
    proxy.cut_after(1_000_000)
    body = storage.read("media/large")
    with pytest.raises(ServiceUnavailable):
        list(body)
