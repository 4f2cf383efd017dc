"""Entry points of the workers."""

from __future__ import annotations

from uuid import UUID

from trellis.jobs import task
from trellis_webhooks import services


@task()
def follow() -> None:
    """Make deliveries of what is new in the feed."""
    services.follow()


# Low: whoever waits for a receiver lets others go first.
@task(priority="low")
def attempt(endpoint_id: str, turn: int) -> None:
    """Take an endpoint's turn."""
    services.attempt(UUID(endpoint_id), turn)


@task()
def resume() -> None:
    """Take turns whose tasks were lost."""
    services.resume()


@task()
def forget_deliveries() -> None:
    """Forget deliveries past their time."""
    services.forget_deliveries()
