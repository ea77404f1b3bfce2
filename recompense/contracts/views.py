"""The resources as callers see them: the bodies of `api/`, the objects of events, the answers of
sagas.

One definition serves all three, so that a webhook, a GET and the answer of a saga can never
disagree about a field.
Amounts are minor units; times are UTC and written in RFC 3339.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from recompense.domain.states import (
    CaptureStatus,
    PaymentStatus,
    PayoutRunStatus,
    PayoutStatus,
    RefundStatus,
)


class View(BaseModel):
    """A resource as it is shown."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FailureView(View):
    """Why something was declined or failed. `code` is ours and stable; `provider_code` is the
    provider's word.
    """

    code: str
    message: str
    provider_code: str | None = None


class NextAction(View):
    """What the payer has to do before the payment can go on."""

    type: Literal["redirect"] = "redirect"
    url: str


class PaymentView(View):
    """A payment."""

    id: str
    object: Literal["payment"] = "payment"
    status: PaymentStatus
    merchant_id: str
    amount: int
    currency: str
    amount_authorized: int
    amount_capturable: int
    amount_captured: int
    amount_refunded: int
    capture_method: Literal["manual", "automatic"]
    provider: str | None
    provider_reference: str | None
    reference: str | None
    description: str | None
    metadata: dict[str, str]
    failure: FailureView | None
    next_action: NextAction | None
    needs_attention: bool
    authorization_expires_at: datetime | None
    created_at: datetime
    updated_at: datetime


class CaptureView(View):
    """A capture. `fee` is what the platform charged the merchant for it."""

    id: str
    object: Literal["capture"] = "capture"
    payment_id: str
    amount: int
    currency: str
    status: CaptureStatus
    final: bool
    fee: int
    failure: FailureView | None
    created_at: datetime
    updated_at: datetime


class RefundView(View):
    """A refund."""

    id: str
    object: Literal["refund"] = "refund"
    payment_id: str
    amount: int
    currency: str
    status: RefundStatus
    reason: str | None
    failure: FailureView | None
    provider_reference: str | None
    created_at: datetime
    updated_at: datetime


class Destination(View):
    """Where a payout goes: a provider's token of a bank account."""

    type: Literal["bank_token"] = "bank_token"
    token: str


class PayoutView(View):
    """A payout. `run_id` names the payout run that made it."""

    id: str
    object: Literal["payout"] = "payout"
    merchant_id: str
    amount: int
    currency: str
    status: PayoutStatus
    destination: Destination
    reference: str | None
    run_id: str | None
    failure: FailureView | None
    provider_reference: str | None
    needs_attention: bool
    created_at: datetime
    updated_at: datetime


class PayoutRunView(View):
    """A payout run: one for each name, business date and currency. `currency` null: all of them.

    The counts and `amount_paid` follow the payouts, after the run's end too: `failed_count` also
    counts what came back or was taken back.
    """

    id: str
    object: Literal["payout_run"] = "payout_run"
    name: str
    business_date: date
    currency: str | None
    status: PayoutRunStatus
    items_count: int
    amount_total: dict[str, int]
    paid_count: int
    failed_count: int
    amount_paid: dict[str, int]
    created_by: str
    reviewed_by: str | None
    created_at: datetime
    updated_at: datetime


class PayoutRunItemView(View):
    """What a payout run pays to one merchant in one currency, and where its payout stands."""

    id: str
    object: Literal["payout_run_item"] = "payout_run_item"
    merchant_id: str
    currency: str
    amount: int
    status: PayoutStatus
    payout_id: str
    failure: FailureView | None
