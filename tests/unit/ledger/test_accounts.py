"""What an account's name says."""

import pytest

from recompense.ledger import accounts
from recompense.ledger.accounts import AccountKind, Side

CHART = {
    accounts.provider_clearing("sandbox"): (AccountKind.ASSET, Side.DEBIT, False),
    accounts.merchant_pending("mer_1"): (AccountKind.LIABILITY, Side.CREDIT, False),
    accounts.merchant_available("mer_1"): (AccountKind.LIABILITY, Side.CREDIT, True),
    accounts.merchant_reserve("mer_1"): (AccountKind.LIABILITY, Side.CREDIT, False),
    accounts.PLATFORM_FEES: (AccountKind.INCOME, Side.CREDIT, False),
    accounts.provider_fees("sandbox"): (AccountKind.EXPENSE, Side.DEBIT, False),
    accounts.bank_cash("main"): (AccountKind.ASSET, Side.DEBIT, False),
    accounts.suspense("sandbox"): (AccountKind.ASSET, Side.DEBIT, False),
    accounts.PLATFORM_LOSSES: (AccountKind.EXPENSE, Side.DEBIT, False),
}


@pytest.mark.parametrize("name", CHART)
def test_account_of_the_chart_is_described(name: str) -> None:
    account = accounts.account(name)
    assert (account.kind, account.normal_side, account.floored) == CHART[name]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "merchant",
        "merchant:mer_1",
        "merchant:mer_1:cash",
        "merchant::available",
        "merchant:*:available",
        "merchant:mer 1:available",
        "merchant:mer_1:available:x",
        "Merchant:mer_1:available",
        "platform:mer_1:fees",
        "platform:cash",
        "merchant:" + "m" * 65 + ":available",
    ],
)
def test_name_outside_the_chart_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="the chart has no account"):
        accounts.account(name)


def test_constructor_given_a_separator_is_refused() -> None:
    with pytest.raises(ValueError, match="the chart has no account"):
        accounts.merchant_available("mer_1:available")
