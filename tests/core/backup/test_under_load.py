"""Row 30 of the fault matrix: a set made under load, and everything that was promised about it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.core.backup.conftest import KEY
from tests.phones import Phones, refused, sign_in
from tests.processes import PATIENCE, Trellis, until

from trellis.testing.postgresql import PostgreSQL
from trellis_demo.phone import Phone

pytestmark = pytest.mark.nightly  # minutes

_PEOPLE = 3


@dataclass
class Life:
    """What one person was told: the times at which pictures were acknowledged, by id."""

    phone: Phone
    uploads: dict[str, tuple[datetime, bytes]] = field(default_factory=dict)
    fault: BaseException | None = None

    def live(self, enough: threading.Event) -> None:
        """Upload and refresh until it is enough; delete some of what was uploaded."""
        try:
            while not enough.is_set():
                content = picture(len(self.uploads))
                asset = self.phone.upload(content)
                self.uploads[asset["id"]] = (datetime.now(UTC), content)
                for _ in range(5):
                    self.phone.refresh()
                if len(self.uploads) % 3 == 0:
                    brief = self.phone.upload(content)["id"]
                    path = f"/v1/media/assets/{brief}"
                    headers = {**self.phone.headers, "Idempotency-Key": brief}
                    self.phone.http.delete(path, headers=headers).raise_for_status()
        except BaseException as fault:
            self.fault = fault
            raise


def picture(number: int) -> bytes:
    file = BytesIO()
    Image.new("RGB", (32, 24), (number % 256, number // 256, 99)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.nightly)],
)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Trellis]:
    """A running Trellis: with its embedded default, and with PostgreSQL and S3."""
    environ = {"TRELLIS_BACKUP_KEY": KEY}
    with ExitStack() as stack:
        if request.param == "postgresql":
            database = PostgreSQL()
            stack.callback(database.close)
            database.start()
            database.execute("CREATE DATABASE trellis")
            environ |= {
                "TRELLIS_DATABASE_URL": database.url("trellis"),
                "TRELLIS_STORAGE_URL": f"s3://objects/{tmp_path.name}",
            }
            for name, value in request.getfixturevalue("s3").items():
                plain = value if isinstance(value, str) else value.get_secret_value()
                environ[f"TRELLIS_{name.upper()}"] = plain
        trellis = Trellis(tmp_path, environ)
        stack.callback(trellis.clean_up)
        trellis.start()
        yield trellis


def done(server: Trellis, *arguments: str) -> str:
    ended = server.run("backup", *arguments)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_row_30_a_set_made_under_load_keeps_its_promises(server: Trellis) -> None:
    with Phones(server.url) as phones, ThreadPoolExecutor(_PEOPLE) as pool:
        people = [Life(phones.signed_in(f"phone {number}")) for number in range(_PEOPLE)]
        leaver, gone = phones.signed_in("leaver"), phones.signed_in("gone")
        before_the_point = leaver.headers
        gone.upload()
        gone.until_erased(gone.delete_account(), PATIENCE)
        enough = threading.Event()
        lives = [pool.submit(life.live, enough) for life in people]
        try:
            until(lambda: all(len(life.uploads) > 2 for life in people), "pictures before")
            told = done(server, "create", "backups")
            counts = [len(life.uploads) for life in people]
            grown = lambda: all(  # noqa: E731
                len(life.uploads) > count for life, count in zip(people, counts, strict=True)
            )
            until(grown, "pictures after")
            told_again = done(server, "create", "backups")
        finally:
            enough.set()
        for ended in lives:
            ended.result(PATIENCE)
        leaver.until_erased(leaver.delete_account(), PATIENCE)
        in_use = server.run("backup", "restore", "backups", "--replace")
        assert (in_use.returncode, "stop" in in_use.stderr) == (2, True), in_use.stderr
        server.interrupt()

        point = datetime.fromisoformat(time_in(told))
        assert point < datetime.fromisoformat(time_in(told_again))
        first = told.split()[0]
        report = done(server, "verify", "backups", first)
        assert "broken" not in report
        done(server, "restore", "backups", first, "--replace")
        server.start()

        for life in people:
            look_after(life, point)
        refused(leaver.http.get("/v1/auth/account", headers=before_the_point), 401, UNKNOWN)
        for person in (leaver, gone):
            refused(sign_in(person), 401, "auth.invalid_credentials")
    server.interrupt()


UNKNOWN = "core.unauthenticated"


def look_after(life: Life, point: datetime) -> None:
    """Nobody is signed in; whatever was acknowledged before the point is there with its bytes."""
    phone = life.phone
    refused(phone.http.get("/v1/auth/account", headers=phone.headers), 401, UNKNOWN)
    old = phone.http.post("/v1/auth/tokens", json={"refresh_token": phone.refresh_token})
    refused(old, 401, "auth.invalid_refresh_token")
    phone.sign_in()
    kept = [id_ for id_, (time, _) in life.uploads.items() if time < point]
    assert len(kept) > 2
    there = {asset["id"]: asset for asset in all_assets(phone)}
    assert set(kept) <= set(there)
    for id_, asset in there.items():
        answer = phone.http.get(asset["url"], headers=phone.headers)
        assert answer.status_code == 200, answer.text
        if id_ in life.uploads:
            assert answer.content == life.uploads[id_][1]
    phone.until_ready(kept[-1], PATIENCE)  # what was waiting or under way goes on


def all_assets(phone: Phone) -> Iterator[dict[str, Any]]:
    address: str | None = "/v1/media/assets"
    while address:
        answer = phone.http.get(address, headers=phone.headers)
        yield from answer.raise_for_status().json()["items"]
        address = answer.links.get("next", {}).get("url")


def time_in(told: str) -> str:
    found = re.search(r"^(\S+) \(the database's clock\)", told, re.MULTILINE)
    assert found, told
    return found[1]
