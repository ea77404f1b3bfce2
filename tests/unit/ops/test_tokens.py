"""What `tokens mint` takes."""

from __future__ import annotations

import pytest

from recompense.contracts.scopes import Scope
from recompense.ops.terminal import WrongUse
from recompense.ops.tokens import parsed_scopes, parsed_ttl_seconds


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60), ("30m", 1_800), ("8h", 28_800), ("1d", 86_400)]
)
def test_time_to_live_is_read_with_its_unit(text: str, seconds: int) -> None:
    assert parsed_ttl_seconds(text) == seconds


@pytest.mark.parametrize("text", ["60", "0s", "-1s", "1w", "", "1.5h", "s"])
def test_time_to_live_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(WrongUse):
        parsed_ttl_seconds(text)


def test_scopes_are_read_from_a_list() -> None:
    assert parsed_scopes("payments:read, ops:write") == (Scope.PAYMENTS_READ, Scope.OPS_WRITE)


@pytest.mark.parametrize("text", ["", "payments:read,everything", ","])
def test_unknown_scope_is_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(WrongUse, match="payments:write"):
        parsed_scopes(text)
