"""What finance configures: payout runs, bank rails, settlement. A part of `recompense.settings`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode

from recompense.contracts.payout_runs import RUN_NAME_PATTERN
from recompense.contracts.reconciliation import SettlementTerms
from recompense.domain.calendar import DEFAULT_CALENDAR, is_calendar, is_time_zone

CommaSeparated = Annotated[tuple[str, ...], NoDecode]


class FinanceSettings(BaseSettings):
    """The settings of what runs by the calendar. Durations carry their unit in their name."""

    payout_bank: str = Field(
        "main", description="Name of the bank account that payouts leave, `bank:<name>:cash`."
    )
    payout_run_approval: Literal["always", "never"] = Field(
        "always", description="Whether a person approves each payout run."
    )
    payout_run_schedules: CommaSeparated = Field(
        default=("daily", "weekly", "monthly"),
        description="Names of the payout runs that a schedule starts, comma separated.",
    )
    payout_run_time: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = Field(
        "06:00", description="When schedules make payout runs, `HH:MM`; a time that no clock skips."
    )
    payout_run_time_zone: str = Field(
        "UTC",
        description="Time zone of that time, of business dates, and of cut-offs that name none.",
    )
    payout_run_calendar: str = Field(
        DEFAULT_CALENDAR,
        description="Whose business days payout runs have: a country (ISO 3166-1), a market such as"
        " `ECB`, or `every-day`. Also for merchants in countries without a calendar.",
    )
    payout_run_interval_seconds: float | None = Field(
        None,
        gt=0,
        description="Fire every so many seconds instead, for demonstrations; a business date is run"
        " once all the same.",
    )
    settlement_terms: dict[str, SettlementTerms] = Field(
        default={},
        description="What was agreed with each provider about its settlement (what its reports"
        " hold, its fees, how long a report may take), by provider, as a JSON object.",
    )
    reconcile_at: str = Field(
        "06:00",
        pattern=r"^([01]\d|2[0-3]):[0-5]\d$",
        description="When each provider's report of the day before is reconciled, UTC.",
    )
    write_off_approval_above: int = Field(
        10_000,
        ge=0,
        description="Above this many minor units a second person has to approve a write-off.",
    )
    payout_window_seconds: float = Field(
        3600,
        gt=0,
        description="How often a bank rail's window closes: one file for all payouts that wait.",
    )
    bank_files_interval_seconds: float = Field(
        60, gt=0, description="How often the files that a bank has left are read."
    )

    @field_validator("payout_run_time_zone")
    @classmethod
    def _check_zone(cls, name: str) -> str:
        if not is_time_zone(name):
            raise ValueError("is no zone of the IANA database")
        return name

    @field_validator("payout_run_calendar")
    @classmethod
    def _check_calendar(cls, code: str) -> str:
        if not is_calendar(code):
            raise ValueError("is neither a country or market with a calendar, nor every-day")
        return code

    @field_validator("payout_run_schedules")
    @classmethod
    def _check_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if any(re.fullmatch(RUN_NAME_PATTERN, name) is None for name in names):
            raise ValueError("a payout run's name is 1 to 40 of a-z, 0-9 and -")
        return names
