"""Money is whole minor units; a duration says its unit."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.architecture.source import (
    PRODUCT,
    Module,
    broken_by,
    findings,
    imports,
    is_within,
    report,
)

MONEY_WORDS = {"amount", "amounts", "fee", "fees", "balance", "balances", "minor", "money"}
DURATION_WORDS = {
    "timeout",
    "interval",
    "delay",
    "duration",
    "ttl",
    "retention",
    "elapsed",
    "deadline",
    "validity",
    "tolerance",
    "window",
    "lease",
}
UNITS = {"seconds", "ms", "ns", "minutes", "hours", "days"}
PLAIN_NUMBERS = re.compile(r"\b(int|float|StrictInt|StrictFloat|PositiveInt|PositiveFloat)\b")


def _words(name: str) -> set[str]:
    return set(name.lower().split("_"))


def _speaks_of_money(node: ast.expr) -> bool:
    name = getattr(node, "id", None) or getattr(node, "attr", None) or ""
    return bool(_words(str(name)) & MONEY_WORDS)


def _named(module: Module) -> Iterator[tuple[ast.AST, str, str]]:
    """Each annotated name: parameters, fields and variables, with the annotation as text."""
    for node in module.nodes:
        if isinstance(node, ast.arg) and node.annotation is not None:
            yield node, node.arg, ast.unparse(node.annotation)
        elif isinstance(node, ast.AnnAssign):
            name = node.target.attr if isinstance(node.target, ast.Attribute) else None
            name = node.target.id if isinstance(node.target, ast.Name) else name
            yield node, name or "", ast.unparse(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns is not None:
            yield node, node.name, ast.unparse(node.returns)


def no_fraction_named_as_money(module: Module) -> Iterator[str]:
    """No float and no Decimal under a name that speaks of money."""
    for node, name, annotation in _named(module):
        if _words(name) & MONEY_WORDS and re.search(r"\b(float|Decimal)\b", annotation):
            yield module.at(node, f"{name}: {annotation}")


def no_fractional_arithmetic(module: Module) -> Iterator[str]:
    """No division that leaves whole numbers, no float literal, no conversion on money."""
    for node in module.nodes:
        if isinstance(node, ast.BinOp) and (
            _speaks_of_money(node.left) or _speaks_of_money(node.right)
        ):
            if isinstance(node.op, ast.Div):
                yield module.at(node, f"{ast.unparse(node)} divides into a float: use //")
            if any(_is_float(side) for side in (node.left, node.right)):
                yield module.at(node, f"{ast.unparse(node)} calculates with a float")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"float", "round"}:
            if any(_speaks_of_money(argument) for argument in node.args):
                yield module.at(node, ast.unparse(node))
        elif isinstance(node, ast.keyword) and node.arg and _words(node.arg) & MONEY_WORDS:
            if _is_float(node.value):
                yield module.at(node.value, f"{node.arg}={ast.unparse(node.value)}")
        elif isinstance(node, ast.Assign) and _is_float(node.value):
            if any(_speaks_of_money(target) for target in node.targets):
                yield module.at(node, ast.unparse(node))


def _is_float(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, float)


def no_decimal(module: Module) -> Iterator[str]:
    """Decimal is imported nowhere: there is nothing here that it would be right for."""
    for node, name in imports(module):
        if is_within(name, "decimal"):
            yield module.at(node, f"imports {name}")


def durations_carry_a_unit(module: Module) -> Iterator[str]:
    """A plain number that is a duration ends in its unit; a `timedelta` needs none."""
    for node, name, annotation in _named(module):
        words = _words(name)
        if words & DURATION_WORDS and not words & UNITS and PLAIN_NUMBERS.search(annotation):
            yield module.at(node, f"{name}: {annotation}")


def test_money_is_never_a_fraction() -> None:
    found = [
        *findings(no_fraction_named_as_money, *PRODUCT),
        *findings(no_fractional_arithmetic, *PRODUCT),
        *findings(no_decimal, *PRODUCT),
    ]
    report(
        found,
        "Money is an int of minor units with its ISO 4217 currency: a float loses cents, a Decimal"
        " invites amounts that no provider can move. Use recompense.domain.money, // and %:",
    )


def test_durations_say_their_unit() -> None:
    report(
        findings(durations_carry_a_unit, *PRODUCT),
        "`timeout=30` has been thirty milliseconds once too often. Name it timeout_seconds (or"
        " _ms, _days), or make it a timedelta:",
    )


@pytest.mark.parametrize(
    "text",
    [
        "def take(amount: float) -> None: ...",
        "fee_total: Decimal | None = None",
        "def balance_of(account: str) -> float: ...",
    ],
)
def test_fraction_named_as_money_is_found(text: str) -> None:
    assert broken_by(no_fraction_named_as_money, text)


@pytest.mark.parametrize(
    "text",
    ["amount / 2", "payment.amount * 0.1", "float(fee)", "charge(amount=1.5)", "balance = 0.0"],
)
def test_fractional_arithmetic_is_found(text: str) -> None:
    assert broken_by(no_fractional_arithmetic, text)


def test_whole_arithmetic_passes() -> None:
    assert not broken_by(no_fractional_arithmetic, "(amount * basis_points + 5_000) // 10_000")


def test_import_of_decimal_is_found() -> None:
    assert broken_by(no_decimal, "from decimal import Decimal")


def test_duration_without_unit_is_found() -> None:
    assert broken_by(durations_carry_a_unit, "def call(timeout: float) -> None: ...")
    assert not broken_by(durations_carry_a_unit, "def call(timeout_seconds: float) -> None: ...")
    assert not broken_by(durations_carry_a_unit, "def call(timeout: timedelta) -> None: ...")
