"""`trellis openapi check`: each rule of the house finds what breaks it, and says where."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from flask import Flask
from tests.core.openapi.documents import GONE, changed

from trellis.api.requests import EXTENSION
from trellis_openapi.rules import broken_rules, faults

SIGN_IN = "/paths/~1v1~1auth~1sessions/post"
ASSETS = "/paths/~1v1~1media~1assets/get"
ASSET = "/paths/~1v1~1media~1assets~1{asset_id}/get"
PROBLEMS = f"{SIGN_IN}/responses/429/content/application~1problem+json/examples"

OTHER_PROBLEM = {"type": "/", "title": "", "status": 429, "code": "auth.x", "request_id": None}


@pytest.fixture
def installed(app: Flask) -> dict[str, Any]:
    document: dict[str, Any] = app.extensions[EXTENSION].document()
    return document


def test_what_is_installed_has_no_fault(installed: dict[str, Any]) -> None:
    assert faults(installed) == []


FAULTS: dict[str, tuple[str, Any, str]] = {
    "no id": (f"{SIGN_IN}/operationId", GONE, "(None): has no operationId"),
    "no summary": (f"{SIGN_IN}/summary", GONE, "has no summary"),
    "no description": (f"{SIGN_IN}/description", "", "has no description"),
    "no tag": (f"{SIGN_IN}/tags", [], "has no tags"),
    "unknown tag": (f"{SIGN_IN}/tags", ["lamps"], "has the unknown tag lamps"),
    "no access": (f"{SIGN_IN}/security", GONE, "does not say who may call it"),
    "no 401": (f"{ASSETS}/responses/401", GONE, "does not say that it may answer 401"),
    "no key": (f"{SIGN_IN}/parameters", [], "takes no Idempotency-Key"),
    "no body limit": (
        f"{SIGN_IN}/requestBody/x-max-bytes",
        GONE,
        "does not say how large its body may be",
    ),
    "no page limit": (
        f"{ASSETS}/parameters/1/schema/maximum",
        GONE,
        "does not say how long a page may be",
    ),
    "no default": (f"{SIGN_IN}/responses/default", GONE, "has no default answer"),
    "nameless errors": (PROBLEMS, {}, "does not name the errors of 429"),
    "another error": (
        f"{PROBLEMS}/auth.full",
        {"value": OTHER_PROBLEM},
        "shows another error than auth.full for 429",
    ),
    "no example": (
        f"{ASSET}/responses/200/content/application~1json/example",
        GONE,
        "has no example",
    ),
    "a misfit": (
        f"{ASSET}/responses/200/content/application~1json/example/width",
        "wide",
        "'wide' is not of type 'integer'",
    ),
    "a format": (
        f"{ASSET}/responses/200/content/application~1json/example/id",
        "x",
        "'x' is not a 'uuid'",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_and_named(installed: dict[str, Any], name: str) -> None:
    pointer, value, told = FAULTS[name]
    [fault] = broken_rules(changed(installed, pointer, value))
    assert told in fault
    assert fault.startswith("/paths/~1v1~1")


def test_what_is_no_openapi_is_found_first(installed: dict[str, Any]) -> None:
    document = deepcopy(installed)
    document["paths"]["/v1/media/assets"]["get"]["operationId"] = "auth_sign_in"
    document["components"]["schemas"]["AuthSignIn"]["type"] = "thing"
    del document["info"]["title"], document["paths"]["/v1/media/assets/{asset_id}"]["parameters"]
    found = "\n".join(faults(document))
    for told in ("auth_sign_in", "'thing' is not", "'title' is a required", "'asset_id'"):
        assert told in found
    assert "has no" not in found, "our own rules"
