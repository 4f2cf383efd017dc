"""Load of webhooks: operators who look after endpoints and at what they were sent."""

from __future__ import annotations

from locust import between, task

from trellis_perf.user import OperatorUser

_NEW = {"url": "https://hooks.example.com/load", "events": ["media.*"], "enabled": False}


class WebhookKeeper(OperatorUser):
    """Looks through the endpoints and the newest deliveries, and sets one up now and then.

    To that nothing is sent: a load is no reason to call anybody.
    """

    weight = 1
    wait_time = between(0.5, 1.5)

    @task(2)
    def look_through_the_log(self) -> None:
        deliveries = self.call("webhooks_list_deliveries").json()["items"]
        if deliveries:
            self.call("webhooks_get_delivery", path={"delivery_id": deliveries[0]["id"]})

    @task
    def look_at_endpoints(self) -> None:
        endpoints = self.call("webhooks_list_endpoints").json()["items"]
        if endpoints:
            self.call("webhooks_get_endpoint", path={"endpoint_id": endpoints[0]["id"]})

    @task
    def set_one_up(self) -> None:
        endpoint = {"endpoint_id": self.call("webhooks_create_endpoint", json=_NEW).json()["id"]}
        self.call(
            "webhooks_update_endpoint",
            path=endpoint,
            json={"description": "Load"},
            headers={"Content-Type": "application/merge-patch+json"},
        )
        self.call("webhooks_rotate_secret", path=endpoint, json={"overlap_hours": 1})
        self.call("webhooks_delete_endpoint", path=endpoint)
