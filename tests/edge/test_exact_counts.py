"""What one authorization costs in transactions, counted: this figure is a promise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

from tests.edge.test_payments import PAYMENT
from tests.support.api import Api, mint

ROUNDS = 20
BUDGET = 4


def test_authorization_takes_four_transactions_with_the_api_included(api: Api) -> None:
    """The API and the workers of this tier share the process, so all of their transactions are
    seen.
    """
    token = mint("backend", merchant_id="mer_demo")
    api.post("/v1/payments", PAYMENT, token=token)
    with transactions() as begun:
        for _ in range(ROUNDS):
            assert api.post("/v1/payments", PAYMENT, token=token).status_code == 201
    # The breakers look at their table about once a second, whatever is paid meanwhile.
    assert ROUNDS * BUDGET <= len(begun) < ROUNDS * (BUDGET + 1)


@contextmanager
def transactions() -> Iterator[list[Any]]:
    """Every transaction that this process begins meanwhile, on whatever engine."""
    begun: list[Any] = []
    note = begun.append
    event.listen(Engine, "begin", note)
    try:
        yield begun
    finally:
        event.remove(Engine, "begin", note)
