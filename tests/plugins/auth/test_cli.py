from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from tests.plugins.auth.conftest import DEVICE, Person

from trellis.db import fetch_one
from trellis_auth.cli import cli
from trellis_auth.models import User

ADDRESS = "root@example.com"


@pytest.fixture
def run(app: Flask) -> Callable[..., Result]:
    def invoke(*arguments: str, stdin: str = "") -> Result:
        return app.test_cli_runner().invoke(cli, arguments, input=stdin)

    return invoke


def test_an_operator_is_made_with_a_password_from_standard_input(
    run: Callable[..., Result], client: FlaskClient
) -> None:
    result = run("create-operator", ADDRESS, "--password-stdin", stdin="a good password\n")
    assert result.exit_code == 0, result.output
    assert "password" not in result.output
    body: dict[str, Any] = {"email": ADDRESS, "password": "a good password", "device": DEVICE}
    assert client.post("/v1/auth/sessions", json=body).status_code == 201


def test_or_with_one_that_is_asked_for_twice(run: Callable[..., Result], app: Flask) -> None:
    result = run("create-operator", ADDRESS, stdin="a good password\na good password\n")
    assert result.exit_code == 0, result.output
    assert "a good password" not in result.output
    with app.app_context():
        assert tuple(fetch_one(select(User.email, User.role)) or ()) == (ADDRESS, "operator")


@pytest.mark.parametrize(
    ("email", "password", "sentence"),
    [
        (ADDRESS, "short", "password: Shorter than 8 characters."),
        ("nobody", "a good password", "email: Not an e-mail address."),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(
    run: Callable[..., Result], email: str, password: str, sentence: str
) -> None:
    result = run("create-operator", email, "--password-stdin", stdin=f"{password}\n")
    assert (result.exit_code, result.output) == (1, f"Error: {sentence}\n")


def test_an_account_that_is_there_is_left_alone(
    run: Callable[..., Result], app: Flask, ada: Person
) -> None:
    result = run("create-operator", ada.email, "--password-stdin", stdin="a good password\n")
    assert (result.exit_code, result.output) == (
        1,
        "Error: that address has an account already\n",
    )
    with app.app_context():
        assert tuple(fetch_one(select(User.role)) or ()) == ("user",)
