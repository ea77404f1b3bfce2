"""Schemathesis against the served API: whatever the OpenAPI document allows, the answers keep to
it.
"""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import (
    not_a_server_error,
)
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.application import build_app
from tests.support.api import Api, fresh_key, make_parts, mint

CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def _operations() -> list[tuple[str, str]]:
    app = build_app(lambda: make_parts("postgresql://unused", "unused"))
    return [
        (method, route.path_format)
        for route in app.routes
        if isinstance(route, APIRoute) and route.include_in_schema
        for method in sorted(route.methods or ())
    ]


@pytest.fixture(scope="session")
def schema(api: Api) -> Any:
    """The served document: the one that clients get."""
    return schemathesis.openapi.from_url(f"{api.base_url}/openapi.json")


@pytest.mark.parametrize(("method", "path"), _operations())
def test_every_answer_keeps_to_the_document(api: Api, schema: Any, method: str, path: str) -> None:
    @given(case=schema[path][method].as_strategy())
    @settings(
        max_examples=8,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def keeps_to_it(case: Any) -> None:
        headers = {"Authorization": f"Bearer {mint('fuzz')}", "Prefer": "wait=2"}
        if method == "POST":
            headers["Idempotency-Key"] = fresh_key()
        answer = case.call(base_url=api.base_url, headers=headers)
        case.validate_response(answer, checks=CHECKS)

    keeps_to_it()
