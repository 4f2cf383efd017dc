"""The upkeep of answers that are stored, here and in front of us."""

from __future__ import annotations

from sqlalchemy import delete, select

from trellis.api.idempotency import KEEP_SECONDS
from trellis.api.models import StoredAnswer
from trellis.db.clock import database_now
from trellis.errors import RetryLater, Transient
from trellis.jobs import task
from trellis.settings import Settings
from trellis.unit_of_work import unit_of_work

_BATCH = 5_000

_CALL_SECONDS = 10.0
_BUSY = (429, 503)
_LONGEST_WAIT_SECONDS = 600


@task()
def purge_answers() -> None:
    """Forget answers that are older than a client may ask for again, a batch in each run."""
    old = (
        select(StoredAnswer.id)
        .where(StoredAnswer.created_at < database_now(-KEEP_SECONDS))
        .limit(_BATCH)
    )
    with unit_of_work() as uow:
        forgotten = uow.session.scalars(
            delete(StoredAnswer)
            .where(StoredAnswer.id.in_(old))
            .returning(StoredAnswer.id)
            .execution_options(synchronize_session=False)
        )
        if len(forgotten.all()) == _BATCH:
            uow.enqueue("core.purge_answers")


@task(time_limit=60.0, priority="high")
def purge_tags(tags: list[str]) -> None:
    """Have the CDN forget what carries one of these tags (digests).

    A POST to `cdn_purge_url` names them in JSON and in a header: both ways are in use.
    """
    import httpx2  # only where there is a CDN

    core = Settings.current()
    if core.cdn_purge_url is None:
        return  # meanwhile there is none
    headers = {"Surrogate-Key": " ".join(tags)}
    if core.cdn_purge_header is not None:
        name, _, value = core.cdn_purge_header.get_secret_value().partition(": ")
        headers[name] = value
    try:
        answer = httpx2.post(
            core.cdn_purge_url, json={"tags": tags}, headers=headers, timeout=_CALL_SECONDS
        )
    except httpx2.TransportError as error:
        raise Transient(f"the CDN did not answer ({type(error).__name__})") from None
    wait = answer.headers.get("Retry-After", "")
    if answer.status_code in _BUSY and wait.isdecimal():
        raise RetryLater(min(int(wait), _LONGEST_WAIT_SECONDS))
    if not answer.is_success:
        raise Transient(f"the CDN answered {answer.status_code}")
