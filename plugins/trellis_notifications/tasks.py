"""Entry points of the workers."""

from __future__ import annotations

from uuid import UUID

from trellis.jobs import task
from trellis_notifications import services


# Every failed attempt is at most ten minutes after the one before: enough of them for a mail to be
# tried until it is too old.
@task(time_limit=90, attempts=500)
def deliver_mail(mail_id: str) -> None:
    """Deliver one mail."""
    services.deliver_mail(UUID(mail_id))


@task()
def push(message_id: str, registration_id: str) -> None:
    """Push one message to one installation of the app."""
    services.push(UUID(message_id), UUID(registration_id))


@task()
def purge_mails() -> None:
    """Forget mails that nobody could deliver in time."""
    services.purge_mails()
