"""Which cases a target can be asked: by its capabilities, its tokens, and what its stand-in does.

A test says what it needs by `@needs(...)`; its parametrised `operation`, `fault` and `meaning` are
needs by themselves. A need that a target lacks is a reason, and never a silence.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

import pytest

from recompense.contracts.provider import ProviderOperation
from tests.conformance.targets import Meaning, Target
from tests.support.fault_proxy import FAULTS

HTTP = "http"
WEBHOOKS = "webhooks"

_CAPABILITIES = {
    "partial_capture": "it captures an authorization whole",
    "multiple_capture": "it captures an authorization once",
    "partial_refund": "it refunds a capture whole",
    "void_after_partial_capture": "what a partial capture leaves cannot be voided",
    "lookup_by_reference": "it cannot be asked by our reference",
    "truth_by_webhook": "it can be asked what became of an effect",
    "native_idempotency": "it honours no idempotency key",
    "settlement_report": "it writes no settlement report",
}

Need = ProviderOperation | Meaning | str


def needs(*what: Need) -> pytest.MarkDecorator:
    """A test's needs: operations, meanings of tokens, names of capabilities, faults, `HTTP`,
    `WEBHOOKS`, `scripts:<fault>` of the stand-in's own, or `at_once:<operation>` for an answer that
    is final at once.
    """
    return pytest.mark.needs(*what)


def needs_of(item: pytest.Item, parameters: dict[str, Any]) -> Iterable[Need]:
    """All that a case needs."""
    for mark in item.iter_markers("needs"):
        yield from mark.args
    for name in ("operation", "fault", "meaning"):
        if name in parameters:
            yield parameters[name]


def case_name(item: pytest.Item, target: str) -> str:
    """A case's name in the table, the same for every target: `test` and its parameters."""
    name = getattr(item, "originalname", item.name).removeprefix("test_")
    parts = item.name.partition("[")[2].rstrip("]").split("-")
    parameters = "-".join(part for part in parts if part not in (target, ""))
    return f"{name}:{parameters}" if parameters else name


def why_not(target: Target, case: str, wanted: Iterable[Need]) -> str | None:
    """Why a case cannot be asked of a target; None: it can."""
    reasons = (_lack(target, need) for need in wanted)
    return listed(target.not_applicable, case) or next(filter(None, reasons), None)


def listed(patterns: Any, case: str) -> str | None:
    """The reason of the first pattern that a case fits."""
    return next((why for pattern, why in patterns.items() if fnmatchcase(case, pattern)), None)


def _lack(target: Target, need: Need) -> str | None:
    capabilities = target.capabilities
    if isinstance(need, ProviderOperation):
        offered = need in capabilities.operations
        return None if offered else f"it does not offer {need.value.replace('_', ' ')}"
    if isinstance(need, Meaning):
        return None if need in target.tokens else f"its stand-in has no token for {need.value}"
    if need in _CAPABILITIES:
        return None if getattr(capabilities, need) else _CAPABILITIES[need]
    if need == HTTP:
        return None if target.base_url is not None else "it is not reached by HTTP"
    if need == WEBHOOKS:
        return None if capabilities.webhook_events else "it sends no webhooks"
    if need.startswith("scripts:"):
        need = need.removeprefix("scripts:")
        scripted = need in target.native_faults
        return None if scripted else f"its stand-in cannot script {need.replace('_', ' ')}"
    if need == "in_progress":
        return None if target.in_progress else "its stand-in answers one key's calls one by one"
    if need == "signed_age":
        return None if target.signed_age else "its signature tells no age"
    if need.startswith("at_once:"):
        operation = ProviderOperation(need.removeprefix("at_once:"))
        return f"its {operation.value} comes true later" if operation in target.late else None
    if need in target.native_faults or (need in FAULTS and target.base_url is not None):
        return None
    return f"its stand-in cannot be made to answer {need.replace('_', ' ')}"
