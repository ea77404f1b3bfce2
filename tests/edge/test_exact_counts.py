"""What one operation costs in transactions and statements, counted: these figures are promises."""

from __future__ import annotations

import pytest

from tests.edge.test_payments import PAYMENT
from tests.support.api import Api, mint
from tests.support.statements import Transaction, transactions

ROUNDS = 20
BAR_TRANSACTIONS, BAR_STATEMENTS = 4, 14
CLAIM, ANSWER = 1, 1
ADMIT = ("operation", "merchant, reference and clock", "posting", "the rows")
RECORD = ("operation, journal, run and payment", "the rows", "event")


@pytest.mark.parametrize("reference", [None, "order-"])
def test_authorization_takes_four_transactions_and_nine_statements(
    api: Api, reference: str | None
) -> None:
    """The API and the workers of this tier share the process, so all that they say is seen."""
    token = mint("backend", merchant_id="mer_demo")
    api.post("/v1/payments", PAYMENT, token=token)
    with transactions() as begun:
        for number in range(ROUNDS):
            named = {"reference": f"{reference}{number}"} if reference else {}
            assert api.post("/v1/payments", PAYMENT | named, token=token).status_code == 201
    each = sorted(len(one) for one in asked(begun))
    assert each == sorted([CLAIM, ANSWER, len(ADMIT), len(RECORD)] * ROUNDS)
    assert len(each) <= ROUNDS * BAR_TRANSACTIONS
    assert sum(each) <= ROUNDS * BAR_STATEMENTS


def asked(begun: list[Transaction]) -> list[Transaction]:
    """What was asked for: the breakers look at their table once a second, whatever is paid."""
    return [one for one in begun if not all("breakers" in statement for statement in one)]
