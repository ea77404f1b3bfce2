"""What we emit, and what a bank answers to it by `pain.002`."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime
from typing import Any

import pytest
from lxml import etree
from pydantic import ValidationError

from adapters.sepa.amounts import decimal_text, minor_units
from adapters.sepa.config import Party, SepaConfig
from adapters.sepa.identifiers import end_to_end_id, file_name, message_id
from adapters.sepa.inbound import news_in
from adapters.sepa.pain001 import Initiation, Transfer, execution_date, written
from adapters.sepa.schemas import require_valid
from recompense.contracts.batches import NewsKind
from recompense.domain.effects import effect_key
from recompense.domain.failures import InvariantBroken
from recompense.domain.ids import IdPrefix, new_id
from tests.support.bank_files import OUR_IBAN, holds_against_schema, status_report

MOMENT = datetime(2026, 11, 27, 15, 0, 0, 123, tzinfo=UTC)
PAYEE = Party(name="Erika Mustermann", iban="FR1420041010050500013M02606")
VERSIONS = ("001.001.03", "001.001.09")


def config(**changes: Any) -> SepaConfig:
    values = {
        "debtor": {"name": "Recompense GmbH", "iban": OUR_IBAN, "bic": "COBADEFFXXX"},
        "bank_tokens": {"tok_a": PAYEE.model_dump()},
        "folder": "/nowhere",
        **changes,
    }
    return SepaConfig.model_validate(values)


def initiation(*amounts: int) -> Initiation:
    transfers = [Transfer(f"E{number}", amount, PAYEE) for number, amount in enumerate(amounts)]
    return Initiation("RCMP20261127T150000Z", MOMENT, transfers)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("bic", ["COBADEFFXXX", None])
def test_file_holds_against_the_public_schema_and_adds_up(version: str, bic: str | None) -> None:
    debtor = {"name": "Recompense GmbH", "iban": OUR_IBAN, "bic": bic}
    content = written(
        initiation(1, 99, 99_999_999_999), config(pain_version=version, debtor=debtor)
    )
    assert holds_against_schema(f"pain.{version}", content) is None
    root = etree.fromstring(content)
    assert [node.text for node in root.iter("{*}InstdAmt")] == ["0.01", "0.99", "999999999.99"]
    assert {node.text for node in root.iter("{*}CtrlSum")} == {"1000000000.99"}
    assert {node.text for node in root.iter("{*}NbOfTxs")} == {"3"}
    assert [node.text for node in root.iter("{*}EndToEndId")] == ["E0", "E1", "E2"]


def test_same_batch_is_the_same_bytes() -> None:
    assert written(initiation(5, 6), config()) == written(initiation(5, 6), config())


def test_file_that_its_schema_refuses_does_not_leave() -> None:
    with pytest.raises(InvariantBroken, match=r"no pain\.001"):
        written(Initiation("x" * 36, MOMENT, initiation(1).transfers), config())
    with pytest.raises(InvariantBroken):
        require_valid(b"<Document/>", "pain.001.001.09")


@pytest.mark.parametrize(
    ("closed", "day"),
    [
        (datetime(2026, 11, 27, 23, 59, tzinfo=UTC), date(2026, 11, 27)),
        (datetime(2026, 11, 28, tzinfo=UTC), date(2026, 11, 30)),
        (datetime(2026, 12, 25, tzinfo=UTC), date(2026, 12, 28)),
        (datetime(2027, 3, 26, tzinfo=UTC), date(2027, 3, 30)),
    ],
)
def test_execution_date_is_a_target_business_day(closed: datetime, day: date) -> None:
    assert execution_date(closed) == day


def test_amounts_go_there_and_back() -> None:
    chance = random.Random(11)  # noqa: S311 - a seed is the point
    for currency in ("EUR", "JPY", "BHD"):
        for _ in range(500):
            amount = chance.randint(0, 10 ** chance.randint(1, 15))
            assert minor_units(decimal_text(amount, currency), currency) == amount


def test_effect_keys_map_to_35_characters_and_no_two_to_one() -> None:
    ids = [new_id(IdPrefix.PAYOUT) for _ in range(20)]
    keys = {
        effect_key(one, "payout", attempt, leg)
        for one in ids
        for attempt in (1, 2, 9, 11, 99_999)
        for leg in (1, 2, 11)
    }
    mapped = {end_to_end_id(key) for key in keys}
    assert len(mapped) == len(keys)
    assert all(len(one) <= 35 and one.isascii() and one.isalnum() for one in mapped)


@pytest.mark.parametrize("key", ["", "po_1:payout:1", "pay_01K:authorize:1", "po_x:payout:01"])
def test_other_key_has_no_end_to_end_id(key: str) -> None:
    with pytest.raises(InvariantBroken):
        end_to_end_id(key)


def test_batch_names_its_message_and_its_file() -> None:
    assert message_id("sepa/20261127T150000Z") == "RCMP20261127T150000Z"
    assert file_name("sepa/20261127T150000Z") == "RCMP20261127T150000Z.pain001.xml"
    with pytest.raises(InvariantBroken):
        message_id("sepa/../../etc")


@pytest.mark.parametrize(
    "changes",
    [
        {"debtor": {"name": "R", "iban": "DE89370400440532013001"}},
        {"debtor": {"name": "R", "iban": OUR_IBAN, "bic": "NOTABIC"}},
        {"debtor": {"name": "Ümläut", "iban": OUR_IBAN}},
        {"bank_tokens": {"tok": {"name": "R", "iban": "XX00"}}},
        {"folder": None},
        {"sftp": {"host": "h", "username": "u", "host_key": "k", "password": "p"}},
        {"folder": None, "sftp": {"host": "h", "username": "u", "host_key": "k"}},
        {"pain_version": "001.001.11"},
    ],
)
def test_configuration_that_cannot_work_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config(**changes)


def test_iban_is_kept_in_its_compact_form() -> None:
    spaced = config(debtor={"name": "R", "iban": "DE89 3704 0044 0532 0130 00"})
    assert spaced.debtor.iban == OUR_IBAN


@pytest.mark.parametrize("version", range(3, 13))
def test_status_report_tells_each_transaction(version: int) -> None:
    report = status_report(
        "M1",
        version=version,
        transactions=[("E1", "RJCT", "AC04"), ("E2", "ACSC", None), ("E3", "ACTC", None)],
    )
    news = news_in(report, OUR_IBAN)
    assert [(one.kind, one.reference, one.reason) for one in news] == [
        (NewsKind.REJECTED, "E1", "AC04"),
        (NewsKind.SETTLED, "E2", None),
        (NewsKind.ACCEPTED, "E3", None),
    ]


def test_rejected_group_names_its_batch() -> None:
    (news,) = news_in(status_report("M1", group=("RJCT", "FF01")), OUR_IBAN)
    assert (news.kind, news.batch_reference, news.reason) == (NewsKind.REJECTED, "M1", "FF01")


@pytest.mark.parametrize("reason", ["AM05", "DU01", "DU03"])
def test_rejection_of_a_duplicate_says_nothing_of_the_first(reason: str) -> None:
    report = status_report("M1", group=("RJCT", reason), transactions=[("E1", "RJCT", reason)])
    assert {one.kind for one in news_in(report, OUR_IBAN)} == {NewsKind.UNCLEAR}


@pytest.mark.parametrize("status", ["ACCP", "ACSP", "PDNG", "RCVD", "PART", "XXXX"])
def test_status_that_is_not_final_or_not_known_is_not_final(status: str) -> None:
    report = status_report("M1", group=(status, None), transactions=[("E1", status, None)])
    assert {one.kind for one in news_in(report, OUR_IBAN)} == {NewsKind.ACCEPTED}


def test_amount_of_a_status_is_read() -> None:
    report = status_report("M1", transactions=[("E1", "ACSC", None)], amount="12.30")
    (news,) = news_in(report, OUR_IBAN)
    assert (news.amount, news.currency) == (1_230, "EUR")
