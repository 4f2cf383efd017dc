"""The core's `BlobStore`: objects in a local directory or in S3-compatible storage."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple
from urllib.parse import unquote, urlsplit

import obstore
import structlog
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, S3Store

from trellis.contracts import BlobStore, port
from trellis.errors import NotFound, ServiceUnavailable, StartError
from trellis.settings import Settings

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult
    from obstore.store import ClientConfig, ObjectStore, RetryConfig, S3Config

log = structlog.get_logger(__name__)

_S3_CODE = re.compile(r"<Code>(\w+)</Code>")
_CHUNK = 256 * 1024
# Together they bound how long a call holds a thread when the server is away or says nothing, to 13
# seconds. There is no such bound for all of a body, whose reader may be a slow phone.
_CLIENT: ClientConfig = {"connect_timeout": "2s", "read_timeout": "8s", "timeout": "1h"}
_RETRY: RetryConfig = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=5),
    "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=1)},
}


class Entry(NamedTuple):
    """An object as it stands in a listing; ``version`` is another one when it was replaced."""

    key: str
    size: int
    version: str


class ObjectStorage:
    """Implements `trellis.contracts.BlobStore` for the ``storage_…`` settings.

    Every method raises ServiceUnavailable when the storage is away or refuses us.
    """

    def __init__(self, core: Settings) -> None:
        self._root: Path | None = None
        if core.storage_url.startswith("file://"):
            self._root = Path(unquote(urlsplit(core.storage_url).path))
            try:
                self._root.mkdir(parents=True, exist_ok=True)
            except OSError as fault:
                raise StartError(
                    f"storage_url: the directory {self._root} cannot be used ({fault.strerror}); "
                    "make it yours, or choose another with TRELLIS_STORAGE_URL."
                ) from fault
            self._store: ObjectStore = LocalStore(self._root, automatic_cleanup=True)
        else:
            self._store = _s3(core)

    def put(self, key: str, data: bytes | BinaryIO | Iterator[bytes]) -> None:
        with _answering():
            obstore.put(self._store, key, data)
            self._make_durable(key)

    def put_new(self, key: str, data: bytes) -> bool:
        """Store an object unless there is one of that key; whether it was stored."""
        with _answering():
            try:
                obstore.put(self._store, key, data, mode="create")
            except AlreadyExistsError:
                return False
            self._make_durable(key)
            return True

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        if end is not None and end <= start:
            return iter(())
        wanted: GetOptions = {}
        # Of an object without bytes there is no range at all.
        if start or end is not None:
            wanted["range"] = {"offset": start} if end is None else (start, end)
        with _answering():
            try:
                result = obstore.get(self._store, key, options=wanted)
            except FileNotFoundError as error:
                if _lacks_bucket(error):
                    raise
                raise NotFound from None
        return _body(result)

    def delete(self, key: str) -> None:
        with _answering():
            try:
                obstore.delete(self._store, key)
            except FileNotFoundError as error:
                if _lacks_bucket(error):
                    raise

    def list(self, prefix: str) -> Iterator[str]:
        with _answering():
            for batch in obstore.list(self._store, prefix):
                yield from (entry["path"] for entry in batch)

    def entries(self, prefix: str | None = None) -> Iterator[Entry]:
        """The objects under a prefix that ends with ``/``, or all, each with its version."""
        with _answering():
            for batch in obstore.list(self._store, prefix):
                for entry in batch:
                    version = f"{entry['e_tag']} {entry['last_modified'].isoformat()}"
                    yield Entry(entry["path"], entry["size"], version)

    def _make_durable(self, key: str) -> None:
        """Sync the file and the directories that name it: obstore leaves both to the kernel."""
        if self._root is None:
            return
        path = self._root / key
        while True:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if path == self._root:
                return
            path = path.parent


def core_storage() -> ObjectStorage:
    """The storage of the running application."""
    store = port(BlobStore)
    assert isinstance(store, ObjectStorage)
    return store


def _s3(core: Settings) -> S3Store:
    """What a setting leaves out, the library takes from AWS_* variables or the machine's role."""
    bucket, _, prefix = core.storage_url.removeprefix("s3://").partition("/")
    config: S3Config = {}
    if core.storage_endpoint:
        config["endpoint"] = core.storage_endpoint
        config["virtual_hosted_style_request"] = False
    if core.storage_region:
        config["region"] = core.storage_region
    if core.storage_access_key and core.storage_secret_key:
        config["access_key_id"] = core.storage_access_key
        config["secret_access_key"] = core.storage_secret_key.get_secret_value()
    plain = (core.storage_endpoint or "").startswith("http://")
    return S3Store(
        bucket,
        prefix=prefix.strip("/") or None,
        config=config,
        client_options={**_CLIENT, **({"allow_http": True} if plain else {})},
        retry_config=_RETRY,
    )


def reason(error: BaseException) -> str:
    """What happened, and S3's code for it; what the library tells beyond its first line is long."""
    told = str(error)
    code = _S3_CODE.search(told)
    what = told.partition("\n")[0].partition(": <?xml")[0]
    return f"{what}: {code[1]}" if code else what


def _body(result: GetResult) -> Iterator[bytes]:
    with _answering():
        for chunk in result.stream(min_chunk_size=_CHUNK):
            yield bytes(chunk)


def _lacks_bucket(error: FileNotFoundError) -> bool:
    return "NoSuchBucket" in str(error)


@contextmanager
def _answering() -> Iterator[None]:
    """Turn what the storage says of itself, not of an object, into ServiceUnavailable."""
    try:
        yield
    except (BaseError, OSError) as error:
        log.warning("storage_away", error=reason(error))
        raise ServiceUnavailable("The object storage does not answer.") from error
