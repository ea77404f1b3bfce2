"""Statements and notifications of every version: each amount exactly, or a clear refusal."""

from __future__ import annotations

import random
import xml.etree.ElementTree as Independent
from decimal import Decimal

import pytest

from adapters.sepa.inbound import news_in
from recompense.contracts.batches import BankFileRefused, BankNews, NewsKind
from tests.support.bank_files import OUR_IBAN, Message, Ntry, Stmt, Tx, holds_against_schema

VERSIONS = [(kind, version) for kind in ("053", "054") for version in range(2, 15)]


def read(*statements: Stmt, kind: str = "053", version: int = 8) -> tuple[BankNews, ...]:
    message = Message(kind, version, statements)
    assert holds_against_schema(message.name, message.content) is None
    return news_in(message.content, OUR_IBAN)


def refusal(*statements: Stmt) -> str:
    with pytest.raises(BankFileRefused) as refused:
        read(*statements)
    return refused.value.code


def told(news: tuple[BankNews, ...]) -> list[tuple[str, str | None, int | None]]:
    return [(one.kind.value, one.reference, one.amount) for one in news]


@pytest.mark.parametrize(("kind", "version"), VERSIONS)
def test_booking_and_return_are_read_from_every_version(kind: str, version: int) -> None:
    entries = [
        Ntry("10.00", transactions=[Tx("E1", "10.00", message_id="M1")]),
        Ntry("10.00", credit=True, reversal=True, transactions=[Tx("E1", "10.00", reason="AC04")]),
        Ntry("7.5", credit=True),
    ]
    statement = Stmt(entries, opening="50.00", closing="57.50", count=3, total="27.50")
    news = read(statement, kind=kind, version=version)
    assert told(news) == [("booked", "E1", 1_000), ("returned", "E1", 1_000)]
    assert (news[0].batch_reference, news[1].reason, news[0].currency) == ("M1", "AC04", "EUR")


def test_several_statements_in_one_file_are_all_read() -> None:
    first = Stmt([Ntry("1.00", transactions=[Tx("E1")])], opening="10.00", closing="9.00")
    second = Stmt([Ntry("2.00", transactions=[Tx("E2")])], opening="9.00", closing="7.00")
    assert told(read(first, second)) == [("booked", "E1", 100), ("booked", "E2", 200)]


def test_statement_of_another_account_says_nothing_of_ours() -> None:
    theirs = Stmt([Ntry("1.00", transactions=[Tx("E1")])], iban="FR1420041010050500013M02606")
    assert read(theirs) == ()


def test_missing_optional_parts_are_tolerated() -> None:
    bare = Stmt([Ntry("1.00", booked_on=None, transactions=[Tx("E1")]), Ntry("3.00")], iban=None)
    assert told(read(bare)) == [("booked", "E1", 100)]
    assert read(Stmt()) == ()


@pytest.mark.parametrize(
    ("text", "amount"),
    [("12.34000", 1_234), ("0.01", 1), ("7", 700), ("007.5", 750), ("9999999999999", 10**15 - 100)],
)
def test_amount_with_needless_digits_is_exact(text: str, amount: int) -> None:
    assert told(read(Stmt([Ntry(text, transactions=[Tx("E1", text)])]))) == [
        ("booked", "E1", amount)
    ]


@pytest.mark.parametrize("text", ["12.34567", "0.00001", "1.001"])
def test_fraction_of_a_cent_is_refused_and_never_rounded(text: str) -> None:
    assert refusal(Stmt([Ntry(text, transactions=[Tx("E1", text)])])) == "file_amount"


@pytest.mark.parametrize(
    ("currency", "text", "amount"), [("JPY", "5001", 5_001), ("BHD", "1.2340", 1_234)]
)
def test_amount_of_another_currency_has_that_currency_s_minor_units(
    currency: str, text: str, amount: int
) -> None:
    entry = Ntry(text, currency=currency, transactions=[Tx("E1", text)])
    (news,) = read(Stmt([entry]))
    assert (news.amount, news.currency) == (amount, currency)


def test_fraction_of_a_yen_is_refused() -> None:
    assert refusal(Stmt([Ntry("50.01", currency="JPY")])) == "file_amount"


def test_batch_booking_without_details_names_its_batch_and_its_sum() -> None:
    (news,) = read(Stmt([Ntry("30.00", batch=("M1", 2, None))]))
    assert (news.kind, news.reference, news.batch_reference) == (NewsKind.BOOKED, None, "M1")
    assert (news.amount, news.items) == (3_000, 2)


def test_batch_booking_with_details_is_read_by_its_details() -> None:
    entry = Ntry("30.00", batch=("M1", 2, "30.00"), transactions=[Tx("E1", "10"), Tx("E2", "20")])
    assert told(read(Stmt([entry]))) == [("booked", "E1", 1_000), ("booked", "E2", 2_000)]


def test_details_that_tell_no_amount_are_not_guessed() -> None:
    entry = Ntry("30.00", transactions=[Tx("E1"), Tx("E2")])
    statement = Message("053", 2, [Stmt([entry])])
    assert holds_against_schema(statement.name, statement.content) is None
    news = news_in(statement.content, OUR_IBAN)
    assert told(news) == [("booked", "E1", None), ("booked", "E2", None)]


def test_details_of_another_sum_are_refused() -> None:
    entry = Ntry("30.00", transactions=[Tx("E1", "10.00"), Tx("E2", "20.01")])
    assert refusal(Stmt([entry])) == "file_inconsistent"


def test_detail_against_its_entry_s_direction_counts_the_other_way() -> None:
    entry = Ntry("30.00", transactions=[Tx("E1", "40.00"), Tx("E2", "10.00", credit=True)])
    assert told(read(Stmt([entry]))) == [("booked", "E1", 4_000), ("returned", "E2", 1_000)]


@pytest.mark.parametrize("status", ["PDNG", "INFO"])
def test_entry_that_is_not_booked_says_nothing(status: str) -> None:
    assert read(Stmt([Ntry("1.00", status=status, transactions=[Tx("E1")])])) == ()


def test_debit_that_reverses_a_credit_is_unclear() -> None:
    (news,) = read(Stmt([Ntry("1.00", reversal=True, transactions=[Tx("E1")])]))
    assert news.kind is NewsKind.UNCLEAR


@pytest.mark.parametrize(
    "changes",
    [
        {"count": 2},
        {"total": "1.01"},
        {"opening": "5.00", "closing": "6.00"},
    ],
)
def test_statement_that_contradicts_itself_is_refused(changes: dict[str, object]) -> None:
    values = {"entries": [Ntry("1.00", transactions=[Tx("E1")])], "opening": "5.00", **changes}
    assert refusal(Stmt(**values)) == "file_inconsistent"  # type: ignore[arg-type]


@pytest.mark.parametrize("count", ["9" * 5_000, "-1", "two", "\u0663"])
def test_count_that_is_none_is_refused(count: str) -> None:
    entry = Ntry("1.00", batch=("M1", 7, None))
    content = Message("053", 8, [Stmt([entry], count=1)]).content.decode()
    for tag, right in (("NbOfTxs", "7"), ("NbOfNtries", "1")):
        spoiled = content.replace(f"<{tag}>{right}<", f"<{tag}>{count}<").encode()
        with pytest.raises(BankFileRefused) as refused:
            news_in(spoiled, OUR_IBAN)
        assert refused.value.code == "file_malformed"


def test_truncated_file_is_refused() -> None:
    content = Message("053", 8, [Stmt([Ntry("1.00", transactions=[Tx("E1")])])]).content
    for length in range(0, len(content), 17):
        with pytest.raises(BankFileRefused):
            news_in(content[:length], OUR_IBAN)


def test_other_message_is_refused() -> None:
    content = Message("053", 8, [Stmt()]).content.replace(b"camt.053", b"camt.052")
    with pytest.raises(BankFileRefused, match="no message that we read"):
        news_in(content, OUR_IBAN)


def test_other_encoding_is_refused_whatever_it_declares() -> None:
    text = Message("053", 8, [Stmt()]).content.decode()
    for encoding in ("utf-16", "utf-32"):
        with pytest.raises(BankFileRefused) as refused:
            news_in(text.encode(encoding), OUR_IBAN)
        assert refused.value.code == "file_encoding"


def test_an_independent_reading_finds_the_same_amounts() -> None:
    chance = random.Random(7)  # noqa: S311 - a seed is the point
    for _ in range(60):
        entries = []
        for number in range(chance.randint(1, 12)):
            cents = chance.randint(1, 10 ** chance.randint(1, 11))
            text = f"{cents // 100}.{cents % 100:02}" + "0" * chance.randint(0, 3)
            entries.append(Ntry(text, transactions=[Tx(f"E{number}", text)]))
        kind, version = chance.choice(VERSIONS)
        content = Message(kind, version, [Stmt(entries)]).content
        found = [one.amount for one in news_in(content, OUR_IBAN)]
        root = Independent.fromstring(content)  # noqa: S314 - our own file
        texts = [node.findtext("{*}Amt") for node in root.iter() if node.tag.endswith("}Ntry")]
        assert found == [int(Decimal(text or "0") * 100) for text in texts]
