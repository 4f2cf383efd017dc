"""Transactions refused, deadlocked and cut off in mid-COMMIT, under load (rows 12 and 13)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
from tests.faults.conftest import SteadyLoad
from tests.faults.load import picture
from tests.installation import Installation
from tests.processes import PATIENCE, until


@pytest.mark.nightly
def test_f12_transactions_that_cannot_be_put_in_order_are_tried_again(
    steady_load: SteadyLoad,
) -> None:
    """Transactions refuse one another wherever the order of their reads and writes would matter."""
    serializable = {"default_transaction_isolation": "serializable"}
    with (
        Installation(postgresql=serializable) as site,
        steady_load(site) as load,
        ThreadPoolExecutor(4) as pool,
    ):
        for phone in load.phones:  # what a person keeps is counted in one row
            pictures = [picture(10_000 + number) for number in range(8)]
            assert len(set(pool.map(phone.send_picture, pictures))) == len(pictures)
        assert "could not serialize access" in site.postgresql.log


@pytest.mark.nightly
def test_f12_deadlocks_are_tried_again(site: Installation, steady_load: SteadyLoad) -> None:
    with steady_load(site) as load, ThreadPoolExecutor() as pool:
        for number, phone in enumerate(load.phones):
            with other_way_round(site):
                sent = pool.submit(phone.send_picture, picture(20_000 + number))
                until(lambda: waiting_uploads(site), "an upload that waits", PATIENCE)
            sent.result(PATIENCE)
    assert "deadlock detected" in site.postgresql.log


@contextmanager
def other_way_round(site: Installation) -> Iterator[None]:
    """Take what an upload writes first after what it writes last, so that neither can go on.

    Who has waited for a second notices that and is given up: the upload, as we look so much later.
    """
    with psycopg.connect(site.postgresql.url("trellis")) as connection:
        connection.execute("SET deadlock_timeout = '30s'")
        connection.execute("LOCK TABLE core_outbox IN SHARE ROW EXCLUSIVE MODE")
        yield
        connection.execute("LOCK TABLE media_usage IN ACCESS EXCLUSIVE MODE")
        connection.rollback()


def waiting_uploads(site: Installation) -> bool:
    """Whether one has counted its bytes and cannot add its work."""
    return bool(
        site.rows(
            "SELECT 1 FROM pg_locks AS waiting JOIN pg_locks AS held USING (pid)"
            " WHERE NOT waiting.granted AND waiting.relation = 'core_outbox'::regclass"
            " AND held.granted AND held.relation = 'media_usage'::regclass"
        )
    )


def some_commits(share: float, seed: int) -> Callable[[bytes], bool]:
    """True of a share of the COMMITs that a program sends."""
    luck = random.Random(seed)
    return lambda data: b"COMMIT" in data and luck.random() < share


@pytest.mark.parametrize(
    ("rounds", "share"), [(2, 0.3), pytest.param(15, 0.2, marks=pytest.mark.nightly)]
)
@pytest.mark.parametrize(
    "before",
    [False, pytest.param(True, marks=pytest.mark.nightly)],
    ids=["committed", "not committed"],
)
def test_f13_replies_to_commits_are_cut(
    site: Installation, steady_load: SteadyLoad, rounds: int, share: float, before: bool
) -> None:
    proxies = (site.database_of_web, site.database_of_work)
    cuts = [proxy.cuts for proxy in proxies]
    with steady_load(site) as load:
        for seed, proxy in enumerate(proxies):
            proxy.cut(some_commits(share, seed), before=before)
        for _ in range(rounds):
            load.until_round()
        for proxy in proxies:
            proxy.restore()
    assert all(proxy.cuts > cut for proxy, cut in zip(proxies, cuts, strict=True))
