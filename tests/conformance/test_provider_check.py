"""`recompense providers check` passes a provider in order, and names what fails on another."""

from __future__ import annotations

from dataclasses import replace

from adapters.registry import build
from adapters.transport import ObservedTransport
from recompense.contracts.provider import ProviderOperation
from recompense.ops.check_calls import CheckOptions
from recompense.ops.check_results import CheckResult, Verdict
from recompense.ops.faulty_network import FaultyNetwork
from recompense.ops.provider_check import check_provider
from tests.conformance.cases import needs
from tests.conformance.support import Bench
from tests.conformance.targets import Meaning

AUTHORIZE = ProviderOperation.AUTHORIZE
VOID = ProviderOperation.VOID


async def checked(bench: Bench, **changes: str) -> tuple[CheckResult, ...]:
    target, network = bench.target, FaultyNetwork()
    transport = ObservedTransport(lambda _: None, network=network)
    provider = build(target.provider, target.config(), transport=transport)
    given = target.tokens.get
    options = CheckOptions(
        good_token=given(Meaning.GOOD, ""),
        declined_token=given(Meaning.DECLINED, ""),
        account_token=given(Meaning.GOOD_ACCOUNT, ""),
        currency=target.currency,
        action_token=given(Meaning.ACTION),
    )
    try:
        options = replace(options, **changes)
        return await check_provider(provider.port, provider.capabilities, options, network)
    finally:
        await transport.aclose()


async def test_provider_in_order_passes_every_check(bench: Bench) -> None:
    results = await checked(bench)
    assert [result for result in results if not result.passed] == []
    assert {result.verdict for result in results} >= {Verdict.OK}
    assert all(result.seen for result in results if result.verdict is Verdict.NOT_APPLICABLE)


@needs(AUTHORIZE, VOID, Meaning.ACTION, "lookup_by_reference")
async def test_payer_who_has_to_act_is_asked_and_given_up(bench: Bench) -> None:
    of_payers = [result for result in await checked(bench) if "payer" in result.name]
    expected = Verdict.NOT_APPLICABLE if bench.target.capabilities.truth_by_webhook else Verdict.OK
    assert [result.verdict for result in of_payers] == [expected, expected], of_payers


@needs(AUTHORIZE, VOID, Meaning.GOOD)
async def test_card_whose_payer_need_not_act_fails_these_checks(bench: Bench) -> None:
    good = bench.target.tokens[Meaning.GOOD]
    of_payers = [one for one in await checked(bench, action_token=good) if "payer" in one.name]
    assert [(one.verdict, one.seen) for one in of_payers] == [(Verdict.WRONG, "approved")] * 2


@needs("scripts:error_before")
async def test_provider_that_cannot_capture_fails_that_check_only(bench: Bench) -> None:
    bench.target.arm(ProviderOperation.CAPTURE, "error_before")
    failed = [result for result in await checked(bench) if not result.passed]
    assert bench.target.fired() == 1
    assert [result.name for result in failed] == ["capture is taken, and a look-up finds it"]
    assert "OutcomeUnknown" in failed[0].seen
