"""The settlement report, fetched: a day of the balance's transactions, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time, timedelta
from functools import partial

from adapters.statuses import refuse_unusable
from adapters.stripe.client import StripeClient
from adapters.stripe.report import report_end, report_head, report_line
from adapters.stripe.shapes import json_object
from adapters.transport import ProviderAnswer
from recompense.domain.failures import OutcomeUnknown, ProviderUnavailable

_PAGE = 50
"""With their sources, these stay well below the size of an answer that is taken."""

_SETTLES_AFTER = timedelta(minutes=15)
"""How long after midnight a day's transactions are all there."""


async def report_chunks(
    client: StripeClient, report_date: date, retry_after_cap_seconds: float, *, now: datetime
) -> AsyncIterator[bytes]:
    """Yield the report's head, a chunk for each page, and its end.

    Raises `ProviderUnavailable` while the day is not over, and as the port says.
    """
    start = datetime.combine(report_date, time(), UTC)
    end = start + timedelta(days=1)
    if now < end + _SETTLES_AFTER:
        raise ProviderUnavailable("the day of this report is not over yet")
    query = {
        "created[gte]": str(int(start.timestamp())),
        "created[lt]": str(int(end.timestamp())),
        "limit": str(_PAGE),
        "expand[]": "data.source",
    }
    yield report_head(report_date)
    lines, after, more = 0, dict[str, str](), True
    while more:
        read = partial(_page, cap_seconds=retry_after_cap_seconds)
        transactions, more = await client.report_page({**query, **after}, read)
        yield b"".join(report_line(raw) for raw in transactions)
        lines += len(transactions)
        after = {"starting_after": str(transactions[-1].get("id"))} if transactions else {}
    yield report_end(lines)


def _page(answer: ProviderAnswer, cap_seconds: float) -> tuple[list[dict[str, object]], bool]:
    refuse_unusable(answer, retry_after_cap_seconds=cap_seconds)
    if answer.status != 200:
        raise OutcomeUnknown(f"the provider answered {answer.status} to a report's page")
    body = json_object(answer)
    data, more = body.get("data"), body.get("has_more")
    if not isinstance(data, list) or not isinstance(more, bool) or (more and not data):
        raise OutcomeUnknown("the provider answered with something else than a page")
    if not all(isinstance(raw, dict) and isinstance(raw.get("id"), str) for raw in data):
        raise OutcomeUnknown("the provider's page holds something else than transactions")
    return data, more
