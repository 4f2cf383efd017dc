"""What must hold after every fault: all that was acknowledged is there once, and nothing by halves.

`docs/operations/promises.md` numbers these invariants (i) to (vi).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.faults.deadlines import until_recovered
from tests.faults.load import Load
from tests.installation import Installation
from tests.patient import PatientPhone
from tests.supervision import Supervised

_MORE_HANDLES = 12
_MORE_BYTES = 64 * 1024 * 1024


def assert_kept(load: Load) -> None:
    """(i), (ii) and (v): nothing acknowledged is lost, doubled or halved; no answer was a fault."""
    installation = load.installation
    until_idle(installation)
    for phone in load.phones:
        _assert_pictures(installation, phone)
        _assert_events(installation, phone)
        _assert_inbox(installation, phone)
        phone.refresh()  # it is still signed in
        assert phone.sessions()
    assert load.journal.faults == []


def until_idle(installation: Installation) -> None:
    """Wait until no durable work is left, and see that none was given up."""
    try:
        until_recovered(lambda: not installation.undone(), "all work done")
    except AssertionError as error:
        error.add_note(f"undone: {installation.undone()}")
        raise


def _assert_pictures(installation: Installation, phone: PatientPhone) -> None:
    stored = installation.rows(
        f"SELECT id, sha256, state FROM media_asset WHERE owner_id = '{phone.user_id}'"
    )
    assert {str(id_): sha for id_, sha, _ in stored} == phone.uploads
    assert {state for *_, state in stored} == {"ready"}
    for asset_id, sha in phone.uploads.items():
        path = f"/v1/media/assets/{asset_id}/content"
        content = phone.http.get(path, headers=phone.headers).content
        assert hashlib.sha256(content).hexdigest() == sha
    once = dict.fromkeys(phone.uploads, 1)

    messages = installation.rows(
        "SELECT data ->> 'asset_id' FROM notifications_message"
        f" WHERE user_id = '{phone.user_id}' AND data ->> 'asset_id' IS NOT NULL"
    )
    assert Counter(asset_id for (asset_id,) in messages) == once

    until_recovered(lambda: len(phone.ready()) >= len(once), "all told by the stream")
    assert phone.ready() == once
    positions = [int(entry.id) for entry in phone.follower.seen()]
    assert positions == sorted(set(positions))


def _assert_events(installation: Installation, phone: PatientPhone) -> None:
    stored = installation.rows(
        f"SELECT id FROM analytics_event WHERE user_id = '{phone.user_id}'"
        " AND name IN ('app_opened', 'screen_seen', 'button_pressed')"
    )
    acknowledged = {id_ for batch in phone.batches for id_ in batch}
    assert {id_ for (id_,) in stored} == acknowledged


def _assert_inbox(installation: Installation, phone: PatientPhone) -> None:
    read = installation.rows(
        f"SELECT id FROM notifications_message WHERE user_id = '{phone.user_id}'"
        " AND read_at IS NOT NULL"
    )
    assert {str(id_) for (id_,) in read} == phone.read
    tokens = installation.rows(
        f"SELECT push_token FROM notifications_registration WHERE user_id = '{phone.user_id}'"
    )
    assert tokens == [(phone.push_token,)]


@dataclass(frozen=True)
class Footprint:
    """What each process holds: open handles, and bytes of memory."""

    held: dict[str, tuple[int, int]]

    @classmethod
    def of(cls, installation: Installation) -> Footprint:
        """As it is now."""
        return cls({process.name: _held(process) for process in installation.processes})

    def until_back(self, installation: Installation) -> None:
        """(vi): wait until no process holds much more than then."""

        def grown() -> dict[str, tuple[tuple[int, int], tuple[int, int]]]:
            now = Footprint.of(installation).held
            return {
                name: (before, now[name])
                for name, before in self.held.items()
                if now[name][0] > before[0] + _MORE_HANDLES
                or now[name][1] > before[1] + _MORE_BYTES
            }

        try:
            until_recovered(lambda: not grown(), "handles and memory as before")
        except AssertionError as error:
            error.add_note(f"(handles, bytes) before and now: {grown()}")
            raise


def _held(process: Supervised) -> tuple[int, int]:
    handles = memory = 0
    for pid in process.pids:
        try:
            handles += len(list(Path(f"/proc/{pid}/fd").iterdir()))
            resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:
            continue  # it has just ended
        memory += resident * 4096
    return handles, memory
