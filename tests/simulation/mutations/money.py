"""Defects of fees and reserves: what rows say is not what the ledger has."""

from __future__ import annotations

from typing import Any

import pytest

from activities import availability, bookings, payout_bookings, payouts, provider_events, refunds


def m_a_returned_fee_is_not_counted(patch: pytest.MonkeyPatch) -> None:
    """A refund gives the fee back, and the payment's row does not know."""
    original = refunds._post

    async def post(work: Any, payment: Any, refund: Any, attempt: int) -> None:
        await original(work, payment, refund, attempt)
        payment.amount_fees_returned = 0

    patch.setattr(refunds, "_post", post)


def m_the_reserve_has_no_tranche(patch: pytest.MonkeyPatch) -> None:
    """Money is kept back that nothing releases again."""
    original = availability.share_out

    def share_out(work: Any, *given: Any) -> availability.Shares:
        class Forgetful:
            def add(self, row: object) -> None:
                """Write nothing."""

        return original(Forgetful(), *given)  # type: ignore[arg-type]

    patch.setattr(bookings, "share_out", share_out)


def m_a_return_costs_what_no_row_says(patch: pytest.MonkeyPatch) -> None:
    """A payout that came back was charged for, and its row does not know."""
    original = payout_bookings.post_returned

    async def post_returned(work: Any, payout: Any, bank: str) -> None:
        await original(work, payout, bank)
        payout.return_fee = 0

    for module in (payouts, provider_events):
        patch.setattr(module, "post_returned", post_returned)
