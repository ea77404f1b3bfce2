"""What the conformance suite needs of a vendor: a live stand-in whose effects can be counted, and
words for what its adapter is asked with.

Each stand-in is a file of `tests/conformance/vendors/` that exports `TARGETS`. A case that a vendor
rules out is no silence: it stands in the conformance table as `n/a`, with its reason.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from adapters.registry import registration
from adapters.transport import ObservedTransport
from recompense.contracts.provider import (
    Capabilities,
    MoneyCall,
    ProviderEvent,
    ProviderOperation,
)
from tests.conformance import vendors


class Meaning(StrEnum):
    """What a token brings about, whatever the vendor calls it. The accounts are payouts'."""

    GOOD = "good"
    DECLINED = "declined"
    ACTION = "action"
    LOST_ONCE = "lost_once"
    GOOD_ACCOUNT = "good_account"
    CLOSED_ACCOUNT = "closed_account"
    RETURNED_ACCOUNT = "returned_account"


@dataclass(frozen=True)
class Effect:
    """Money that the vendor moved under one effect key, in our minor units."""

    amount: int
    currency: str


@dataclass(frozen=True)
class Delivery:
    """A webhook as the vendor would send it."""

    headers: Mapping[str, str]
    body: bytes


class Target:
    """A live stand-in of a vendor. A subclass fills in what it has; the rest is `n/a`.

    `tokens` by meaning; `late`: the operations whose first answer is `Pending` and comes true by
    itself; `native_faults`: what the stand-in scripts itself (`arm`), the others are made on the
    socket; `nothing_done`: the 5xx of which the vendor documents that nothing was done;
    `in_progress`: whether it refuses a key whose first call is still running; `signed_age`: whether
    a webhook's signature holds its time.

    `not_applicable` and `known_faults` map patterns of case names (`fnmatch`, for example
    `pending_*` or `*:capture`) to a reason. A known fault is the stand-in's, not the adapter's: a
    strict expected failure.
    """

    name: str
    base_url: str | None = None
    currency: str = "EUR"
    tokens: Mapping[Meaning, str]
    late: frozenset[ProviderOperation] = frozenset()
    native_faults: frozenset[str] = frozenset()
    nothing_done: frozenset[int] = frozenset()
    in_progress: bool = False
    signed_age: bool = True
    not_applicable: Mapping[str, str]
    known_faults: Mapping[str, str]

    def __init__(self) -> None:
        self.not_applicable = dict(getattr(self, "not_applicable", {}))
        self.known_faults = dict(getattr(self, "known_faults", {}))

    @property
    def provider(self) -> str:
        """The registered adapter: `stripe` for a second stand-in `stripe@mock` too."""
        return self.name.partition("@")[0]

    @property
    def port(self) -> int:
        """The stand-in's port on 127.0.0.1."""
        return urlsplit(self.base_url or "").port or 0

    @property
    def capabilities(self) -> Capabilities:
        """What the adapter says that it can do."""
        return registration(self.provider).capabilities

    def config(self, base_url: str | None = None) -> dict[str, Any]:
        """The adapter's configuration, for the stand-in at its own address or at another one."""
        raise NotImplementedError

    def effects(self, call: MoneyCall) -> list[Effect]:
        """The effects that were made under this call's key, asked of the stand-in itself."""
        raise NotImplementedError

    def told(self, transport: ObservedTransport) -> Sequence[ProviderEvent]:
        """The verified events of all that it has told. Needed where they are the look-up."""
        raise NotImplementedError

    def moves_money(self, method: str, path: str) -> bool:
        """Whether a request is a money call; a fault made on the socket tells it from a look-up."""
        return method != "GET"

    def arm(
        self,
        operation: ProviderOperation,
        fault: str,
        *,
        times: int = 1,
        reference: str | None = None,
        delay_ms: int | None = None,
    ) -> None:
        """Script one of the `native_faults`. `reference` is our operation id,
        None: any; -1 times: for ever."""
        raise NotImplementedError

    def fired(self) -> int:
        """How often the faults that `arm` scripted have fired since the last `clear`."""
        return 0

    def clear(self) -> None:
        """Forget every scripted fault."""

    def act(self, redirect_url: str, *, succeed: bool) -> None:
        """Do what the payer does at `redirect_url`. Needed where there is an `ACTION` token."""
        raise NotImplementedError

    def brings_back(self, redirect_url: str, *, succeed: bool) -> dict[str, str]:
        """What the payer brings back to the shop's page after acting. Here it decides nothing: the
        provider knows already.
        """
        self.act(redirect_url, succeed=succeed)
        return {"returned": "yes"}

    def settle(self, call: MoneyCall) -> None:
        """Let a pending call come true now, where the stand-in does not do so by itself."""

    def write_report(self, report_date: date) -> None:
        """Write the settlement report of a date. Needed where the adapter reads reports."""
        raise NotImplementedError

    def in_report(self, call: MoneyCall) -> str:
        """How a settlement report names an effect."""
        return call.effect_key

    def delivery(
        self,
        *,
        event_id: str,
        reference: str,
        at: datetime,
        secret: str | None = None,
        body: bytes | None = None,
    ) -> Delivery | None:
        """A webhook about the object of an operation, signed now or with another secret, with the
        body as it is sent or another. None: this vendor sends none.
        """
        return None


StandIn = Callable[[Path], AbstractContextManager[Target]]
"""Starts a stand-in that may keep files in a folder, and stops it."""


def _all_targets() -> dict[str, StandIn]:
    found: dict[str, StandIn] = {}
    for module in pkgutil.iter_modules(vendors.__path__, f"{vendors.__name__}."):
        found |= importlib.import_module(module.name).TARGETS
    return found


TARGETS: Mapping[str, StandIn] = _all_targets()
