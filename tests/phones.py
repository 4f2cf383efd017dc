"""People for the tests that run a server: `trellis_demo`'s phone, and what it does not ask."""

from __future__ import annotations

from contextlib import ExitStack
from io import BytesIO
from typing import Any

import httpx2
from PIL import Image
from tests.processes import PATIENCE

from trellis_demo.phone import Phone


class Phones(ExitStack):
    """Makes people whose connections are closed at the end of the block."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def new(self) -> Phone:
        """Somebody whom nobody knows yet."""
        phone = Phone(self._url)
        phone.http.timeout = PATIENCE
        self.callback(phone.http.close)
        return phone

    def signed_in(self, device_name: str = "Ada's phone") -> Phone:
        """Somebody new with a verified address, signed in from a device of that name."""
        phone = self.new()
        phone.verify(phone.sign_up())
        phone.sign_in(device_name)
        return phone


def refused(answer: httpx2.Response, status: int, code: str) -> None:
    """It is a problem document of that status and code (RFC 9457)."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert problem["title"]
    assert problem["request_id"] == answer.headers["X-Request-ID"]


def mails(phone: Phone) -> list[dict[str, Any]]:
    answer = phone.http.get(
        "/local/mailbox", params={"to": phone.email}, headers={"Accept": "application/json"}
    )
    return list(answer.json()["items"])


def verify(phone: Phone, code: str) -> httpx2.Response:
    body = {"email": phone.email, "code": code}
    return phone.http.post("/v1/auth/accounts/verify", json=body)


def sign_in(phone: Phone) -> httpx2.Response:
    device = {"installation_id": phone.installation_id, "name": "Phone", "platform": "android"}
    body = {"email": phone.email, "password": phone.password, "device": device}
    return phone.http.post("/v1/auth/sessions", json=body)


def user_id(phone: Phone) -> str:
    return str(phone.http.get("/v1/auth/account", headers=phone.headers).json()["id"])


def slow_picture() -> bytes:
    """One that takes a good part of a second to decode, in few bytes."""
    file = BytesIO()
    Image.linear_gradient("L").resize((6000, 4000)).save(file, "PNG")
    return file.getvalue()
