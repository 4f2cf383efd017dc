"""Every process is replaced under load behind a real nginx, and no request fails."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

import httpx2
import pytest
from tests.installation import Installation
from tests.processes import until
from tests.production import nginx
from tests.production.nginx import BACK_SECONDS, Nginx
from tests.production.steady import Steady

from trellis_demo.operator import Operator

pytestmark = [nginx.needed, pytest.mark.xdist_group("rolling_restart")]


@pytest.fixture(scope="module")
def site() -> Iterator[Installation]:
    with Installation(environ={"TRELLIS_DRAIN_SECONDS": "2"}) as site:
        yield site


@pytest.fixture
def front(site: Installation, tmp_path: Path) -> Iterator[Nginx]:
    webs = [urlsplit(address).port or 0 for address in site.addresses.values()]
    with Nginx(tmp_path / "nginx", webs, [site.followers.port]) as front:
        yield front


@pytest.fixture
def headers(site: Installation) -> dict[str, str]:
    """Of somebody who is signed in."""
    email, password = f"ops-{secrets.token_hex(4)}@example.com", "a long enough password"
    made = site.run("auth", "create-operator", email, "--password-stdin", told=password)
    assert made.returncode == 0, made.stderr
    operator = Operator(site.url, email, password)
    operator.http.close()
    return {"Authorization": operator.http.headers["Authorization"]}


def ready(site: Installation, name: str) -> bool:
    return site.health(name)[0] == httpx2.codes.OK


def restart_webs(site: Installation) -> Iterator[None]:
    """One after the other, as the page on production tells; each when the caller asks for it."""
    for name, process in zip(site.addresses, site.webs, strict=True):
        site.supervisor.restart(process)
        until(partial(ready, site, name), f"{name} is ready again")
        Event().wait(BACK_SECONDS)
        yield


@pytest.fixture
def without_drain(site: Installation) -> Iterator[None]:
    """Web processes that close their listener as soon as they are told to stop."""
    with pytest.MonkeyPatch.context() as patch:
        for process in site.webs:
            patch.setitem(process.environ, "TRELLIS_DRAIN_SECONDS", "0")
        list(restart_webs(site))
        yield
    list(restart_webs(site))


def replace_each(site: Installation, load: Steady, rounds: int) -> None:
    for _ in range(rounds):
        for _ in restart_webs(site):
            load.until_more(20)
            assert load.failures == []
        for process in (site.stream, site.light, site.heavy, site.scheduler):
            site.supervisor.restart(process)
    ends = {process.name: process.exit_codes for process in site.processes}
    assert not any(map(any, ends.values())), ends


def test_a_rolling_restart_under_load_fails_no_request(
    site: Installation, front: Nginx, headers: dict[str, str]
) -> None:
    with Steady(front.url, headers) as load:
        replace_each(site, load, rounds=1)
        load.until_more()
    assert load.failures == [], front.errors[-2000:]
    assert load.answered["read"] > 50
    assert load.answered["write"] > 50


@pytest.mark.nightly
def test_ten_rolling_restarts_fail_no_request(
    site: Installation, front: Nginx, headers: dict[str, str]
) -> None:
    with Steady(front.url, headers, clients=8) as load:
        replace_each(site, load, rounds=10)
        load.until_more()
    assert load.failures == [], front.errors[-2000:]
    assert load.answered["read"] > 50
    assert load.answered["write"] > 50


@pytest.mark.nightly
def test_without_the_drain_requests_fail(
    site: Installation, without_drain: None, front: Nginx, headers: dict[str, str]
) -> None:
    """What the tests above look at is seen when it happens."""
    with Steady(front.url, headers, clients=8) as load:
        restarts = 0
        while not load.failures and restarts < 20:
            for _ in restart_webs(site):
                restarts += 1
                load.until_more(20)
    assert load.failures


def test_a_process_that_drains_serves_on_and_says_so(
    site: Installation, headers: dict[str, str]
) -> None:
    """Straight to the process: only a proxy that said so gets a 502 to send on."""
    (name, address), process = next(iter(site.addresses.items())), site.webs[0]
    process.ask_to_end()
    until(lambda: site.health(name)[0] == 503, "a readiness that says no")
    with httpx2.Client(base_url=address, headers=headers) as client:
        assert client.get("/v1/auth/sessions").status_code == 200
        assert (
            client.get("/v1/auth/sessions", headers={"X-Next-Upstream": "502"}).status_code == 502
        )
        assert client.get("/health/live").status_code == 200
    until(lambda: not process.running, "the end")
    site.supervisor.start(process)
    until(partial(ready, site, name), "ready again")
