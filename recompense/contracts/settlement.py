"""A provider's settlement report in our words: what each adapter reads out of its vendor's file.

A report is stored as it came, with its hash, before anyone reads it. Reading is pure and streams,
so that its size does not matter; whoever loads the lines loads all of them or none.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from recompense.contracts.provider import Frozen
from recompense.domain.money import Currency


class SettlementKind(StrEnum):
    """What a line of a settlement report settles."""

    AUTHORIZATION = "authorization"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    PAYOUT = "payout"
    PAYOUT_RETURN = "payout_return"
    FEE = "fee"
    DISPUTE = "dispute"
    OTHER = "other"


class SettlementLine(Frozen):
    """One line. `operation_id` and `effect_key` are ours, where the vendor echoes them."""

    number: int = Field(ge=1, description="its place in the report, from 1; the lines ascend")
    kind: SettlementKind
    provider_reference: str | None = None
    operation_id: str | None = None
    effect_key: str | None = None
    amount: int = Field(ge=0, description="gross minor units; the kind says which way they went")
    fee: int = Field(default=0, description="minor units that the provider kept; below zero: gave")
    net: int = Field(description="minor units that the line moves towards us; below zero: from us")
    currency: Currency
    effected_at: datetime | None = None


class ReportEnd(Frozen):
    """What some reports say about themselves; where one does, it is read after the last line.

    What was made at the provider up to `covers_until` is in this report or in an earlier one. A
    report that does not say so covers its date, in UTC.
    """

    covers_until: datetime


class ReportRefused(Exception):
    """The report cannot be read as a whole, or contradicts itself: nothing of it is loaded. `code`
    is stable: `report_truncated`, `report_encoding`, `report_malformed`, `report_other_date`,
    `report_inconsistent`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
