"""What others were told of a person goes with the person."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import select
from tests.plugins.webhooks.receiver import Receiver

from trellis.db import fetch_value
from trellis.feed.sequencer import sequence
from trellis_webhooks import factories, services
from trellis_webhooks.models import Endpoint

Make = Callable[..., tuple[UUID, str]]
Rows = Callable[[], list[Any]]


def test_deliveries_of_a_person_are_given_out_and_erased(
    endpoint: Make, happen: Any, run_tasks: Any, deliveries: Rows, attempts: Rows, new_user_id: Any
) -> None:
    ada, bob = new_user_id(), new_user_id()
    endpoint()
    happen(2, ada)
    happen(1, bob)
    run_tasks()
    exported = services.export_user(ada)["deliveries"]
    assert {one["data"]["user_id"] for one in exported} == {str(ada)}
    # An address may hold the receiver's secrets: of it a person learns who was told.
    assert {one["receiver"] for one in exported} == {"127.0.0.1"}
    assert "/hook" not in str(exported)
    assert services.erase_user(ada) == {"deliveries": 2, "owned_endpoints": 0}
    assert services.erase_user(ada) == {"deliveries": 0, "owned_endpoints": 0}
    assert len(deliveries()) == len(attempts()) == 1
    assert str(ada) not in str(services.export_user(bob))


def test_an_endpoint_outlives_the_operator_who_made_it(
    app_context: None, new_user_id: Any, run_tasks: Any, receiver: Receiver, happen: Any
) -> None:
    operator = new_user_id()
    factories.endpoint(operator, url=receiver.url(), enabled=True)
    assert len(services.export_user(operator)["endpoints"]) == 1
    assert services.erase_user(operator)["owned_endpoints"] == 1
    assert fetch_value(select(Endpoint.owner_id)) is None
    receiver.default.status = 410
    happen()
    run_tasks()
    assert fetch_value(select(Endpoint.disabled_reason)) == "gone"


def test_an_erasure_during_an_attempt_leaves_nothing_behind(
    app: Any,
    endpoint: Make,
    happen: Any,
    run_tasks: Any,
    receiver: Receiver,
    deliveries: Rows,
    attempts: Rows,
    shown: Any,
    new_user_id: Any,
) -> None:
    ada = new_user_id()
    endpoint_id, _ = endpoint()

    def erase(stream: Any) -> None:
        with app.app_context():
            services.erase_user(ada)
        stream.write(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")

    receiver.default.speak = erase
    happen(1, ada)
    run_tasks()
    assert len(receiver.calls) == 1
    assert deliveries() == attempts() == []
    assert shown(endpoint_id).failures == 1
    assert run_tasks() == []


def test_a_delivery_that_waits_is_not_sent_after_the_erasure(
    endpoint: Make, happen: Any, run_tasks: Any, receiver: Receiver, new_user_id: Any
) -> None:
    ada = new_user_id()
    endpoint()
    happen(1, ada)
    sequence()
    services.follow()
    services.erase_user(ada)
    run_tasks()
    assert str(ada) not in "".join(call.body.decode() for call in receiver.calls)
