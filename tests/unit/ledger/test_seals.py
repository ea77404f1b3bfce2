"""A seal depends on every field that it covers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from recompense.ledger.seals import GENESIS, Block, SealedPosting, SealedTransfer, sealed

TRANSFER = SealedTransfer(1, "bank:b:cash", "platform:fees", 5, "EUR", "posted", None, None)
POSTING = SealedPosting(
    1, "op:step:1", "op", None, 700, datetime(2026, 11, 24, 12, tzinfo=UTC), (TRANSFER,)
)
BLOCK = Block(1, 0, 800)
SEAL = sealed(GENESIS, BLOCK, [POSTING])


@pytest.mark.parametrize(
    "changed",
    [
        replace(POSTING, id=2),
        replace(POSTING, key="op:step:2"),
        replace(POSTING, operation_id="op2"),
        replace(POSTING, payment_id="pay_1"),
        replace(POSTING, created=701),
        replace(POSTING, at=POSTING.at + timedelta(microseconds=1)),
        replace(POSTING, transfers=()),
        *(
            replace(POSTING, transfers=(changed,))
            for changed in (
                TRANSFER._replace(line=2),
                TRANSFER._replace(debit="bank:c:cash"),
                TRANSFER._replace(credit="platform:losses"),
                TRANSFER._replace(amount=6),
                TRANSFER._replace(currency="JPY"),
                TRANSFER._replace(phase="voided"),
                TRANSFER._replace(resolves_key="op:step:2"),
                TRANSFER._replace(resolves_line=1),
            )
        ),
    ],
)
def test_seal_of_a_changed_posting_differs_and_names_it(changed: SealedPosting) -> None:
    other = sealed(GENESIS, BLOCK, [changed])
    assert other.digest != SEAL.digest
    assert other.first_difference(SEAL) == 0


def test_same_moment_in_another_zone_gives_the_same_seal() -> None:
    elsewhere = POSTING.at.astimezone(timezone(timedelta(hours=9)))
    assert sealed(GENESIS, BLOCK, [replace(POSTING, at=elsewhere)]) == SEAL


@pytest.mark.parametrize(
    ("previous", "block"),
    [(bytes([1]) * 32, BLOCK), (GENESIS, Block(2, 0, 800)), (GENESIS, Block(1, 0, 801))],
)
def test_seal_depends_on_its_place_in_the_chain(previous: bytes, block: Block) -> None:
    other = sealed(previous, block, [POSTING])
    assert other.digest != SEAL.digest
    assert other.first_difference(SEAL) is None


def test_missing_last_posting_is_found_after_the_rest() -> None:
    longer = sealed(GENESIS, BLOCK, [POSTING, replace(POSTING, id=2)])
    assert SEAL.first_difference(longer) == 1
