"""References are followed on both sides; names of components matter to generated clients alone."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from tests.core.openapi.documents import document, only, verdicts, worst

from trellis_openapi.comparison import compare
from trellis_openapi.nodes import BadDocument

TEXT = {"type": "string"}


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def thing(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def test_a_component_that_is_renamed_breaks_generated_clients_alone() -> None:
    base = document(sent=ref("Thing"), shown=ref("Thing"), schemas={"Thing": thing(a=TEXT)})
    head = document(sent=ref("Lamp"), shown=ref("Lamp"), schemas={"Lamp": thing(a=TEXT)})
    change = only(base, head)
    assert change.verdict.value == "breaking for generated clients"
    assert change.words == "the type Thing is called Lamp now"
    assert change.pointer == "/components/schemas/Lamp"


def test_a_component_that_is_written_out_has_lost_its_name() -> None:
    base = document(shown=ref("Thing"), schemas={"Thing": thing(a=TEXT)})
    head = document(shown=thing(a=TEXT))
    assert set(verdicts(base, head)) == {"breaking for generated clients"}
    assert set(verdicts(head, base)) == {"breaking for generated clients"}


def test_a_type_that_no_operation_uses_is_missed_by_generated_clients() -> None:
    change = only(document(schemas={"Thing": thing()}), document())
    assert change.verdict.value == "breaking for generated clients"
    assert change.words == "the type Thing is gone"


def test_a_change_in_a_component_is_found_once_and_names_its_operations() -> None:
    base = document(shown=ref("Thing"), schemas={"Thing": thing(a=TEXT)})
    base["paths"]["/v1/other"] = {
        "get": base["paths"]["/v1/things/{thing_id}"]["post"] | {"operationId": "other"}
    }
    head = document(shown=ref("Thing"), schemas={"Thing": thing(a={"type": "integer"})})
    head["paths"]["/v1/other"] = {
        "get": head["paths"]["/v1/things/{thing_id}"]["post"] | {"operationId": "other"}
    }
    found = [change for change in compare(base, head) if change.verdict.value == "breaking"]
    assert [change.operations for change in found] == [("make_thing", "other")]
    assert {change.pointer for change in found} == {"/components/schemas/Thing/properties/a"}


def test_a_nullable_reference_may_be_written_in_two_ways() -> None:
    schemas = {"Thing": thing(a=TEXT)}
    base = document(shown={"anyOf": [ref("Thing"), {"type": "null"}]}, schemas=schemas)
    head = document(shown={"oneOf": [{"type": "null"}, {"allOf": [ref("Thing")]}]}, schemas=schemas)
    assert compare(base, head) == []
    plain = document(shown=ref("Thing"), schemas=schemas)
    assert worst(plain, base) == "breaking"
    assert worst(base, plain) == "compatible"


def test_words_beside_a_reference_are_no_part_of_it() -> None:
    schemas = {"Thing": thing(a=TEXT)}
    base = document(shown=ref("Thing"), schemas=schemas)
    head = document(shown=ref("Thing") | {"description": "The thing"}, schemas=schemas)
    assert verdicts(base, head) == ["compatible"]


# --- what holds itself ----------------------------------------------------------------------------


def test_a_schema_that_holds_itself_is_compared_to_its_end() -> None:
    def tree(leaf: Any) -> dict[str, Any]:
        node = thing(leaf=leaf, children={"type": "array", "items": ref("Tree")})
        return document(shown=ref("Tree"), sent=ref("Tree"), schemas={"Tree": node})

    assert compare(tree(TEXT), tree(TEXT)) == []
    assert worst(tree(TEXT), tree({"type": "integer"})) == "breaking"


def test_schemas_that_hold_one_another_are_compared_when_one_is_unrolled() -> None:
    plain = {"A": thing(b=ref("B")), "B": thing(a=ref("A"))}
    unrolled = {"A": thing(b=thing(a=ref("A"))), "B": thing(a=ref("A"))}
    base, head = (document(shown=ref("A"), schemas=schemas) for schemas in (plain, unrolled))
    assert set(verdicts(base, head)) == {"breaking for generated clients"}


def test_unknown_keywords_are_compared_by_where_their_references_lead() -> None:
    def excluding(schema: Any) -> dict[str, Any]:
        # Beside itself, so that following references has no end of its own.
        none = {"allOf": [schema], "not": ref("None")}
        return document(shown={"not": ref("None")}, schemas={"None": none})

    assert compare(excluding(TEXT), excluding(TEXT)) == []
    assert worst(excluding(TEXT), excluding({"type": "integer"})) == "cannot tell"


@pytest.mark.parametrize(
    ("schemas", "told"),
    [
        ({"A": ref("B"), "B": ref("A")}, "made of itself"),
        ({"A": {"allOf": [ref("A")]}}, "made of itself"),
        ({"A": {"anyOf": [TEXT, ref("A")]}}, "made of itself"),
        ({"A": ref("Nobody")}, "leads nowhere"),
        ({"A": {"$ref": "other.json#/A"}}, "leads out of the document"),
        ({"A": {"$ref": "https://example.org/a.json"}}, "leads out of the document"),
        ({"A": []}, "not an object"),
        ({"A": {"type": "text"}}, "no such type: text"),
        ({"A": {"type": 3}}, "not a list of strings"),
        ({"A": TEXT | {"maxLength": "long"}}, "not a number"),
        ({"A": {"type": "object", "properties": []}}, "not an object"),
        ({"A": {"type": "object", "required": 3}}, "not a list"),
        ({"A": {"enum": 3}}, "not a list"),
        ({"A": {"allOf": [{"anyOf": [TEXT] * 9}] * 9}}, "more alternatives than can be compared"),
    ],
)
def test_what_is_no_document_is_refused_with_its_place(schemas: Any, told: str) -> None:
    broken = document(sent=ref("A"), schemas=schemas)
    with pytest.raises(BadDocument, match=told):
        compare(broken, deepcopy(broken))
