"""C-13 with processes that die: a webhook whose answer was lost comes again, under the same id."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from tests.phones import Phones
from tests.plugins.webhooks.receiver import Receiver
from tests.processes import PATIENCE, Trellis, until

YES = b"HTTP/1.1 204 Yes\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def api(trellis: Trellis) -> Iterator[httpx2.Client]:
    """The API of a started server, for its operator."""
    trellis.environ["TRELLIS_OUTGOING_ALLOW"] = "127.0.0.1"
    trellis.start()
    email, password = trellis.operator
    device = {"installation_id": "console", "name": "Console", "platform": "other"}
    with httpx2.Client(base_url=trellis.url, timeout=PATIENCE) as client:
        body = {"email": email, "password": password, "device": device}
        token = client.post("/v1/auth/sessions", json=body).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


def test_c13_killed_between_answer_and_commit_it_sends_again_under_the_same_id(
    trellis: Trellis, api: httpx2.Client, receiver: Receiver, phones: Phones
) -> None:
    def take_and_kill(stream: Any) -> None:
        first = len(receiver.calls) == 1
        worker = trellis.worker("light") if first else 0
        if first:
            os.kill(worker, signal.SIGSTOP)
        stream.write(YES)
        stream.flush()
        if first:
            os.kill(worker, signal.SIGKILL)

    receiver.default.speak = take_and_kill
    body = {"url": receiver.url(), "events": ["auth.*"]}
    secret = api.post("/v1/webhooks/endpoints", json=body).json()["secret"]
    phones.signed_in()  # which is told to the endpoint, through the feed

    def all_delivered() -> bool:
        items = api.get("/v1/webhooks/deliveries").json()["items"]
        return bool(items) and all(item["state"] == "delivered" for item in items)

    until(lambda: len(receiver.calls) > 1 and all_delivered(), "every webhook delivered")
    first, second = receiver.calls[:2]
    assert first.id == second.id
    assert first.body == second.body
    assert first.verified(secret) == second.verified(secret)
    logged = {item["event_id"]: item for item in api.get("/v1/webhooks/deliveries").json()["items"]}
    assert logged[first.id]["attempts"] == 1, "of the lost one nobody knows"
    assert len(receiver.calls) == len(logged) + 1
