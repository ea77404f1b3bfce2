"""What HTTP itself says, the same for every provider: statuses that no adapter has to look behind,
and `Retry-After`.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from adapters.transport import ProviderAnswer
from recompense.domain.failures import OutcomeUnknown, ProviderAccessDenied, ProviderUnavailable

_LONGEST_SECONDS_TEXT = 18


def retry_after_seconds(header: str | None, *, cap_seconds: float, now: datetime) -> float | None:
    """Read `Retry-After` (RFC 9110, 10.2.3): seconds or a date, never beyond the cap.

    None where it says nothing usable: absent, negative, not a number and not a date.
    """
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return cap_seconds if len(text) > _LONGEST_SECONDS_TEXT else min(float(text), cap_seconds)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return min(max((aware - now).total_seconds(), 0.0), cap_seconds)


def refuse_unusable(
    answer: ProviderAnswer,
    *,
    retry_after_cap_seconds: float,
    nothing_done: AbstractSet[int] = frozenset(),
    now: datetime | None = None,
) -> None:
    """Raise for every status that tells nothing about money; return for 2xx and for the 4xx that
    carry a vendor's word.

    `nothing_done`: the server errors of which the vendor documents that nothing was done.

    Raises: `ProviderAccessDenied` (401, 403), `ProviderUnavailable` (429 and `nothing_done`),
    `OutcomeUnknown` (the rest).
    """
    status = answer.status
    if status in (401, 403):
        raise ProviderAccessDenied(f"the provider answered {status}")
    if status == 429 or status in nothing_done:
        wait = retry_after_seconds(
            answer.headers.get("retry-after"),
            cap_seconds=retry_after_cap_seconds,
            now=now or datetime.now(UTC),
        )
        raise ProviderUnavailable(f"the provider answered {status}", wait)
    if not (200 <= status < 300 or 400 <= status < 500) or status == 408:
        raise OutcomeUnknown(f"the provider answered {status}")
