"""Tables on their way out: no formula gets through, CSV reads back, HTML is inert."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recompense.contracts.views import FailureView, PayoutRunItemView, PayoutRunView
from recompense.domain.states import PayoutRunStatus, PayoutStatus
from recompense.statements.payout_run import table_of
from recompense.statements.rendering import (
    ROWS_IN_A_CHUNK,
    Amount,
    Cell,
    Format,
    Row,
    Table,
    rendered,
)


async def _given(rows: Sequence[Row]) -> AsyncIterator[Row]:
    for row in rows:
        yield row


def table(*rows: Row, title: str = "A title") -> Table:
    return Table(title, [("From", "then")], ["name", "amount"], _given(rows))


async def text_of(shown: Table, form: Format) -> str:
    return "".join([chunk async for chunk in rendered(shown, form)])


async def cell_in_csv(cell: Cell) -> str:
    text = await text_of(table((cell, "x")), "csv")
    return next(iter(list(csv.reader(io.StringIO(text, newline="")))[1]))


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        " =1",
        '=HYPERLINK("https://example.test")',
        "=cmd|' /C calc'!A0",
        "\uff1d1",
        "\uff0b1",
        "\uff0d1",
        "\uff20x",
    ],
)
async def test_text_that_a_spreadsheet_would_run_is_made_plain(text: str) -> None:
    assert await cell_in_csv(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "mer_1", "a=b", "1+1", "O'Neil", 'say "so"', "a,b", "a\r\nb"])
async def test_other_text_stays_as_it_is(text: str) -> None:
    assert await cell_in_csv(text) == text


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (Amount(-1_234, "EUR"), "-12.34"),
        (Amount(0, "EUR"), "0.00"),
        (Amount(5, "BHD"), "0.005"),
        (Amount(-7, "JPY"), "-7"),
    ],
)
async def test_amount_stays_a_number(amount: Amount, shown: str) -> None:
    assert await cell_in_csv(amount) == shown


@given(
    st.lists(
        st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=2),
        max_size=5,
    )
)
async def test_csv_reads_back_whole(rows: list[list[str]]) -> None:
    text = await text_of(table(*rows), "csv")
    read = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert read[0] == ["name", "amount"]
    assert [[cell.removeprefix("'") for cell in row] for row in read[1:]] == [
        [cell.removeprefix("'") for cell in row] for row in rows
    ]
    assert text.endswith("\r\n")


async def test_html_shows_markup_as_text() -> None:
    evil = '<script>alert("1")</script>'
    text = await text_of(table((evil, Amount(1, "EUR")), title=evil), "html")
    assert "<script" not in text
    assert text.count("&lt;script&gt;") == 3
    assert _tags(text)["tr"] == 2


def _tags(text: str) -> dict[str, int]:
    opened: dict[str, int] = {}
    closed: dict[str, int] = {}

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            opened[tag] = opened.get(tag, 0) + 1

        def handle_endtag(self, tag: str) -> None:
            closed[tag] = closed.get(tag, 0) + 1

    Reader().feed(text)
    opened.pop("meta")
    assert opened == closed
    return opened


@pytest.mark.parametrize("form", ["csv", "html"])
async def test_rows_go_out_before_the_last_one_is_read(form: Format) -> None:
    read = 0

    async def rows() -> AsyncIterator[Row]:
        nonlocal read
        for _ in range(10 * ROWS_IN_A_CHUNK):
            read += 1
            yield ("a", "b")

    chunks = rendered(Table("", (), ["name", "amount"], rows()), form)
    await anext(chunks)
    assert read == 0
    await anext(chunks)
    assert read == ROWS_IN_A_CHUNK


def item(number: int, currency: str, amount: int, failure: str | None = None) -> PayoutRunItemView:
    return PayoutRunItemView(
        id=f"itm_{number}",
        merchant_id=f"mer_{number}",
        currency=currency,
        amount=amount,
        status=PayoutStatus.FAILED if failure else PayoutStatus.PAID,
        payout_id=f"po_{number}",
        failure=FailureView(code="refused", message=failure) if failure else None,
    )


RUN = PayoutRunView(
    id="run_1",
    name="weekly",
    business_date=date(2026, 11, 30),
    currency=None,
    status=PayoutRunStatus.COMPLETED_WITH_FAILURES,
    items_count=3,
    amount_total={"EUR": 150, "JPY": 7},
    paid_count=2,
    failed_count=1,
    amount_paid={"EUR": 100, "JPY": 7},
    created_by="finance",
    reviewed_by=None,
    created_at=datetime(2026, 11, 30, tzinfo=UTC),
    updated_at=datetime(2026, 11, 30, tzinfo=UTC),
)


async def test_run_is_shown_with_its_sums() -> None:
    async def items() -> AsyncIterator[PayoutRunItemView]:
        yield item(1, "EUR", 100)
        yield item(2, "EUR", 50, "=the bank said no")
        yield item(3, "JPY", 7)

    text = await text_of(table_of(RUN, items()), "csv")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[2] == ["itm_2", "mer_2", "po_2", "failed", "EUR", "0.50", "'=the bank said no"]
    assert [(row[0], row[4], row[5]) for row in rows[4:]] == [
        ("total", "EUR", "1.50"),
        ("total_paid", "EUR", "1.00"),
        ("total", "JPY", "7"),
        ("total_paid", "JPY", "7"),
    ]
