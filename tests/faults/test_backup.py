"""A backup that is made under load, and what is there when it is restored elsewhere (row 30)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest
from tests.faults.conftest import SteadyLoad
from tests.faults.invariants import until_idle
from tests.installation import Installation
from tests.journal import Journal
from tests.patient import PatientPhone
from tests.production.s3 import BUCKET, S3


@dataclass(frozen=True)
class Acknowledged:
    """What a phone was told before a moment, and how it signs in."""

    email: str
    password: str
    refresh_token: str
    uploads: dict[str, str]
    events: set[str]
    read: set[str]

    @classmethod
    def to(cls, phone: PatientPhone) -> Self:
        events = {id_ for batch in list(phone.batches) for id_ in batch}
        return cls(
            *(phone.email, phone.password, phone.refresh_token),
            *(dict(phone.uploads), events, set(phone.read)),
        )


@pytest.mark.nightly
def test_f30_a_backup_made_under_load_is_restored_elsewhere(
    site: Installation, steady_load: SteadyLoad, tmp_path: Path
) -> None:
    _back_up_and_restore(site, steady_load, str(tmp_path / "backups"), {})


@pytest.mark.nightly
def test_f30_objects_and_backups_in_s3(steady_load: SteadyLoad) -> None:
    with S3() as s3:
        s3.empty()
        here, elsewhere = s3.environ(prefix="here"), s3.environ(prefix="elsewhere")
        with Installation(environ=here) as site:
            _back_up_and_restore(site, steady_load, f"s3://{BUCKET}/backups", elsewhere)
            assert not (site.directory / "objects").exists()


def _back_up_and_restore(
    site: Installation, steady_load: SteadyLoad, target: str, elsewhere: dict[str, str]
) -> None:
    with steady_load(site) as load:
        gone = PatientPhone(site, load.journal, "gone")
        gone.join()
        revoked = gone.refresh_token
        gone.http.delete("/v1/auth/sessions/current", headers=gone.headers).raise_for_status()
        gone.leave()
        load.until_round()
        before = [Acknowledged.to(phone) for phone in load.phones]
        made = site.run("backup", "create", target)
        assert made.returncode == 0, made.stderr
        load.until_round()
    verified = site.run("backup", "verify", target)
    assert verified.returncode == 0, verified.stdout + verified.stderr

    with Installation(environ=elsewhere, prepare=("backup", "restore", target)) as other:
        until_idle(other)
        tokens = [revoked, *(one.refresh_token for one in before)]
        stranger = PatientPhone(other, Journal(), "stranger")
        for token in tokens:
            refused = stranger.http.post("/v1/auth/tokens", json={"refresh_token": token})
            assert refused.status_code == 401, refused.text
        stranger.leave()
        for one in before:
            _assert_there(other, one)
        with steady_load(other):
            pass


def _assert_there(other: Installation, one: Acknowledged) -> None:
    phone = PatientPhone(other, Journal(), "restored")
    phone.email, phone.password = one.email, one.password
    phone.sign_in()
    user_id = phone.http.get("/v1/auth/account", headers=phone.headers).json()["id"]
    for asset_id, sha in one.uploads.items():
        assert phone.asset(asset_id)["state"] == "ready"
        path = f"/v1/media/assets/{asset_id}/content"
        content = phone.http.get(path, headers=phone.headers).content
        assert hashlib.sha256(content).hexdigest() == sha
    events = other.rows(f"SELECT id FROM analytics_event WHERE user_id = '{user_id}'")
    assert {id_ for (id_,) in events} >= one.events
    read = other.rows(
        f"SELECT id FROM notifications_message WHERE user_id = '{user_id}' AND read_at IS NOT NULL"
    )
    assert {str(id_) for (id_,) in read} >= one.read
    phone.leave()
