"""Where mail may go."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from trellis.settings import SettingsError, load_settings
from trellis_notifications.settings import NotificationsSettings

SECRET = "x" * 32


@pytest.mark.parametrize(
    "url",
    [
        "local:",
        "smtp://mail.example.com",
        "smtp://mail.example.com:2525/",
        "smtp://me:p%40ss@mail.example.com:587",
        "smtp://me:pass@mail.example.com?starttls=required",
        "smtp://127.0.0.1:25?starttls=off",
        "smtp://[::1]:25?starttls=off",
        "smtps://me:pass@mail.example.com:465",
    ],
)
def test_mail_url_is_taken(url: str) -> None:
    assert NotificationsSettings(mail_url=url).mail_url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "local",
        "local:box",
        "http://mail.example.com",
        "smtp://",
        "smtp:mail.example.com",
        "smtp://mail.example.com:port",
        "smtp://mail.example.com:99999",
        "smtp://mail.example.com/path",
        "smtp://mail.example.com#fragment",
        "smtp://mail.example.com?starttls=maybe",
        "smtp://mail.example.com?tls=1",
        "smtp://me:pass@mail.example.com?starttls=off",
        "smtps://mail.example.com?starttls=off",
    ],
)
def test_mail_url_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        NotificationsSettings(mail_url=url)


@pytest.mark.parametrize(
    "sender",
    ["", "us", "us@", "Us <us@example.com>", "us@example.com\r\nBcc: a@b.c", "ü@example.com"],
)
def test_mail_from_is_one_address(sender: str) -> None:
    with pytest.raises(ValidationError):
        NotificationsSettings(mail_from=sender)


def test_mail_from_name_is_one_line() -> None:
    with pytest.raises(ValidationError):
        NotificationsSettings(mail_from_name="Us\r\nBcc: eve@example.com")


def test_production_refuses_the_local_mailbox() -> None:
    models = {"notifications": NotificationsSettings}
    environ = {
        "TRELLIS_ENVIRONMENT": "production",
        "TRELLIS_SECRET_KEYS": f'["{SECRET}"]',
        "TRELLIS_PUBLIC_URL": "https://api.example.org",
        "TRELLIS_DATABASE_URL": "postgresql://db/trellis",
        "TRELLIS_REDIS_URL": "redis://cache",
        "TRELLIS_STORAGE_URL": "s3://files",
    }
    with pytest.raises(SettingsError, match=r"notifications\.mail_url"):
        load_settings(models, environ)
    environ["TRELLIS_NOTIFICATIONS__MAIL_URL"] = "smtp://me:pass@mail.example.com"
    assert "notifications" in load_settings(models, environ).plugins
