"""Transactions and statements read from PostgreSQL's log."""

from __future__ import annotations

from collections import Counter

from benchmarks.statements import Transaction, of_each, transactions

LOG = """\
2026-11-24 10:00:00.001 UTC [7] <recompense-api> {3/11} LOG:  statement: BEGIN
2026-11-24 10:00:00.002 UTC [7] <recompense-api> {3/11} LOG:  execute <unnamed>: INSERT INTO claims
\tVALUES ($1)
2026-11-24 10:00:00.002 UTC [7] <recompense-api> {3/11} DETAIL:  Parameters: $1 = '1'
2026-11-24 10:00:00.003 UTC [8] <recompense-worker> {4/2} LOG:  statement: BEGIN
2026-11-24 10:00:00.004 UTC [8] <recompense-worker> {4/2} LOG:  execute _pg3_0: SELECT 1
2026-11-24 10:00:00.005 UTC [7] <recompense-api> {3/11} LOG:  statement: COMMIT
2026-11-24 10:00:00.006 UTC [8] <recompense-worker> {4/2} LOG:  execute _pg3_1: SELECT 2
2026-11-24 10:00:00.007 UTC [8] <recompense-worker> {4/2} LOG:  statement: COMMIT
2026-11-24 10:00:00.008 UTC [9] <psql> {5/1} LOG:  statement: SELECT 3
2026-11-24 10:00:00.009 UTC [1] LOG:  checkpoint starting: time
"""
CLAIM: Transaction = ("recompense-api", "INSERT INTO claims VALUES ($1)")
STEP: Transaction = ("recompense-worker", "SELECT 1", "SELECT 2")


def test_interleaved_sessions_are_told_apart_and_strangers_left_out() -> None:
    assert transactions(LOG.splitlines(keepends=True)) == Counter({CLAIM: 1, STEP: 1})


def test_what_runs_when_nothing_is_asked_belongs_to_no_operation() -> None:
    during: Counter[Transaction] = Counter(
        {CLAIM: 20, STEP: 10, ("recompense-worker", "SELECT seal"): 33}
    )
    idle: Counter[Transaction] = Counter({("recompense-worker", "SELECT seal"): 5})
    assert sorted(of_each(during, idle, 10)) == sorted([CLAIM, CLAIM, STEP])


def test_seals_belong_to_no_operation_however_slow_the_machine_is() -> None:
    seal: Transaction = ("recompense-worker", "SELECT 1", "INSERT INTO ledger_seals VALUES ($1)")
    assert of_each(Counter({seal: 10, CLAIM: 10}), Counter(), 10) == [CLAIM]
