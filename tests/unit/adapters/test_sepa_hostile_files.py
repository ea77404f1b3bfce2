"""Malformed bank files: refused or without a word, and never a guess."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest

from adapters.sepa.inbound import news_in
from adapters.sepa.report import lines
from adapters.sepa.translate import found_in
from recompense.contracts.batches import BankFileRefused
from recompense.contracts.provider import Found
from recompense.contracts.settlement import ReportRefused
from recompense.domain.failures import OutcomeUnknown
from tests.support.bank_files import OUR_IBAN, Message, Ntry, Stmt, Tx, status_report
from tests.support.hostile_bodies import LEAST, hold_against, mutated

REFERENCE = "01K00000000000000000000000A1"
BOOKED = Message("054", 8, [Stmt([Ntry("10.00", transactions=[Tx(REFERENCE)])])]).content
BOOKED_OLD = Message("053", 2, [Stmt([Ntry("10.00", transactions=[Tx(REFERENCE)])])]).content
REJECTED = status_report(
    "M1", transactions=[(REFERENCE, "RJCT", "AC04")], amount="10.00", version=3
)
OF_AN_ENTRY = {"Amt", "EndToEndId", "CdtDbtInd", "Sts", "Ntry", "TxDtls"}


def found(content: bytes) -> Found:
    try:
        news = news_in(content, OUR_IBAN)
    except BankFileRefused as refused:
        raise OutcomeUnknown(refused.code) from refused
    about = [one for one in news if one.reference == REFERENCE]
    if not about:
        raise OutcomeUnknown("nothing of ours")
    return found_in(about, reference=REFERENCE, amount=1_000, currency="EUR")


@pytest.mark.parametrize(
    ("good", "critical", "final"),
    [
        (BOOKED, OF_AN_ENTRY - {"Ntry", "TxDtls"}, "Approved"),
        (BOOKED_OLD, OF_AN_ENTRY - {"Ntry", "TxDtls"}, "Approved"),
        (REJECTED, {"OrgnlEndToEndId", "TxSts"}, "Declined"),
    ],
)
def test_malformed_file_is_never_a_guess(good: bytes, critical: set[str], final: str) -> None:
    assert type(found(good).answer).__name__ == final
    told: Counter[str] = hold_against(found, good, critical=critical, at_least=LEAST)
    assert told.total() >= LEAST
    assert told["OutcomeUnknown"] > LEAST // 4


@pytest.mark.parametrize("good", [BOOKED, BOOKED_OLD, REJECTED])
def test_malformed_file_raises_our_refusal_and_nothing_else(good: bytes) -> None:
    refused = Counter[str]()
    for body in mutated(good, 13):
        try:
            news_in(body.content, OUR_IBAN)
        except BankFileRefused as error:
            refused[error.code] += 1
    assert refused["file_malformed"] > 0
    assert refused["file_encoding"] > 0


def test_malformed_report_raises_our_refusal_and_nothing_else() -> None:
    day, codes = date.fromisoformat(Stmt().day), Counter[str]()
    for body in mutated(BOOKED_OLD, 17):
        pieces = [body.content[start : start + 100] for start in range(0, len(body.content), 100)]
        try:
            list(lines(pieces, day, OUR_IBAN))
        except ReportRefused as error:
            codes[error.code] += 1
    assert codes["report_malformed"] > 0
    assert codes["report_encoding"] > 0


@pytest.mark.parametrize(
    "head",
    [
        b'<!DOCTYPE d [<!ENTITY a "1"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>',
        b'<!DOCTYPE d SYSTEM "http://127.0.0.1:9/x.dtd">',
        b'<!doctype d [<!ENTITY x SYSTEM "file:///etc/hostname">]>',
    ],
)
def test_document_type_is_refused_before_anything_is_read(head: bytes) -> None:
    start = BOOKED.index(b"<Document")
    for content in (BOOKED[:start] + head + BOOKED[start:], head + BOOKED[start:]):
        with pytest.raises(BankFileRefused) as refused:
            news_in(content, OUR_IBAN)
        assert refused.value.code == "file_malformed"


def test_document_type_across_two_pieces_is_found() -> None:
    content = b'<?xml version="1.0"?>' + b" " * 65_500 + b"<!DOCTYPE d []>" + BOOKED
    for cut in range(65_515, 65_535):
        with pytest.raises(BankFileRefused, match="document type"):
            news_in(content[:cut] + content[cut:], OUR_IBAN)


def test_file_beyond_the_depth_or_the_size_is_refused() -> None:
    deep = BOOKED.replace(b"<NtryDtls>", b"<NtryDtls>" + b"<a>" * 60 + b"</a>" * 60, 1)
    with pytest.raises(BankFileRefused, match="nests deeper"):
        news_in(deep, OUR_IBAN)
    with pytest.raises(BankFileRefused) as refused:
        news_in(BOOKED + b" " * (64 * 1024 * 1024), OUR_IBAN)
    assert refused.value.code == "file_too_large"
