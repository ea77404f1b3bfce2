"""Schemathesis against the served API: whatever the OpenAPI document allows, the answers keep to it."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import (
    not_a_server_error,
)
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.api import Api, fresh_key, mint

CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture
def document(api: Api) -> Any:
    """The served document, so that it is the one that clients get."""
    return schemathesis.openapi.from_url(f"{api.base_url}/openapi.json")


schema = schemathesis.pytest.from_fixture("document")


@schema.parametrize()
@settings(
    max_examples=10,
    derandomize=True,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_keeps_to_the_document(case: Any, api: Api) -> None:
    headers = {"Authorization": f"Bearer {mint('fuzz')}", "Prefer": "wait=2"}
    if case.method.upper() == "POST":
        headers["Idempotency-Key"] = fresh_key()
    answer = case.call(base_url=api.base_url, headers=headers)
    case.validate_response(answer, checks=CHECKS)
