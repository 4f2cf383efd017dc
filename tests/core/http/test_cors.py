"""Which origins there are, and what is told to whom (statement E-15)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import Client, TestResponse

from trellis_http.cors import Cors, check_origin

APP = "https://app.example.org"
PREFLIGHT = {"Origin": APP, "Access-Control-Request-Method": "PATCH"}


def served(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    headers = [("Content-Type", "text/plain"), ("ETag", '"a"'), ("Vary", "Authorization")]
    start_response("404 NOT FOUND", headers)
    return [environ["REQUEST_METHOD"].encode()]


def ask(method: str = "GET", *, headers: dict[str, str]) -> TestResponse:
    return Client(Cors(served, [APP, "capacitor://localhost"])).open(
        "/", method=method, headers=headers
    )


@pytest.mark.parametrize(
    "origin",
    [
        APP,
        "http://localhost:5173",
        "http://127.0.0.1:8000",
        "http://[::1]:3000",
        "https://app.example.org:8443",
        "http://example.org:443",
        "capacitor://localhost",
        "chrome-extension://abcdefghijklmnop",
        "https://xn--mwe-sna.example",
    ],
)
def test_an_origin_as_browsers_send_it(origin: str) -> None:
    assert check_origin(origin) == origin


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "null",
        "",
        "app.example.org",
        "https://*.example.org",
        f"{APP}/",
        f"{APP}/path",
        f"{APP}?a",
        f"{APP}#a",
        f"{APP}:443",
        "http://example.org:80",
        f"{APP}:0",
        f"{APP}:",
        "https://App.example.org",
        "HTTPS://app.example.org",
        "https://ada@example.org",
        "https://möwe.example",
        f"{APP} https://b.example.org",
        f" {APP}",
        f"{APP}\n",
        f"{APP}\r\nX: y",
    ],
)
def test_what_no_browser_sends_would_be_in_vain(text: str) -> None:
    with pytest.raises(ValueError, match="each must be one origin"):
        check_origin(text)


def test_a_named_origin_reads_all_that_an_answer_says() -> None:
    headers = ask(headers={"Origin": APP}).headers
    assert headers["Access-Control-Allow-Origin"] == APP
    assert headers["Access-Control-Expose-Headers"] == "ETag"
    assert headers.getlist("Vary") == ["Authorization, Origin"]
    assert "Access-Control-Allow-Credentials" not in headers


@given(st.text(st.characters(min_codepoint=32, max_codepoint=255)))
def test_e15_no_other_origin_is_reflected(origin: str) -> None:
    answer = ask(headers={"Origin": origin})
    assert answer.data == b"GET"
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control-")]
    assert answer.headers["Vary"] == "Authorization, Origin"


@pytest.mark.parametrize("origin", [f"{APP}.evil.example", f"{APP}:444", APP.upper(), "null", None])
def test_e15_a_preflight_of_others_goes_on(origin: str | None) -> None:
    headers = PREFLIGHT | {"Origin": origin} if origin else {"Access-Control-Request-Method": "GET"}
    answer = ask("OPTIONS", headers=headers)
    assert (answer.data, answer.status_code) == (b"OPTIONS", 404)
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("origin", [APP, "capacitor://localhost"])
def test_a_preflight_is_answered_before_the_application(origin: str) -> None:
    names = "authorization,content-type, if-match"
    headers = PREFLIGHT | {"Origin": origin, "Access-Control-Request-Headers": names}
    answer = ask("OPTIONS", headers=headers)
    assert (answer.status_code, answer.data) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert "PATCH" in answer.headers["Access-Control-Allow-Methods"].split(", ")
    assert answer.headers["Access-Control-Allow-Headers"] == names
    assert answer.headers["Access-Control-Max-Age"] == "7200"
    assert answer.headers["Vary"].startswith("Origin, ")
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("names", ["", "a: b", "a\x00", 'a"b', "x" * 10 + "é"])
def test_what_is_no_list_of_names_is_not_reflected(names: str) -> None:
    headers = PREFLIGHT | {"Access-Control-Request-Headers": names}
    answer = ask("OPTIONS", headers=headers)
    assert answer.status_code == 204
    assert "Access-Control-Allow-Headers" not in answer.headers


def test_options_without_a_question_is_the_application_s() -> None:
    answer = ask("OPTIONS", headers={"Origin": APP})
    assert (answer.data, answer.headers["Access-Control-Allow-Origin"]) == (b"OPTIONS", APP)
