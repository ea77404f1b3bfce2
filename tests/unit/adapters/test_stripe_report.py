"""Stripe's balance transactions, fetched from localstripe and read as a settlement report."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from adapters.stripe.client import StripeClient
from adapters.stripe.config import StripeConfig
from adapters.stripe.fetching import report_chunks
from adapters.stripe.policy import POLICIES
from adapters.stripe.report import report_end, report_head, report_line, settlement_lines
from adapters.transport import ObservedTransport
from recompense.contracts.settlement import ReportRefused, SettlementKind, SettlementLine
from recompense.domain.failures import OutcomeUnknown, ProviderUnavailable
from tests.support.faulty_server import FaultyServer, http_answer, serving
from tests.support.localstripe import API_KEY, Localstripe, running_localstripe

DAY = date(2026, 11, 24)
NOON = int(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp())


def transaction(**changes: Any) -> dict[str, Any]:
    return {
        "id": "txn_1",
        "object": "balance_transaction",
        "amount": 1_000,
        "fee": 40,
        "net": 960,
        "currency": "eur",
        "created": NOON,
        "type": "charge",
        "reporting_category": "charge",
        "exchange_rate": None,
        "source": {"id": "ch_1", "object": "charge", "metadata": {"operation_id": "pay_1"}},
        **changes,
    }


def report(*transactions: dict[str, Any]) -> bytes:
    lines = b"".join(report_line(one) for one in transactions)
    return report_head(DAY) + lines + report_end(len(transactions))


def read(content: bytes, *, size: int = 7) -> list[SettlementLine]:
    chunks = [content[start : start + size] for start in range(0, len(content), size)]
    return list(settlement_lines(chunks, DAY))


def refused(content: bytes) -> str:
    with pytest.raises(ReportRefused) as raised:
        read(content)
    return raised.value.code


def test_lines_say_what_was_settled() -> None:
    back = {"operation_id": "ref_1", "effect_key": "ref_1:refund:1"}
    first, second = read(
        report(
            transaction(),
            transaction(
                id="txn_2",
                type="refund",
                amount=-300,
                fee=-10,
                net=-290,
                source={"id": "re_1", "object": "refund", "metadata": back},
            ),
        )
    )
    assert (first.number, first.kind, first.provider_reference) == (1, "capture", "ch_1")
    assert (first.amount, first.fee, first.net, first.currency) == (1_000, 40, 960, "EUR")
    assert (first.operation_id, first.effect_key) == (None, None)
    assert first.effected_at == datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert (second.number, second.kind, second.effect_key) == (2, "refund", "ref_1:refund:1")
    assert (second.amount, second.fee, second.net) == (300, -10, -290)


@pytest.mark.parametrize(
    ("word", "category", "kind"),
    [
        ("charge", "charge", SettlementKind.CAPTURE),
        ("payment_refund", "refund", SettlementKind.REFUND),
        ("payout", "payout", SettlementKind.PAYOUT),
        ("transfer", "transfer", SettlementKind.PAYOUT),
        ("payout_failure", "payout_reversal", SettlementKind.PAYOUT_RETURN),
        ("transfer_refund", "transfer_reversal", SettlementKind.PAYOUT_RETURN),
        ("adjustment", "dispute", SettlementKind.DISPUTE),
        ("stripe_fee", "fee", SettlementKind.FEE),
        ("a_type_of_tomorrow", None, SettlementKind.OTHER),
    ],
)
def test_type_of_a_transaction_has_its_kind(
    word: str, category: str | None, kind: SettlementKind
) -> None:
    [line] = read(report(transaction(type=word, reporting_category=category, source="x_1")))
    assert (line.kind, line.provider_reference) == (kind, "x_1")


OURS = {"operation_id": "po_1", "effect_key": "po_1:create_payout:1"}


def payout(word: str = "payout", *, fee: int = 0, **source: Any) -> dict[str, Any]:
    amount = -500 if word == "payout" else 500
    made = {"id": "po_9", "object": "payout", **source}
    return transaction(type=word, amount=amount, fee=fee, net=amount - fee, source=made)


@pytest.mark.parametrize("word", ["payout", "payout_cancel", "payout_failure", "payout_reversal"])
@pytest.mark.parametrize("metadata", [{}, {"metadata": None}, {"metadata": {"of": "the shop"}}])
def test_payout_to_our_own_account_is_passed_over(word: str, metadata: dict[str, Any]) -> None:
    [line] = read(report(payout(word, **metadata), transaction()))
    assert (line.number, line.kind) == (2, SettlementKind.CAPTURE)


def test_payout_to_our_own_account_leaves_its_fee() -> None:
    [line] = read(report(payout(fee=5)))
    assert (line.kind, line.amount, line.fee, line.net) == (SettlementKind.FEE, 5, 0, -5)


def test_payout_that_we_asked_for_is_read() -> None:
    away, back = read(report(payout(metadata=OURS), payout("payout_failure", metadata=OURS)))
    assert (away.kind, away.effect_key, away.net) == ("payout", OURS["effect_key"], -500)
    assert (back.kind, back.operation_id, back.net) == ("payout_return", "po_1", 500)


def test_payout_to_our_own_account_has_to_be_right_too() -> None:
    assert refused(report(payout() | {"net": -501})) == "report_inconsistent"
    assert refused(report(payout() | {"created": NOON + 86_400})) == "report_other_date"
    whole = report(payout(), transaction())
    assert refused(whole.replace(b'{"lines":2}', b'{"lines":1}')) == "report_inconsistent"


def test_amounts_are_in_our_units() -> None:
    [line] = read(report(transaction(currency="isk", amount=50_000, fee=1_000, net=49_000)))
    assert (line.amount, line.fee, line.net) == (500, 10, 490)


def test_empty_day_has_no_lines() -> None:
    assert read(report()) == []


@pytest.mark.parametrize("end", [0, 1, 40, 200, -1, -5, -12])
def test_report_cut_anywhere_is_refused(end: int) -> None:
    whole = report(transaction(), transaction(id="txn_2"))
    assert refused(whole[:end]) in ("report_truncated", "report_malformed")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (report_head(DAY - timedelta(days=1)) + report_end(0), "report_other_date"),
        (report(transaction(created=NOON + 86_400)), "report_other_date"),
        (report(transaction(net=961)), "report_inconsistent"),
        (
            report(transaction(currency="isk", amount=1_050, fee=0, net=1_050)),
            "report_inconsistent",
        ),
        (report(transaction(currency="xyz")), "report_inconsistent"),
        (report_head(DAY) + report_line(transaction()) + report_end(2), "report_inconsistent"),
        (report_head(DAY) + report_end(0) + report_end(0), "report_malformed"),
        (report_head(DAY) + b"\xff\xfe\n" + report_end(1), "report_encoding"),
        (b"amount,fee,net\n", "report_malformed"),
        (report(transaction(amount="1000")), "report_malformed"),
        (report(transaction(amount=10.5)), "report_malformed"),
        (report_head(DAY) + b"x" * 2_000_000, "report_malformed"),
    ],
)
def test_report_that_cannot_be_trusted_is_refused_whole(content: bytes, code: str) -> None:
    with pytest.raises(ReportRefused) as raised:
        read(content, size=65_536)
    assert raised.value.code == code


@pytest.fixture(scope="module")
def vendor() -> Iterator[Localstripe]:
    with running_localstripe() as running:
        yield running


@pytest_asyncio.fixture
async def transport() -> AsyncIterator[ObservedTransport]:
    made = ObservedTransport(lambda _record: None)
    yield made
    await made.aclose()


def client_at(base_url: str, transport: ObservedTransport) -> StripeClient:
    config = {"base_url": base_url, "api_key": API_KEY, "webhook_secrets": ["whsec"]}
    return StripeClient(StripeConfig.model_validate(config), POLICIES, transport)


def pay(vendor: Localstripe, amount: int) -> str:
    form = {"amount": str(amount), "currency": "eur", "confirm": "true"}
    form |= {"payment_method": "pm_card_visa", "capture_method": "automatic"}
    made = vendor.http.post("/v1/payment_intents", data=form).raise_for_status()
    charge: str = made.json()["latest_charge"]["id"]
    return charge


async def test_report_is_fetched_page_by_page_and_read(
    vendor: Localstripe, transport: ObservedTransport
) -> None:
    for number in range(120):
        pay(vendor, 1_000 + number)
    made = vendor.all("balance_transactions")
    moment = datetime.fromtimestamp(made[0]["created"], UTC)
    day, later = moment.date(), moment + timedelta(days=2)
    client = client_at(vendor.base_url, transport)
    chunks = [chunk async for chunk in report_chunks(client, day, 30, now=later)]
    lines = list(settlement_lines(chunks, day))
    wanted = [one for one in made if datetime.fromtimestamp(one["created"], UTC).date() == day]
    assert [line.provider_reference for line in lines] == [one["source"] for one in wanted]
    assert [line.net for line in lines] == [one["net"] for one in wanted]
    assert len(chunks) > 3


async def test_report_of_a_day_that_is_not_over_is_unavailable(
    vendor: Localstripe, transport: ObservedTransport
) -> None:
    now = datetime.now(UTC)
    client = client_at(vendor.base_url, transport)
    with pytest.raises(ProviderUnavailable):
        [chunk async for chunk in report_chunks(client, now.date(), 30, now=now)]


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"data": [], "has_more": true}', b'{"data": [1], "has_more": false}'],
)
async def test_page_that_is_none_is_unknown(body: bytes, transport: ObservedTransport) -> None:
    async with serving(FaultyServer([http_answer(200, body)])) as base_url:
        client = client_at(base_url, transport)
        now = datetime(2026, 11, 26, tzinfo=UTC)
        with pytest.raises(OutcomeUnknown):
            [chunk async for chunk in report_chunks(client, DAY, 30, now=now)]


def test_lines_keep_everything_that_stripe_said() -> None:
    line = report_line(transaction(unknown={"deep": [1, "é"]}))
    assert json.loads(line)["unknown"] == {"deep": [1, "é"]}
