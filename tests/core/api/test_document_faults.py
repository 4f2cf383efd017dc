"""Names of schemas do not depend on the load order; what is wrong with routes is gathered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from marshmallow import fields
from tests.core.api.things import Broken, routes

from trellis.api import Blueprint, Schema
from trellis.errors import DomainError


class SameCode(DomainError):
    code = "things.broken"


def schema_of(module: str, name: str = "AssetSchema") -> type[Schema]:
    return type(name, (Schema,), {"__module__": module, "id": fields.Integer()})


def showing(plugin: str, *schemas: type[Schema]) -> Blueprint:
    blueprint = Blueprint(plugin, __name__)
    for number, schema in enumerate(schemas):

        def view() -> Any:
            """Show."""

        view.__name__ = f"show{number}"
        shown = blueprint.response(200, schema)(view)
        blueprint.route(f"/{number}")(blueprint.access(public="a test")(shown))
    return blueprint


def test_schema_names_carry_the_plugin_in_any_order(make_app: Callable[..., Flask]) -> None:
    media, things = schema_of("trellis_media.schemas"), schema_of("trellis_x_y.schemas.deep")
    core, prefixed = schema_of("trellis.stream"), schema_of("trellis_media.s", "MediaFileSchema")
    blueprints = [showing("media", media, core, prefixed), showing("xy", things)]
    for order in (blueprints, blueprints[::-1]):
        document = make_app(*order).test_client().get("/v1/openapi.json").get_json()
        names = set(document["components"]["schemas"])
        assert {"MediaAsset", "XYAsset", "CoreAsset", "MediaFile"} <= names
        path = document["paths"]["/v1/xy/0"]["get"]["responses"]["200"]
        ref = path["content"]["application/json"]["schema"]["$ref"]
        assert ref == "#/components/schemas/XYAsset"


def undocumented() -> Blueprint:
    blueprint = showing("media")

    @blueprint.get("/bare")
    @blueprint.response(200)
    def bare() -> None:
        pass

    return blueprint


def twice_the_same_function() -> Blueprint:
    blueprint = showing("media", schema_of("trellis_media.schemas"))
    more = showing("media", schema_of("trellis_media.schemas", "OtherSchema"))
    blueprint.add_url_rule("/more", "more", _view_of(more))
    return blueprint


def _view_of(blueprint: Blueprint) -> Any:
    return next(iter(blueprint._docs.values()))["get"]["view"]


def two_bodies() -> Blueprint:
    blueprint = Blueprint("media", __name__)

    @blueprint.post("/x")
    @blueprint.arguments(schema_of("trellis_media.schemas"))
    @blueprint.arguments(schema_of("trellis_media.schemas", "FormSchema"), location="form")
    def upload(*bodies: Any) -> None:
        """Upload."""

    return blueprint


def same_code() -> Blueprint:
    blueprint = Blueprint("media", __name__)

    @blueprint.get("/x")
    @blueprint.errors(Broken, SameCode)
    def show() -> None:
        """Show."""

    return blueprint


@pytest.mark.parametrize(
    ("blueprint", "cause"),
    [
        (undocumented, "operation media_bare has no docstring"),
        (twice_the_same_function, "two operations are called media_show0"),
        (two_bodies, "operation media_upload reads the body twice"),
        (same_code, "two errors have the code things.broken"),
        (
            lambda: showing(
                "media", schema_of("trellis_media.schemas"), schema_of("trellis_media.more")
            ),
            "two schemas are called MediaAsset",
        ),
    ],
)
def test_faults_are_gathered_with_their_plugin(
    make_app: Callable[..., Flask], blueprint: Callable[[], Blueprint], cause: str
) -> None:
    faults: list[Any] = []
    make_app(routes(), blueprint(), faults=faults)
    assert ("media", cause) in {(fault.plugin, fault.cause) for fault in faults}
    assert {fault.plugin for fault in faults} == {"media"}


def test_whatever_a_blueprint_raises_is_a_fault(make_app: Callable[..., Flask]) -> None:
    faults: list[Any] = []
    make_app(showing("media"), Blueprint("media", __name__), routes(), faults=faults)
    assert [fault.plugin for fault in faults] == ["media"]
