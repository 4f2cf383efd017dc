"""Endpoints through the API: who may, what is refused and what is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text

from trellis.db import fetch_all
from trellis.observe.audit import AuditEntry
from trellis.testing import Scenario
from trellis_webhooks import factories, services
from trellis_webhooks.models import Endpoint, PreviousSecret
from trellis_webhooks.settings import WebhooksSettings

Make = Callable[..., tuple[UUID, str]]

ENDPOINTS = "/v1/webhooks/endpoints"
NEW = {"url": "https://hooks.example.com/in", "events": ["media.*"]}
NOBODY = "00000000-0000-7000-8000-000000000000"
SHOWN = frozenset(
    {
        "id",
        "url",
        "description",
        "events",
        "unmatched",
        "enabled",
        "disabled_reason",
        "failing_since",
        "signing_secrets",
        "previous_until",
        "created_at",
    }
)


def patching(who: dict[str, str]) -> dict[str, str]:
    return {**who, "Content-Type": "application/merge-patch+json"}


def test_an_endpoint_is_made_seen_changed_and_removed(check: Any, as_operator: Any) -> None:
    who = as_operator("webhooks.manage")
    made = check(
        Scenario(
            "POST",
            ENDPOINTS,
            201,
            who,
            json=NEW,
            has={**NEW, "description": "", "enabled": True, "disabled_reason": None},
            keys=SHOWN | {"secret"},
        )
    ).get_json()
    assert made["secret"].startswith("whsec_")
    one = f"{ENDPOINTS}/{made['id']}"
    secret = made.pop("secret")
    check(Scenario("GET", one, 200, who, has=made, keys=SHOWN, lacks=(secret, secret[6:])))
    check(Scenario("GET", ENDPOINTS, 200, who, has={"items": [made]}, lacks=(secret[6:],)))
    changes = {"events": ["*"], "description": "Warehouse", "enabled": False}
    expected = {**made, **changes, "disabled_reason": "operator"}
    check(Scenario("PATCH", one, 200, patching(who), json=changes, has=expected))
    check(Scenario("PATCH", one, 200, patching(who), json={}, has=expected))
    check(
        Scenario(
            "PATCH", one, 200, patching(who), json={"enabled": True}, has={"disabled_reason": None}
        )
    )
    check(Scenario("DELETE", one, 204, who))
    for method in ("GET", "DELETE"):
        check(Scenario(method, one, 404, who, code="core.not_found"))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", ENDPOINTS),
        ("GET", ENDPOINTS),
        ("GET", f"{ENDPOINTS}/{NOBODY}"),
        ("PATCH", f"{ENDPOINTS}/{NOBODY}"),
        ("DELETE", f"{ENDPOINTS}/{NOBODY}"),
        ("POST", f"{ENDPOINTS}/{NOBODY}/rotate"),
        ("POST", f"{ENDPOINTS}/{NOBODY}/test"),
        ("GET", "/v1/webhooks/deliveries"),
        ("GET", f"/v1/webhooks/deliveries/{NOBODY}"),
        ("POST", f"/v1/webhooks/deliveries/{NOBODY}/redeliver"),
    ],
)
def test_only_who_may_manage_webhooks_gets_anywhere(
    check: Any, as_user: Any, as_operator: Any, method: str, path: str
) -> None:
    check(Scenario(method, path, 401))
    for who in (as_user(), as_operator("analytics.read")):
        check(Scenario(method, path, 403, who, code="core.forbidden"))
    if NOBODY in path:
        body: Any = {} if method in ("PATCH", "POST") else None
        who = as_operator("webhooks.manage")
        check(Scenario(method, path, 404, patching(who) if method == "PATCH" else who, json=body))


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/in",
        "https://user:password@hooks.example.com/",
        "https://hooks.example.com/#x",
        "https://hooks.example.com:25/",
        "https://0x7f.1/",
        "https://2130706433/",
        "https://127.1/",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://[::1",
        "https://h\u00f6st.example.com/",
        "https://hooks.example.com/" + "a" * 2000,
        "",
        7,
        None,
    ],
)
def test_c12_an_address_that_is_refused_names_the_field(
    check: Any, as_operator: Any, runtime: Any, monkeypatch: pytest.MonkeyPatch, url: Any
) -> None:
    monkeypatch.setitem(runtime.settings.core.__dict__, "outgoing_allow", [])
    who = as_operator("webhooks.manage")
    answer = check(
        Scenario("POST", ENDPOINTS, 422, who, json={**NEW, "url": url}, code="core.invalid_input")
    )
    assert [error["pointer"] for error in answer.get_json()["errors"]] == ["/url"]


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]", "[64:ff9b::a00:1]"],
)
def test_b18_a_private_address_is_refused_at_once(
    check: Any, as_operator: Any, runtime: Any, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setitem(runtime.settings.core.__dict__, "outgoing_allow", [])
    body = {**NEW, "url": f"https://{address}/in"}
    who = as_operator("webhooks.manage")
    check(Scenario("POST", ENDPOINTS, 422, who, json=body, code="core.invalid_input"))
    made = check(Scenario("POST", ENDPOINTS, 201, who, json=NEW)).get_json()
    check(
        Scenario(
            "PATCH", f"{ENDPOINTS}/{made['id']}", 422, patching(who), json={"url": body["url"]}
        )
    )


@pytest.mark.parametrize(
    "events",
    [
        [],
        ["media"],
        ["*.*"],
        ["media.**"],
        ["media.asset_ready/"],
        ["media.asset_ready/0"],
        ["Media.asset"],
        ["media.*\n"],
        ["a" * 200 + ".x"],
        ["*"] * 51,
        "media.*",
        [None],
        [["*"]],
    ],
)
def test_patterns_that_are_none_are_refused(check: Any, as_operator: Any, events: Any) -> None:
    who = as_operator("webhooks.manage")
    check(Scenario("POST", ENDPOINTS, 422, who, json={**NEW, "events": events}))


def test_patterns_that_mean_nothing_now_are_told(check: Any, as_operator: Any) -> None:
    """They are taken: a plugin that comes later may publish such events."""
    who = as_operator("webhooks.manage")
    nothing = ["nope.*", "nope.x", "media.asset_readier", "media.asset_ready/9"]
    events = ["*", "media.*", "media.asset_ready", "media.asset_ready/1", *nothing]
    told = {"events": events, "unmatched": nothing}
    new = {**NEW, "events": events}
    made = check(Scenario("POST", ENDPOINTS, 201, who, json=new, has=told)).get_json()
    one = f"{ENDPOINTS}/{made['id']}"
    check(Scenario("GET", one, 200, who, has=told))
    check(Scenario("PATCH", one, 200, patching(who), json={"events": ["*"]}, has={"unmatched": []}))


def test_there_are_only_so_many(
    check: Any, as_operator: Any, runtime: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(runtime.settings.plugins, "webhooks", WebhooksSettings(max_endpoints=1))
    who = as_operator("webhooks.manage")
    check(Scenario("POST", ENDPOINTS, 201, who, json=NEW))
    check(Scenario("POST", ENDPOINTS, 409, who, json=NEW, code="webhooks.too_many_endpoints"))


def test_a_secret_never_lies_in_clear_and_what_is_done_is_recorded(app_context: None) -> None:
    endpoint_id, secret = factories.endpoint()
    new = services.rotate_secret(endpoint_id, 24)
    stored = [
        *fetch_all(select(text("secret")).select_from(Endpoint.__table__)),
        *fetch_all(select(text("secret")).select_from(PreviousSecret.__table__)),
    ]
    assert len(stored) == 2
    for told in (secret, new):
        assert told not in str(stored)
        assert told[6:20] not in str(stored)
    actions = [row.action for row in fetch_all(select(AuditEntry.action).order_by(AuditEntry.id))]
    assert actions == ["webhooks.endpoint_created", "webhooks.secret_rotated"]
    services.update_endpoint(endpoint_id, {"description": "x"})
    services.delete_endpoint(endpoint_id)
    details = fetch_all(select(AuditEntry.action, AuditEntry.details).order_by(AuditEntry.id))
    assert details[2].details == {"endpoint_id": str(endpoint_id), "changed": ["description"]}
    assert details[3].action == "webhooks.endpoint_deleted"
