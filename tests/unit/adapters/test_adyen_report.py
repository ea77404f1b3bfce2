"""The settlement detail report: each line exact, the whole of it or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.adyen.report import settlement_lines
from recompense.contracts.settlement import ReportRefused, SettlementKind, SettlementLine
from tests.support.adyen.signing import ACCOUNT
from tests.support.hostile_bodies import LEAST, mutated

COLUMNS = (
    "Company Account,Merchant Account,Psp Reference,Merchant Reference,Payment Method,"
    "Creation Date,TimeZone,Type,Modification Reference,Gross Currency,Gross Debit (GC),"
    "Gross Credit (GC),Exchange Rate,Net Currency,Net Debit (NC),Net Credit (NC),"
    "Commission (NC),Markup (NC),Scheme Fees (NC),Interchange (NC),Payment Method Variant,"
    "Modification Merchant Reference,Batch Number"
).split(",")
SETTLED = {
    "Company Account": "Company",
    "Merchant Account": ACCOUNT,
    "Psp Reference": "PSP1",
    "Merchant Reference": "pay_1/authorize/1",
    "Creation Date": "2026-11-27 23:59:58",
    "TimeZone": "UTC",
    "Type": "Settled",
    "Modification Reference": "PSP2",
    "Gross Currency": "EUR",
    "Gross Credit (GC)": "100.00",
    "Exchange Rate": "1",
    "Net Currency": "EUR",
    "Net Credit (NC)": "98.55",
    "Commission (NC)": "0.10",
    "Markup (NC)": "0.35",
    "Scheme Fees (NC)": "0.40",
    "Interchange (NC)": "0.60",
    "Modification Merchant Reference": "cap_1/capture/1",
    "Batch Number": "7",
}
FEES = ("Commission (NC)", "Markup (NC)", "Scheme Fees (NC)", "Interchange (NC)")
REFUNDED = {
    **SETTLED,
    "Type": "Refunded",
    "Modification Reference": "PSP3",
    "Gross Credit (GC)": "",
    "Gross Debit (GC)": "40.00",
    "Net Credit (NC)": "",
    "Net Debit (NC)": "40.25",
    "Commission (NC)": "0.25",
    "Markup (NC)": "",
    "Scheme Fees (NC)": "",
    "Interchange (NC)": "",
    "Modification Merchant Reference": "ref_1/refund/1",
}
FEE = {
    "Merchant Account": ACCOUNT,
    "Creation Date": "2026-11-27 12:00:00",
    "TimeZone": "CET",
    "Type": "Fee",
    "Net Currency": "EUR",
    "Net Debit (NC)": "3.2",
    "Batch Number": "7",
}
PAYOUT = {**FEE, "Type": "MerchantPayout", "Net Debit (NC)": "55.05"}


def csv(*rows: dict[str, str]) -> bytes:
    lines = [",".join(COLUMNS), *(",".join(row.get(name, "") for name in COLUMNS) for row in rows)]
    return ("\n".join(lines) + "\n").encode()


def read(report: bytes, size: int = 1_000_000) -> list[SettlementLine]:
    chunks = [report[start : start + size] for start in range(0, len(report), size)]
    return list(settlement_lines(chunks, ACCOUNT))


def refusal(report: bytes) -> str:
    with pytest.raises(ReportRefused) as raised:
        read(report)
    return raised.value.code


@pytest.mark.parametrize("size", [1, 7, 1_000_000])
def test_lines_are_read_exactly_however_the_file_is_cut(size: int) -> None:
    settled, refunded, fee = read(csv(SETTLED, REFUNDED, FEE), size)
    assert (settled.kind, settled.amount, settled.fee, settled.net) == (
        SettlementKind.CAPTURE,
        10_000,
        145,
        9_855,
    )
    assert (settled.operation_id, settled.effect_key) == ("cap_1", "cap_1:capture:1")
    assert (settled.provider_reference, settled.number) == ("PSP2", 1)
    assert settled.effected_at is not None
    assert (refunded.kind, refunded.amount, refunded.fee, refunded.net) == (
        SettlementKind.REFUND,
        4_000,
        25,
        -4_025,
    )
    assert (fee.kind, fee.amount, fee.fee, fee.net) == (SettlementKind.FEE, 320, 0, -320)


def test_merchant_reference_names_the_effect_where_the_modification_has_none() -> None:
    [line] = read(csv({**SETTLED, "Modification Merchant Reference": "Order 17"}))
    assert line.effect_key == "pay_1:authorize:1"


def test_other_accounts_are_passed_over_and_keep_their_numbers() -> None:
    other = {**SETTLED, "Merchant Account": "Another"}
    assert [line.number for line in read(csv(other, SETTLED))] == [2]


def test_payouts_to_our_own_account_are_passed_over_and_keep_their_numbers() -> None:
    assert [(line.number, line.kind) for line in read(csv(PAYOUT, SETTLED, PAYOUT, FEE))] == [
        (2, SettlementKind.CAPTURE),
        (4, SettlementKind.FEE),
    ]
    assert refusal(csv(SETTLED, {**PAYOUT, "Net Debit (NC)": "5,5"})) == "report_malformed"


@pytest.mark.parametrize(("row", "word"), [(SETTLED, "Settled"), (REFUNDED, "Refunded")])
def test_what_is_taken_back_is_left_to_a_person(row: dict[str, str], word: str) -> None:
    turned = {**row, "Type": f"{word}Reversed"} | dict.fromkeys(FEES, "")
    for name, other in (("Debit", "Credit"), ("Credit", "Debit")):
        turned[f"Gross {name} (GC)"] = turned[f"Net {name} (NC)"] = row.get(
            f"Gross {other} (GC)", ""
        )
    [there], [back] = read(csv(row)), read(csv(turned))
    assert (back.kind, back.amount) == (SettlementKind.OTHER, there.amount)
    assert back.net == -(there.net + there.fee)


@pytest.mark.parametrize(
    ("currency", "text", "minor"),
    [
        ("JPY", "1000", 1_000),
        ("BHD", "1.234", 1_234),
        ("ISK", "2790", 2_790),
        ("IDR", "123", 12_300),
    ],
)
def test_amounts_are_of_major_units(currency: str, text: str, minor: int) -> None:
    row = {**SETTLED, "Gross Currency": currency, "Net Currency": currency}
    row |= {"Gross Credit (GC)": text, "Net Credit (NC)": text}
    row |= dict.fromkeys((name for name in row if name in FEES), "")
    [line] = read(csv(row))
    assert (line.amount, line.net, line.currency) == (minor, minor, currency)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Net Credit (NC)": "98.56"}, "report_inconsistent"),
        ({"Net Currency": "USD"}, "report_inconsistent"),
        ({"Gross Credit (GC)": "100.001"}, "report_malformed"),
        ({"Gross Credit (GC)": "1e2"}, "report_malformed"),
        ({"Gross Credit (GC)": "\u0661\u0660\u0660"}, "report_malformed"),
        ({"Gross Currency": "ZZZ"}, "report_malformed"),
        ({"Creation Date": "yesterday"}, "report_malformed"),
    ],
)
def test_line_that_cannot_be_right_refuses_the_report(changes: dict[str, str], code: str) -> None:
    assert refusal(csv(REFUNDED, {**SETTLED, **changes})) == code


def test_file_that_is_not_whole_is_refused() -> None:
    report = csv(SETTLED, REFUNDED)
    assert refusal(report[:-1]) == "report_truncated"
    assert refusal(b"") == "report_malformed"
    assert refusal(report.replace(b"Net Currency,", b"")) == "report_malformed"
    assert refusal(report.replace(b"Company,", b"Company,,", 1)) == "report_malformed"
    assert refusal(report + b"\xff\n") == "report_encoding"


def test_report_without_lines_settles_nothing() -> None:
    assert read(csv()) == []


def test_byte_order_mark_and_quotes_are_taken() -> None:
    quoted = {**SETTLED, "Company Account": '"Company, ""the"" one"'}
    assert len(read(b"\xef\xbb\xbf" + csv(quoted))) == 1


def test_mutated_reports_are_refused_or_add_up() -> None:
    refused = 0
    for body in mutated(csv(SETTLED, REFUNDED, FEE), 5, at_least=LEAST):
        lines: list[Any] = []
        try:
            lines = read(body.content)
        except ReportRefused:
            refused += 1
        for line in lines:
            gross = {SettlementKind.CAPTURE: 1, SettlementKind.REFUND: -1}.get(line.kind)
            if gross is not None:
                assert gross * line.amount - line.fee == line.net, body.name
    assert refused > 0
