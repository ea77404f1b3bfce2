"""`recompense providers check` of a bank rail: rows without an effect, and each able to fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from adapters.registry import build
from adapters.sepa import pain001
from adapters.sepa.folder import FolderMailbox
from adapters.transport import ObservedTransport
from recompense.contracts.provider import ProviderPort
from recompense.domain.failures import InvariantBroken
from recompense.ops.check_calls import CheckOptions
from recompense.ops.check_results import Verdict
from recompense.ops.provider_check import check_provider
from recompense.ops.providers import app
from tests.support.bank import PAYEES, Bank
from tests.support.bank_files import OUR_IBAN, Ntry

MAILBOX = "its mailbox is reached, and can be written"
SCHEMA = "a file with each destination holds against its schema"
LEFT = "what the bank has left can be read"
DECLINED = "a destination that is not configured is declined"


async def checked(config: dict[str, Any]) -> dict[str, tuple[Verdict, str]]:
    provider = build("sepa", config, transport=ObservedTransport(lambda _: None))
    results = await check_provider(provider.port, provider.capabilities, CheckOptions())
    return {one.name: (one.verdict, one.seen) for one in results}


def all_files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


async def test_rail_in_order_passes_every_check_and_nothing_is_changed(tmp_path: Path) -> None:
    bank = Bank(tmp_path)
    bank.books([Ntry("1.00")])
    before = all_files(tmp_path)
    told = await checked(bank.config)
    assert {name: verdict for name, (verdict, _) in told.items()} == dict.fromkeys(
        (MAILBOX, SCHEMA, LEFT, DECLINED), Verdict.OK
    )
    assert f"{len(PAYEES)} destinations" in told[SCHEMA][1]
    assert told[LEFT][1].startswith("1 files")
    assert all_files(tmp_path) == before
    assert bank.take() == []


async def test_file_that_cannot_be_read_is_named_without_an_account_number(tmp_path: Path) -> None:
    bank = Bank(tmp_path)
    bank.leave(b"<Document/>", f"{OUR_IBAN}.xml")
    told = await checked(bank.config)
    assert told[LEFT] == (Verdict.WRONG, f"DE...{OUR_IBAN[-4:]}.xml: file_unknown")
    assert told[MAILBOX][0] is Verdict.OK


async def test_folder_that_is_no_folder_fails_what_needs_it(tmp_path: Path) -> None:
    (tmp_path / "bank").write_text("a file")
    told = await checked({**Bank(tmp_path).config, "folder": str(tmp_path / "bank")})
    wrong = {name for name, (verdict, _) in told.items() if verdict is Verdict.WRONG}
    assert wrong == {MAILBOX, LEFT}
    assert "ProviderUnavailable" in told[MAILBOX][1]


async def test_directory_that_cannot_be_written_fails_the_mailbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "archive").write_text("a file where a directory belongs")
    monkeypatch.setattr(FolderMailbox, "_make_directories", lambda _self: None)
    for directory in ("staging", "claims", "out", "in"):
        (tmp_path / directory).mkdir()
    told = await checked(Bank(tmp_path).config)
    assert told[MAILBOX][0] is Verdict.WRONG


async def test_file_that_its_schema_refuses_fails_that_check_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise InvariantBroken("the file is no pain.001.001.09")

    monkeypatch.setattr(pain001, "require_valid", refused)
    told = await checked(Bank(tmp_path).config)
    wrong = {name for name, (verdict, _) in told.items() if verdict is Verdict.WRONG}
    assert wrong == {SCHEMA}


async def test_rail_without_a_dry_run_is_told_as_such(tmp_path: Path) -> None:
    provider = build("sepa", Bank(tmp_path).config, transport=ObservedTransport(lambda _: None))

    class Bare:
        """The port alone, of a rail whose adapter offers nothing beside it."""

        create_payout = provider.port.create_payout

    port: ProviderPort = Bare()  # type: ignore[assignment]  # what is not asked is not there
    results = await check_provider(port, provider.capabilities, CheckOptions())
    assert [one.verdict for one in results] == [Verdict.NOT_APPLICABLE] * 3 + [Verdict.OK]
    assert all(one.seen for one in results[:3])


@pytest.fixture
def ordered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Result]:
    """The command, with a rail whose debtor has this IBAN."""

    def order(iban: str) -> Result:
        config = {**Bank(tmp_path).config, "debtor": {"name": "Recompense GmbH", "iban": iban}}
        monkeypatch.setenv("RECOMPENSE_PROVIDERS", "sandbox,sepa")
        monkeypatch.setenv("RECOMPENSE_PROVIDER_CONFIGS", json.dumps({"sepa": config}))
        monkeypatch.setenv("RECOMPENSE_DATABASE_URL", "postgresql://127.0.0.1:9/nothing")
        monkeypatch.setenv("RECOMPENSE_SANDBOX_WEBHOOK_SECRET", "a_test_secret")
        return CliRunner().invoke(app, ["check", "sepa"])

    return order


def test_command_prints_the_rows_of_a_rail(ordered: Callable[[str], Result]) -> None:
    printed = ordered(OUR_IBAN)
    assert printed.exit_code == 0, printed.output
    rows = [line.split("\t")[:2] for line in printed.output.splitlines()]
    names = ("its configuration is valid", MAILBOX, SCHEMA, LEFT, DECLINED)
    assert rows == [["check", "result"], *([name, "ok"] for name in names), ["5 ok"]]


def test_command_tells_what_is_wrong_with_a_configuration_and_shows_no_value(
    ordered: Callable[[str], Result],
) -> None:
    printed = ordered("DE00370400440532013000")
    assert printed.exit_code == 1, printed.output
    assert "its configuration is valid\twrong\tdebtor.iban" in printed.output
    assert "DE00370400440532013000" not in printed.output
