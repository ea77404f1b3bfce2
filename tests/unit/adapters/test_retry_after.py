"""`Retry-After` in every form that a server may send, and in those that it must not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.statuses import retry_after_seconds

NOW = datetime(2026, 2, 28, 23, 59, 50, tzinfo=UTC)


def read(header: str | None) -> float | None:
    return retry_after_seconds(header, cap_seconds=30, now=NOW)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        ("7", 7),
        (" 7 ", 7),
        ("31", 30),
        ("9" * 5_000, 30),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("1, 2", None),
        (format_datetime(NOW + timedelta(seconds=12), usegmt=True), 12),
        (format_datetime(NOW - timedelta(hours=1), usegmt=True), 0),
        (format_datetime(NOW + timedelta(days=900), usegmt=True), 30),
        ("Sun, 01 Mar 2026 00:00:00 -0000", 10),
        ("Sun, 99 Mar 99999 00:00:00 GMT", None),
    ],
)
def test_header_is_read_and_capped(header: str | None, seconds: float | None) -> None:
    assert read(header) == seconds


@given(st.text())
def test_any_text_is_none_or_within_the_cap(header: str) -> None:
    seconds = read(header)
    assert seconds is None or 0 <= seconds <= 30
