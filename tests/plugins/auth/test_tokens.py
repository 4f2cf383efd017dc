from __future__ import annotations

import dataclasses
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey
from tests.plugins.auth.conftest import Person

from trellis.contracts import Identity, port
from trellis.errors import Unauthenticated
from trellis.observe.statements import counted_statements
from trellis.plugin import CORE_PERMISSIONS
from trellis.runtime import Runtime
from trellis_auth import factories, services
from trellis_auth.services import keys, principals

ACCOUNT = "/v1/auth/account"
JWKS = "/.well-known/jwks.json"
ISSUER = "http://127.0.0.1:8000"


def claims_of(token: str) -> Any:
    payload = token.split(".")[1]
    return json.loads(decode(payload))


def decode(part: str) -> bytes:
    from base64 import urlsafe_b64decode

    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def encode(value: Any) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def forge(app: Flask, ada: Person) -> Callable[..., str]:
    """``forge(header={…}, claims={…})`` is a token signed with the true key, changed as stated."""

    def sign(
        header: Mapping[str, Any] | None = None, claims: Mapping[str, Any] | None = None
    ) -> str:
        with app.app_context():
            signer = keys.signer()
        return jwt.encode(
            {"alg": "ES256", "typ": "at+jwt", "kid": signer.kid, **(header or {})},
            {**claims_of(ada.access_token), **(claims or {})},
            signer.key,
            algorithms=["ES256"],
        )

    return sign


def test_an_access_token_is_what_rfc_9068_says(client: FlaskClient, ada: Person) -> None:
    header, payload, _ = ada.access_token.split(".")
    key_set = client.get(JWKS).get_json()
    assert json.loads(decode(header)) == {
        "alg": "ES256",
        "typ": "at+jwt",
        "kid": key_set["keys"][0]["kid"],
    }
    claims = json.loads(decode(payload))
    assert set(claims) == {"iss", "aud", "sub", "client_id", "sid", "jti", "iat", "exp"}
    assert (claims["iss"], claims["aud"]) == (ISSUER, ISSUER)
    assert claims["sub"] == str(ada.id)
    assert claims["sid"] == str(ada.session_id)
    assert claims["client_id"] == "trellis-app"
    assert claims["exp"] - claims["iat"] == 900


def test_anybody_can_verify_it_with_the_published_keys(client: FlaskClient, ada: Person) -> None:
    answer = client.get(JWKS)
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    key_set = answer.get_json()
    assert {name for key in key_set["keys"] for name in key} == {
        "kty", "crv", "x", "y", "use", "alg", "kid",
    }  # fmt: skip
    verified = jwt.decode(ada.access_token, KeySet.import_key_set(key_set), algorithms=["ES256"])
    assert verified.claims["sub"] == str(ada.id)


def test_the_first_key_is_made_once_however_many_ask(
    app: Flask, at_once: Callable[..., list[Any]]
) -> None:
    answers = at_once([lambda client: client.get(JWKS)] * 12)
    assert len({answer.text for answer in answers}) == 1
    assert len(answers[0].get_json()["keys"]) == 1


def test_private_keys_do_not_lie_in_clear(
    app: Flask, ada: Person, stored: Callable[[], str]
) -> None:
    with app.app_context():
        secret = keys.signer().key.as_dict(private=True)["d"]
    assert "auth_signing_key" in stored()
    assert str(secret) not in stored()


# --- what is refused ------------------------------------------------------------------------------


def test_a_token_signed_as_ours_is_let_in(client: FlaskClient, forge: Callable[..., str]) -> None:
    assert client.get(ACCOUNT, headers=bearer(forge())).status_code == 200
    full_type = forge(header={"typ": "application/at+jwt"})
    assert client.get(ACCOUNT, headers=bearer(full_type)).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": "id+jwt"},
        {"typ": ""},
        {"kid": "unknown"},
        {"kid": "../../etc/passwd"},
        {"kid": ""},
        {"kid": "' OR 1=1 --"},
    ],
)
def test_headers_that_are_refused(
    client: FlaskClient, forge: Callable[..., str], header: dict[str, Any]
) -> None:
    answer = client.get(ACCOUNT, headers=bearer(forge(header=header)))
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "http://evil.example"},
        {"aud": "http://evil.example"},
        {"aud": [ISSUER, "http://evil.example"]},
        {"aud": None},
        {"exp": 1},
        {"exp": int(time.time()) - 1},
        {"exp": "9999999999"},
        {"exp": None},
        {"sub": str(uuid4())},
        {"sub": "x"},
        {"sub": 7},
        {"sid": str(uuid4())},
        {"sid": None},
        {"sid": ["x"]},
    ],
)
def test_claims_that_are_refused(
    client: FlaskClient, forge: Callable[..., str], claims: dict[str, Any]
) -> None:
    assert client.get(ACCOUNT, headers=bearer(forge(claims=claims))).status_code == 401


def test_signatures_that_are_refused(app: Flask, client: FlaskClient, ada: Person) -> None:
    header, payload, signature = ada.access_token.split(".")
    with app.app_context():
        signer = keys.signer()
    kid = signer.kid
    own = ECKey.generate_key("P-256")
    public = signer.key.as_pem(private=False)
    claims = claims_of(ada.access_token)

    def own_header(**more: Any) -> str:
        return jwt.encode(
            {"alg": "ES256", "typ": "at+jwt", **more}, claims, own, algorithms=["ES256"]
        )

    def spelt(**members: Any) -> str:
        return f"{encode({'typ': 'at+jwt', 'kid': kid, **members})}.{payload}.{signature}"

    confused = jwt.encode(
        {"alg": "HS256", "typ": "at+jwt", "kid": kid},
        claims,
        OctKey.import_key(public.replace(b"-----", b"")),
        algorithms=["HS256"],
    )
    refused = [
        f"{header}.{payload}.",
        f"{header}.{payload}",
        f"{header}.{encode({**claims, 'sub': str(uuid4())})}.{signature}",
        f"{encode({'alg': 'none', 'typ': 'at+jwt', 'kid': kid})}.{payload}.",
        spelt(alg="none"),
        spelt(alg="HS256"),
        spelt(alg=["ES256"]),
        spelt(alg="ES256", crit=["exp"]),
        spelt(alg="ES256", crit=["b64"], b64=False),
        spelt(alg="ES256", pad="x" * 100_000),
        confused,
        own_header(kid=kid),
        own_header(kid=own.thumbprint(), jwk=own.as_dict(private=False)),
        own_header(kid=kid, jku="http://127.0.0.1:9/jwks.json"),
        own_header(),
        "x" * 1_000_000,
        "..",
        "",
    ]
    for token in refused:
        started = time.perf_counter()
        answer = client.get(ACCOUNT, headers=bearer(token))
        assert time.perf_counter() - started < 0.5
        assert answer.status_code == 401, token[:200]
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_other_places_and_schemes_carry_no_token(client: FlaskClient, ada: Person) -> None:
    assert client.get(ACCOUNT).status_code == 401
    assert client.get(f"{ACCOUNT}?access_token={ada.access_token}").status_code in (401, 422)
    for authorization in (
        "Basic YTpi", f"Token {ada.access_token}", ada.access_token, "Bearer", "Bearer é",
    ):  # fmt: skip
        answer = client.get(ACCOUNT, headers={"Authorization": authorization})
        assert answer.status_code == 401, authorization
    lower = {"Authorization": f"bearer {ada.access_token}"}
    assert client.get(ACCOUNT, headers=lower).status_code == 200
    stranger = {"X-User-Id": str(ada.id), "X-Forwarded-User": str(ada.id)}
    assert client.get(ACCOUNT, headers=stranger).status_code == 401


# --- what is remembered ---------------------------------------------------------------------------


def test_a_known_token_costs_one_read(app: Flask, ada: Person) -> None:
    with app.app_context():
        identity = port(Identity)
        first = identity.authenticate(f"Bearer {ada.access_token}")
        with counted_statements() as statements:
            assert identity.authenticate(f"Bearer {ada.access_token}") == first
    assert statements.count == 1


def test_a_known_token_expires(app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    end = claims_of(ada.access_token)["exp"]
    with app.app_context():
        identity = services.identity()
        for _ in range(2):
            assert identity.authenticate(f"Bearer {ada.access_token}")
        monkeypatch.setattr(time, "time", lambda: end - 1)
        assert identity.authenticate(f"Bearer {ada.access_token}")
        monkeypatch.setattr(time, "time", lambda: end + 1)
        for _ in range(2):
            with pytest.raises(Unauthenticated):
                identity.authenticate(f"Bearer {ada.access_token}")


def test_no_more_than_so_many_are_remembered(
    app: Flask, ada: Person, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(principals, "_MOST_REMEMBERED", 2)
    with app.app_context():
        identity = services.identity()
        for tokens in factories.sessions([ada.id, bob.id], seed=5):
            assert identity.authenticate(f"Bearer {tokens.access_token}")
        for person in (ada, bob):
            assert identity.authenticate(f"Bearer {person.access_token}")
        assert len(identity._remembered) == 2


# --- who it is ------------------------------------------------------------------------------------


def test_operators_may_do_whatever_anybody_declares_and_users_nothing(
    app: Flask, runtime: Runtime, person: Callable[..., Person]
) -> None:
    declared = {permission.name for permission in CORE_PERMISSIONS} | {
        permission.name
        for loaded in runtime.plugins.values()
        for permission in loaded.plugin.permissions
    }
    assert declared
    with app.app_context():
        operator = port(Identity).authenticate(
            f"Bearer {person(seed=1, role='operator').access_token}"
        )
        user = port(Identity).authenticate(f"Bearer {person(seed=2).access_token}")
    assert operator
    assert user
    assert operator.kind == "operator"
    assert operator.permissions == declared
    assert user.kind == "user"
    assert user.permissions == frozenset()
    assert user.device_id == "device-2"


def test_a_stream_learns_that_its_session_has_ended(
    app: Flask, client: FlaskClient, ada: Person, bob: Person
) -> None:
    with app.app_context():
        identity = services.identity()
        principal = identity.authenticate(f"Bearer {ada.access_token}")
        assert principal
        other = identity.authenticate(f"Bearer {bob.access_token}")
        assert other
        assert identity.is_alive(principal)
        promoted = dataclasses.replace(other, kind="operator")
        nobody = dataclasses.replace(other, session_id=None)
        assert identity.alive([principal, other, promoted, nobody]) == {principal, other}
        assert identity.alive([]) == set()
    client.delete("/v1/auth/sessions/current", headers=ada.headers)
    with app.app_context():
        assert not identity.is_alive(principal)
        assert identity.alive([principal, other]) == {other}


def test_the_first_operator_is_made_once(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        identity = port(Identity)
        assert identity.ensure_operator("root@trellis.local", "a good password")
        assert not identity.ensure_operator("Root@trellis.local", "another password")
    body = {
        "email": "root@trellis.local",
        "password": "a good password",
        "device": {"installation_id": "laptop", "name": "Laptop", "platform": "web"},
    }
    tokens = client.post("/v1/auth/sessions", json=body).get_json()
    answer = client.get(ACCOUNT, headers=bearer(tokens["access_token"]))
    assert answer.get_json()["role"] == "operator"


def test_a_stranger_cannot_keep_the_operators_address(app: Flask, client: FlaskClient) -> None:
    body = {"email": "root@trellis.local", "password": "the stranger's"}
    client.post("/v1/auth/accounts", json=body)
    with app.app_context():
        assert port(Identity).ensure_operator("root@trellis.local", "a good password")
    device = {"installation_id": "laptop", "name": "Laptop", "platform": "web"}
    answer = client.post("/v1/auth/sessions", json={**body, "device": device})
    assert answer.status_code == 401
