"""Domain errors state a stable code, a status and a title."""

from __future__ import annotations

from typing import Any

import pytest

from trellis.errors import CommittedRefusal, DomainError, RetryLater, Unauthenticated


@pytest.mark.parametrize(
    "stated",
    [
        {"code": "nodot"},
        {"code": "Media.Upper"},
        {"code": "media.a.b"},
        {"status": 200},
        {"status": 600},
    ],
    ids=str,
)
def test_false_statements_are_refused_at_import(stated: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        type("Wrong", (DomainError,), stated)


def test_reserved_members_are_refused() -> None:
    with pytest.raises(TypeError, match="status"):
        DomainError("x", status=3)


def test_committed_refusal_may_be_any_other_error() -> None:
    class ReusedToken(CommittedRefusal, Unauthenticated):
        code = "auth.token_reused"

    error = ReusedToken("Sign in again.", retry_after=7)
    assert (error.code, error.status, str(error)) == ("auth.token_reused", 401, "Sign in again.")
    assert error.headers == {"Retry-After": "7"}
    assert error.extensions == {"retry_after": 7}


def test_retry_later_tells_when() -> None:
    assert RetryLater(2.5).seconds == 2.5
