"""The embedded stack's tokens: who may do what, and that a subject outlives its token."""

from __future__ import annotations

from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from recompense.stack.tokens import DAY_SECONDS, ROLES, SCOPES, TokenIssuer

SECRET = "a secret of more than thirty-two characters"
ISSUER = TokenIssuer(secret=SECRET, issuer="recompense", audience="recompense")


def claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, OctKey.import_key(SECRET), algorithms=["HS256"]).claims


def test_a_token_lives_for_a_day_and_names_issuer_and_audience() -> None:
    found = claims(ISSUER.for_all_roles().admin)
    assert found["exp"] - found["iat"] == DAY_SECONDS
    assert (found["iss"], found["aud"]) == ("recompense", "recompense")


def test_only_the_backend_is_bound_to_the_demo_merchant() -> None:
    tokens = ISSUER.for_all_roles()
    bound = {role: claims(getattr(tokens, role)).get("merchant_id") for role in ROLES}
    assert bound == {"backend": "mer_demo", "finance": None, "ops": None, "admin": None}


def test_each_role_keeps_its_own_subject() -> None:
    first, second = ISSUER.for_all_roles(), ISSUER.for_all_roles()
    subjects = {role: claims(getattr(first, role))["sub"] for role in ROLES}
    assert subjects == {role: claims(getattr(second, role))["sub"] for role in ROLES}
    assert len(set(subjects.values())) == len(ROLES)


@pytest.mark.parametrize(
    ("role", "allowed", "refused"),
    [
        ("backend", "payments:write", "payouts:approve"),
        ("finance", "payouts:approve", "payments:write"),
        ("ops", "ops:write", "payouts:write"),
        ("admin", "merchants:write", "everything"),
    ],
)
def test_a_role_has_its_scopes_and_no_other(role: str, allowed: str, refused: str) -> None:
    scopes = claims(getattr(ISSUER.for_all_roles(), role))["scope"].split()
    assert allowed in scopes
    assert refused not in scopes
    assert set(scopes) <= set(SCOPES)


def test_the_lifetime_asked_for_is_the_one_given() -> None:
    token, expires_at = ISSUER.mint(subject="someone", scopes=["ops:read"], lifetime_seconds=60)
    assert claims(token)["exp"] == expires_at
    assert expires_at - claims(token)["iat"] == 60
