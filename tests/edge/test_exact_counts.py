"""What one authorization costs, counted: these figures are promises."""

from __future__ import annotations

import time

import psycopg

from tests.edge.test_payments import PAYMENT
from tests.support.api import Api, mint

ROUNDS = 20
BUDGET = 4


def test_authorization_takes_four_transactions_with_the_api_included(api: Api) -> None:
    token = mint("backend", merchant_id="mer_demo")
    api.post("/v1/payments", PAYMENT, token=token)
    before = _settled_commits(api)
    for _ in range(ROUNDS):
        assert api.post("/v1/payments", PAYMENT, token=token).status_code == 201
    after = _settled_commits(api)
    # Reading the counter is a transaction too: once or twice while it settles, never once a
    # payment.
    assert ROUNDS * BUDGET <= after - before < ROUNDS * (BUDGET + 1)


def _settled_commits(api: Api) -> int:
    """The database's count of commits, once idle sessions have handed theirs in (about a second)."""
    previous = -1
    while True:
        time.sleep(1.2)
        with psycopg.connect(api.database_url, autocommit=True) as connection:
            row = connection.execute(
                "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
            ).fetchone()
        count = int(row[0]) if row else 0
        if count - previous <= 2:
            return count
        previous = count
