"""What a break's repair does to the books: pure arithmetic over three sides that must agree.

Every number is what its account is debited with, in minor units; below zero it is credited. What
an effect's own saga has booked, what a settlement has booked already, and what a line of a report
says: the repair books the line, less what is booked. Whatever is left over is the difference, and
the clearing account bears what no other account does.
"""

from __future__ import annotations

from dataclasses import dataclass

_OUT_OF_CLEARING = {"capture": 1, "refund": -1}
_OUT_OF_THE_BANK = {"payout": -1, "payout_return": 1}


@dataclass(frozen=True, slots=True)
class Line:
    """What a line of a report says: what it moves towards us, and what the provider kept."""

    net: int
    fee: int


@dataclass(frozen=True, slots=True)
class Settled:
    """What a settlement has booked of an effect."""

    clearing: int
    fee: int


@dataclass(frozen=True, slots=True)
class Moves:
    """What a repair moves: at the bank, to the provider's fees, and out of clearing."""

    bank: int
    fee: int
    clearing: int

    @property
    def difference(self) -> int:
        """What is left over when the effect leaves the clearing account whole."""
        return -(self.bank + self.fee + self.clearing)


def moves(
    kind: str, *, ours: int, line: Line | None, settled: Settled | None, fee: int | None = None
) -> Moves:
    """What has to be booked so that `line` is booked and the effect, of `ours` minor units, has
    left clearing; None: there is no such line, or nothing is settled.

    A payout is booked against the bank by its own saga. `fee`: the fee that is borne, when it is
    not the line's.
    """
    in_clearing = _OUT_OF_CLEARING.get(kind, 0) * ours
    at_the_bank = _OUT_OF_THE_BANK.get(kind, 0) * ours
    told = line or Line(0, 0)
    booked = settled or Settled(0, 0)
    booked_at_the_bank = booked.clearing - booked.fee if settled else 0
    return Moves(
        bank=told.net - at_the_bank - booked_at_the_bank,
        fee=(told.fee if fee is None else fee) - booked.fee,
        clearing=booked.clearing - in_clearing,
    )
