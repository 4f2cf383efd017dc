"""Seeding: people with a password that only the file knows, and with things of every plugin."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy.exc import IntegrityError

from trellis_perf.people import People
from trellis_perf.seed import seed_people

DEVICE = {"installation_id": "seeded", "name": "Load", "platform": "other"}


def sign_in(app: Flask, email: str, password: str) -> dict[str, str]:
    body = {"email": email, "password": password, "device": DEVICE}
    answer = app.test_client().post("/v1/auth/sessions", json=body)
    assert answer.status_code == 201, answer.text
    return {"Authorization": f"Bearer {answer.json['access_token']}"}  # type: ignore[index]


def test_people_have_pictures_messages_and_events(app: Flask) -> None:
    people = seed_people(app, 2, seed=3)
    client, ada = app.test_client(), sign_in(app, people.emails[0], people.password)
    for path in ("/v1/media/assets", "/v1/notifications/messages"):
        assert client.get(path, headers=ada).get_json()["items"], path
    operator = sign_in(app, people.operator, people.password)
    day = {"from": "2000-01-01", "to": "2000-01-02"}
    path = "/v1/analytics/reports/daily-active-users"
    assert client.get(path, query_string=day, headers=operator).status_code == 200
    assert client.get(path, query_string=day, headers=ada).status_code == 403


def test_one_seed_makes_people_once_and_another_seed_others(app: Flask) -> None:
    first = seed_people(app, 2, seed=0)
    with pytest.raises(IntegrityError):
        seed_people(app, 2, seed=0)
    second = seed_people(app, 2, seed=1)
    names = {first.operator, second.operator, *first.emails, *second.emails}
    assert len(names) == 6
    assert first.password != second.password


def test_the_file_of_people_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "people.json"
    people = People("secret", "op@example.com", ("a@example.com", "b@example.com"))
    people.write(path)
    assert People.read(path) == people
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
