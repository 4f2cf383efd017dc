"""A start that cannot be says why in one sentence, with exit code 2, and leaves nothing running."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.phones import Phones
from tests.processes import Trellis, free_port, until

from trellis.local.supervisor import answers
from trellis_demo.operator import Operator

SECRET_KEY = "a-key-that-is-long-enough-for-production"
MAIL = "smtp://mail.example.com"


def sentences(trellis: Trellis, **environ: str) -> list[str]:
    """What a start that is refused says, a fault a line."""
    running = trellis.pids()
    ended = trellis.run("serve", **environ)
    assert ended.returncode == 2, ended
    assert ended.stdout == ""
    assert running or not trellis.pids()
    lines = ended.stderr.splitlines()
    assert all(line.startswith("trellis: ") for line in lines), ended.stderr
    return [line.removeprefix("trellis: ") for line in lines]


def test_a_taken_port(trellis: Trellis) -> None:
    with socket.create_server(("127.0.0.1", trellis.port)):
        (sentence,) = sentences(trellis)
    assert sentence == (
        f"Port {trellis.port} on 127.0.0.1 is taken by another program: "
        "stop that program, or choose another port with TRELLIS_PORT."
    )


@pytest.mark.parametrize("place", ["a file/var", "/proc/var"])
def test_a_data_directory_that_cannot_be_written(trellis: Trellis, place: str) -> None:
    (trellis.directory / "a file").touch()
    (sentence,) = sentences(trellis, TRELLIS_DATA_DIR=place)
    assert str(trellis.directory / place) in sentence
    assert "data_dir" in sentence or "TRELLIS_DATA_DIR" in sentence


def test_settings_that_cannot_be(trellis: Trellis) -> None:
    (trellis.directory / "trellis.toml").write_text(
        "log_lvel = 'info'\n[media]\nquota_bytes = -1\n[picnic]\nbasket = 1\n"
    )
    wrong = {"TRELLIS_PROT": "8080", "TRELLIS_MEDIA__QUOTA": "1", "TRELLIS_PORT": "eighty"}
    told = sentences(trellis, **wrong)
    assert len(told) == 6
    for name in (*wrong, "log_lvel", "media.quota_bytes", "picnic"):
        (sentence,) = [sentence for sentence in told if name in sentence.split(":")[0]]
        assert name.startswith("TRELLIS_") or "trellis.toml" in sentence


@pytest.mark.parametrize("content", [b"port = = 8080", b"\xff\xfe\x00"])
def test_a_file_of_settings_that_is_none(trellis: Trellis, content: bytes) -> None:
    (trellis.directory / "trellis.toml").write_bytes(content)
    (sentence,) = sentences(trellis)
    assert "trellis.toml" in sentence


def test_a_second_start_on_the_same_data_directory(trellis: Trellis, phones: Phones) -> None:
    trellis.start()
    (broker,) = trellis.sockets()
    # With a broker of its user's: our own broker would guard its files anyway.
    other = {"TRELLIS_PORT": str(free_port()), "TRELLIS_REDIS_URL": f"unix://{broker}"}
    (sentence,) = sentences(trellis, **other)
    assert sentence == (
        f"Another Trellis is running on the data directory {trellis.data}: "
        "stop it, or choose another directory with TRELLIS_DATA_DIR."
    )
    ada = phones.signed_in()  # the first one is none the worse
    ada.until_ready(ada.upload()["id"])


def test_ready_means_that_the_operator_can_sign_in(trellis: Trellis) -> None:
    trellis.start()
    trellis.interrupt()
    with closing(sqlite3.connect(trellis.data / "trellis.db")) as database:
        database.execute("DELETE FROM auth_user")  # as if the first start had been cut short
        database.commit()

    trellis.begin()
    (preparing,) = until(lambda: trellis.pids("trellis background"), "what prepares a start")
    os.kill(preparing, signal.SIGSTOP)
    until(answers(f"{trellis.url}/health/ready"), "the web process, which is not all")
    os.kill(preparing, signal.SIGCONT)
    trellis.until_ready()

    with closing(Operator(trellis.url, *trellis.operator).http):
        pass


def test_production_without_secrets_of_its_own(trellis: Trellis, tmp_path: Path) -> None:
    alone = sentences(trellis, TRELLIS_ENVIRONMENT="production")
    assert [sentence.partition(":")[0] for sentence in alone] == [
        *("secret_keys", "public_url", "database_url", "redis_url", "storage_url"),
        "notifications.mail_url",
    ]
    assert "local mailbox" in alone[-1]
    production = {
        "TRELLIS_ENVIRONMENT": "production",
        "TRELLIS_PUBLIC_URL": "https://api.example.org",
        "TRELLIS_DATABASE_URL": "postgresql://db.example.org/trellis",
        "TRELLIS_REDIS_URL": "redis://cache.example.org",
        "TRELLIS_STORAGE_URL": "s3://files",
    }

    # What a laptop has made for itself is no secret of production's.
    trellis.data.mkdir(exist_ok=True)
    (trellis.data / "secret_key").write_text(SECRET_KEY)
    (sentence,) = sentences(trellis, TRELLIS_NOTIFICATIONS__MAIL_URL=MAIL, **production)
    assert sentence.startswith("secret_keys: ")
    (sentence,) = sentences(trellis, TRELLIS_SECRET_KEYS=f'["{SECRET_KEY}"]', **production)
    assert sentence.startswith("notifications.mail_url: ")
    (sentence,) = sentences(
        trellis,
        TRELLIS_SECRET_KEYS='["too short"]',
        TRELLIS_NOTIFICATIONS__MAIL_URL=MAIL,
        **production,
    )
    assert sentence.startswith("secret_keys")
    assert "too short" not in sentence

    whole = trellis.run(
        "config",
        "show",
        TRELLIS_SECRET_KEYS=f'["{SECRET_KEY}"]',
        TRELLIS_NOTIFICATIONS__MAIL_URL=MAIL,
        **production,
    )
    assert whole.returncode == 0, whole.stderr
    assert SECRET_KEY not in whole.stdout
