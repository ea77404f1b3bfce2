"""What one operation costs in transactions and statements, counted: these figures are promises."""

from __future__ import annotations

import pytest

from tests.edge.test_payments import PAYMENT
from tests.support.api import Api, mint
from tests.support.statements import transactions

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
    made: list[str] = []
    with transactions() as begun:
        for number in range(ROUNDS):
            named = {"reference": f"{reference}{number}"} if reference else {}
            answer = api.post("/v1/payments", PAYMENT | named, token=token)
            assert answer.status_code == 201
            made.append(answer.json()["id"])
    # Sagas of the tests before may still be at work in this process.
    asked = [one for one in begun if any(payment_id in one.told for payment_id in made)]
    each = sorted(len(one) for one in asked)
    assert each == sorted([CLAIM, ANSWER, len(ADMIT), len(RECORD)] * ROUNDS)
    assert len(each) <= ROUNDS * BAR_TRANSACTIONS
    assert sum(each) <= ROUNDS * BAR_STATEMENTS
