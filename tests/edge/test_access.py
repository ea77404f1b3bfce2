"""Who may call what: every route against every scope, tokens of all kinds, and other merchants."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from fastapi.routing import APIRoute
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from api.application import build_app
from api.openapi import scopes_of
from api.tokens import PublishedKeys
from recompense.contracts.scopes import Scope
from recompense.persistence import api_keys
from recompense.persistence.database import Database
from tests.edge.test_payments import PAYMENT
from tests.support.api import AUDIENCE, EVERY_SCOPE, Api, fresh_key, make_parts, mint, served


def _routes() -> list[APIRoute]:
    app = build_app(lambda: make_parts("postgresql://unused", "unused"))
    return [route for route in app.routes if isinstance(route, APIRoute)]


PUBLIC_PATHS = {
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/webhooks/{provider}",
}
GUARDED = [
    (method, route.path_format, scopes_of(route) or frozenset())
    for route in _routes()
    if route.path_format not in PUBLIC_PATHS
    for method in sorted(route.methods or ())
]


def test_every_route_declares_its_scopes_or_is_public() -> None:
    for route in _routes():
        scopes = scopes_of(route)
        assert scopes is not None, (
            f"{route.path} does not say who may call it: add allows(Scope...) or PUBLIC to its"
            " dependencies (api/access.py)"
        )
        assert bool(scopes) == (route.path_format not in PUBLIC_PATHS), route.path


@pytest.mark.parametrize(("method", "path", "scopes"), GUARDED)
def test_route_lets_in_exactly_the_callers_with_its_scopes(
    api: Api, method: str, path: str, scopes: frozenset[Scope]
) -> None:
    url = _filled(path)
    anonymous = api.http.request(method, url)
    assert (anonymous.status_code, anonymous.json()["code"]) == (401, "unauthenticated")
    assert anonymous.headers["WWW-Authenticate"].startswith("Bearer")
    for scope in (*EVERY_SCOPE, None):
        token = mint(scopes=(scope,) if scope else ())
        answer = api.http.request(method, url, headers={"Authorization": f"Bearer {token}"})
        if scope in scopes:
            assert answer.status_code not in {401, 403}, (scope, answer.text)
        else:
            assert answer.status_code == 403, scope
            assert answer.json()["code"] == "insufficient_scope"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Basic dGVzdGVyOnRlc3Rlcg==",
        "Bearer not.a.token",
        "Bearer ..",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "Bearer rcp_unknown",
        "Bearer " + "x" * 8000,
        "Bearer " + base64.urlsafe_b64encode(b"[" * 1500).decode() + ".e30.x",
    ],
)
def test_malformed_credentials_are_refused(api: Api, header: str) -> None:
    answer = api.http.get("/v1/payments", headers={"Authorization": header})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


def test_foreign_or_old_tokens_are_refused(api: Api) -> None:
    good = {"sub": "x", "iss": AUDIENCE, "aud": AUDIENCE, "scope": "payments:read"}
    expiry = int(time.time()) + 600
    other_secret = OctKey.import_key("another-secret-that-nobody-knows-here")
    refused = [
        mint(exp=int(time.time()) - 60),
        mint(iss="somebody"),
        mint(aud="something"),
        mint(nbf=int(time.time()) + 600),
        mint(sub=""),
        mint(sub="a\0b"),
        mint(scope=["payments:read"]),
        mint(merchant_id="x\ny"),
        jwt.encode({"alg": "HS256"}, {**good, "exp": expiry}, other_secret),
    ]
    for token in refused:
        answer = api.http.get("/v1/payments", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401, token


def test_published_keys_are_taken_and_never_as_a_secret(api: Api) -> None:
    rsa = RSAKey.generate_key(2048, {"kid": "one", "alg": "RS256"})
    elliptic = ECKey.generate_key("P-256", {"kid": "two", "alg": "ES256"})
    published = [rsa.as_dict(private=False), elliptic.as_dict(private=False)]

    async def fetch() -> bytes:
        return json.dumps({"keys": published}).encode()

    claims: dict[str, Any] = {
        "sub": "x",
        "iss": AUDIENCE,
        "aud": AUDIENCE,
        "scope": "payments:read",
        "exp": int(time.time()) + 600,
    }
    confused = _signed_with(rsa.as_pem(private=False), claims)
    tokens = {
        jwt.encode({"alg": "RS256", "kid": "one"}, claims, rsa): 200,
        jwt.encode({"alg": "ES256", "kid": "two"}, claims, elliptic): 200,
        jwt.encode({"alg": "RS256", "kid": "one"}, claims, RSAKey.generate_key(2048)): 401,
        jwt.encode({"alg": "RS256", "kid": "new"}, claims, rsa): 401,
        confused: 401,
    }
    parts = lambda: make_parts(  # noqa: E731 - read once, below
        api.database_url, api.temporal_address, keys=PublishedKeys(fetch)
    )
    with served(parts) as keyed:
        for token, status in tokens.items():
            assert keyed.get("/v1/payments", token=token).status_code == status


def test_api_key_works_until_it_is_revoked_and_is_stored_nowhere(api: Api) -> None:
    async def make() -> tuple[str, str]:
        database = Database(api.database_url)
        async with database.transaction() as session:
            row, key = await api_keys.create(
                session,
                name="shop",
                scopes=[Scope.PAYMENTS_READ],
                merchant_id=None,
                actor="admin",
            )
        await database.close()
        return row.id, key

    async def revoke(key_id: str) -> bool:
        database = Database(api.database_url)
        async with database.transaction() as session:
            done = await api_keys.revoke(session, key_id, actor="admin", reason="lost")
        await database.close()
        return done

    key_id, key = asyncio.run(make())
    assert api.get("/v1/payments", token=key).status_code == 200
    assert api.get("/v1/providers", token=key).status_code == 403
    assert asyncio.run(revoke(key_id))
    assert not asyncio.run(revoke(key_id))
    # A process that has not seen the key before does not take it any more.
    with served(lambda: make_parts(api.database_url, api.temporal_address)) as fresh:
        assert fresh.get("/v1/payments", token=key).status_code == 401


def test_another_merchants_resources_are_not_there(api: Api) -> None:
    payment_id = api.post("/v1/payments", PAYMENT).json()["id"]
    capture_id = api.post(f"/v1/payments/{payment_id}/captures").json()["id"]
    stranger = mint("stranger", merchant_id="mer_other")
    hidden = [
        f"/v1/payments/{payment_id}",
        f"/v1/payments/{payment_id}/captures",
        f"/v1/payments/{payment_id}/refunds",
        f"/v1/payments/{payment_id}/timeline",
        f"/v1/captures/{capture_id}",
        f"/v1/ops/sagas/authorize%2F{payment_id}",
        "/v1/merchants/mer_demo",
        "/v1/merchants/mer_demo/balances",
        "/v1/ledger/accounts/merchant:mer_demo:available",
        "/v1/ledger/accounts/merchant:mer_demo:available/entries",
        "/v1/ledger/trial-balance",
    ]
    for path in hidden:
        assert api.get(path, token=stranger).status_code == 404, path
    for path in ("captures", "void", "refunds", "complete"):
        answer = api.post(f"/v1/payments/{payment_id}/{path}", token=stranger)
        assert answer.status_code == 404, path
    assert api.post("/v1/payments", PAYMENT, token=stranger).status_code == 404
    for path in ("/v1/payments", "/v1/payouts", "/v1/events", "/v1/ops/sagas"):
        assert api.get(path, token=stranger).json()["data"] == [], path
    asked = api.get("/v1/payments", token=stranger, params={"merchant_id": "mer_demo"})
    assert asked.json()["data"] == []


def test_bound_token_acts_for_its_own_merchant(api: Api) -> None:
    bound = mint("backend", merchant_id="mer_demo")
    created = api.post("/v1/payments", PAYMENT, token=bound)
    assert created.status_code == 201
    assert api.get(f"/v1/payments/{created.json()['id']}", token=bound).status_code == 200


def test_too_many_requests_are_429_with_retry_after_and_per_caller(api: Api) -> None:
    parts = lambda: make_parts(api.database_url, api.temporal_address, writes="3/minute")  # noqa: E731
    with served(parts) as limited:
        statuses = [limited.post("/v1/payments", {}).status_code for _ in range(4)]
        assert statuses == [422, 422, 422, 429]
        refused = limited.post("/v1/payments", {}, key=fresh_key())
        assert refused.json()["code"] == "rate_limited"
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        assert limited.post("/v1/payments", {}, token=mint("other")).status_code == 422


def _signed_with(secret: bytes, claims: dict[str, Any]) -> str:
    """A token that takes a public key for a secret, as an attacker would make it by hand."""
    parts = [json.dumps({"alg": "HS256", "kid": "one"}), json.dumps(claims)]
    signed = ".".join(_base64(part.encode()) for part in parts)
    signature = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{_base64(signature)}"


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _filled(path: str) -> str:
    return (
        path.replace("{payment_id}", "pay_01ARZ3NDEKTSV4RRFFQ69G5FAV")
        .replace("{capture_id}", "cap_01ARZ3NDEKTSV4RRFFQ69G5FAV")
        .replace("{refund_id}", "ref_01ARZ3NDEKTSV4RRFFQ69G5FAV")
        .replace("{payout_id}", "po_01ARZ3NDEKTSV4RRFFQ69G5FAV")
        .replace("{run_id}", "run_01ARZ3NDEKTSV4RRFFQ69G5FAV")
        .replace("{merchant_id}", "mer_nobody")
        .replace("{endpoint_id}", "whe_01ARZ3NDEKTSV4RRFFQ69G5FAV")
        .replace("{event_id}", "evt_01ARZ3NDEKTSV4RRFFQ69G5FAV")
        .replace("{workflow_id}", "authorize%2Fnothing")
        .replace("{account}", "platform:fees")
    )
