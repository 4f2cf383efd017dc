from __future__ import annotations

import re
from email.message import EmailMessage
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from trellis.local.mailbox import Mailbox
from trellis.local.pages import local_pages
from trellis.local.push_sink import PushSink

JSON = {"Accept": "application/json"}


@pytest.fixture
def client(tmp_path: Path) -> FlaskClient:
    mailbox = Mailbox(tmp_path / "mailbox")
    pushes = PushSink(tmp_path / "push")
    for to, subject in (
        ("ann@example.com", "Your code"),
        ("bob@example.com", "<script>x()</script>"),
    ):
        message = EmailMessage()
        message["To"] = to
        message["Subject"] = subject
        message.set_content("The code is 123456, see https://localhost/verify <b>now</b>\n")
        mailbox.put(message)
    for user in ("ann", "bob"):
        pushes.put({"user_id": user, "title": f"For {user}", "body": "<i>ready</i>"})
    app = Flask("test")
    app.register_blueprint(local_pages(mailbox, pushes))
    return app.test_client()


def test_programs_read_mails_as_json(client: FlaskClient) -> None:
    answer = client.get("/local/mailbox?to=ann@example.com", headers=JSON)

    assert answer.json is not None
    [item] = answer.json["items"]
    assert set(item) == {"id", "to", "subject", "text", "created_at"}
    assert item["to"] == "ann@example.com"
    assert re.search(r"\d{6}", item["text"])
    assert client.get(f"/local/mailbox/{item['id']}", headers=JSON).json == item


def test_programs_read_pushes_as_json(client: FlaskClient) -> None:
    answer = client.get("/local/push?to=bob", headers=JSON)

    assert answer.json is not None
    [item] = answer.json["items"]
    assert set(item) == {"id", "push", "created_at"}
    assert item["push"] == {"user_id": "bob", "title": "For bob", "body": "<i>ready</i>"}


def test_people_read_pages_in_which_nothing_of_a_mail_is_markup(client: FlaskClient) -> None:
    listing = client.get("/local/mailbox")
    link = re.search(r'href="(/local/mailbox/[^"]+)"', listing.text)
    assert link is not None
    mail = client.get(link[1])
    pushes = client.get("/local/push")

    assert listing.text.index("&lt;script&gt;") < listing.text.index("Your code")
    assert "<script" not in listing.text + mail.text
    assert "&lt;b&gt;now&lt;/b&gt;" in mail.text
    assert '<a href="https://localhost/verify" rel="noopener">' in mail.text
    assert "&lt;i&gt;ready&lt;/i&gt;" in pushes.text
    for page in (listing, mail, pushes):
        assert page.mimetype == "text/html"
        assert "style=" not in page.text
        assert not re.search(r'(?:src|<link[^>]*href)="(?!/local/static/)', page.text)


def test_a_filter_is_kept_and_says_when_nothing_matches(client: FlaskClient) -> None:
    page = client.get("/local/mailbox?to=%22%3Enobody").text

    assert "No mail for &#34;&gt;nobody." in page
    assert 'value="&#34;&gt;nobody"' in page


@pytest.mark.parametrize("path", ["mailbox", "push", "mailbox/nothing", "static/local.css"])
def test_every_answer_forbids_scripts_other_hosts_and_storing(
    client: FlaskClient, path: str
) -> None:
    answer = client.get(f"/local/{path}")

    assert answer.headers["Content-Security-Policy"].startswith(
        "default-src 'none'; style-src 'self'"
    )
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.status_code == (404 if path == "mailbox/nothing" else 200)
    answer.close()
