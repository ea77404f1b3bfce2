"""A file is delivered once, whatever breaks: a folder, an SFTP server, and two writers at once."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import random
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from adapters.registry import build
from adapters.sepa import mailbox
from adapters.sepa.config import SftpServer
from adapters.sepa.folder import FolderMailbox
from adapters.sepa.mailbox import Files, deliver
from adapters.sepa.policy import POLICIES
from adapters.sepa.sftp import SftpMailbox
from adapters.transport import ObservedTransport
from recompense.contracts.batches import BankFileRefused, BatchItem, BatchPayouts, PayoutBatch
from recompense.contracts.provider import ProviderOperation
from recompense.domain.failures import (
    OutcomeUnknown,
    ProviderAccessDenied,
    ProviderUnavailable,
)
from recompense.domain.ids import IdPrefix, new_id
from tests.support.bank_files import OUR_IBAN
from tests.support.bank_sftp import SftpStandIn, running_sftp

NAME, CONTENT = "RCMP1.pain001.xml", b"<Document/>"
STEPS_OF_A_DELIVERY = 6


class Broken(Exception):
    """The process dies here."""


class Breaking:
    """Files that break before or after one step."""

    def __init__(self, files: Files, step: int, *, after: bool) -> None:
        self._files, self._step, self._after = files, step, after
        self.steps = 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(*arguments: Any) -> Any:
            breaks, self.steps = self.steps == self._step, self.steps + 1
            if breaks and not self._after:
                raise Broken
            answer = await getattr(self._files, name)(*arguments)
            if breaks:
                raise Broken
            return answer

        return call


def taken(root: Path) -> list[bytes]:
    """The bank takes all that lies in `out`."""
    found = []
    for path in sorted((root / "out").glob("*")):
        found.append(path.read_bytes())
        path.unlink()
    return found


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(STEPS_OF_A_DELIVERY))
async def test_delivery_cut_at_any_step_and_repeated_is_one_file(
    tmp_path: Path, step: int, after: bool
) -> None:
    box, bank = FolderMailbox(tmp_path), []
    async with box.opened() as files:
        breaking: Any = Breaking(files, step, after=after)
        with pytest.raises(Broken):
            await deliver(breaking, NAME, CONTENT, draft="first")
        bank += taken(tmp_path)
        for draft in ("second", "third"):
            await deliver(files, NAME, CONTENT, draft=draft)
            bank += taken(tmp_path)
    assert bank == [CONTENT]


async def test_delivery_takes_as_many_steps_as_are_cut(tmp_path: Path) -> None:
    async with FolderMailbox(tmp_path).opened() as files:
        counting: Any = Breaking(files, -1, after=False)
        await deliver(counting, NAME, CONTENT, draft="first")
    assert counting.steps == STEPS_OF_A_DELIVERY


@pytest.mark.parametrize("seed", range(40))
async def test_two_writers_at_once_and_a_bank_that_takes_at_any_time_are_one_file(
    tmp_path: Path, seed: int
) -> None:
    chance, bank = random.Random(seed), []  # noqa: S311 - a seed is the point
    async with FolderMailbox(tmp_path).opened() as files:
        turns = [Stepwise(files), Stepwise(files)]
        writers = [
            asyncio.create_task(deliver(turn, NAME, CONTENT, draft=f"w{number}"))
            for number, turn in enumerate(turns)
        ]
        while not all(writer.done() for writer in writers):
            waiting = [turn for turn in turns if turn.waits.is_set()]
            if waiting:
                chance.choice(waiting).go()
            await asyncio.sleep(0)
            if chance.random() < 0.3:
                bank += taken(tmp_path)
        assert len({writer.result() for writer in writers}) == 1
        await deliver(files, NAME, CONTENT, draft="later")
    assert bank + taken(tmp_path) == [CONTENT]


class Stepwise:
    """Files whose every step waits for its turn."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.waits, self._gone = asyncio.Event(), asyncio.Event()

    def go(self) -> None:
        """Take one step."""
        self.waits.clear()
        self._gone.set()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(*arguments: Any) -> Any:
            self._gone.clear()
            self.waits.set()
            await self._gone.wait()
            return await getattr(self._files, name)(*arguments)

        return call


async def test_receipt_tells_the_hash_of_what_was_delivered_first(tmp_path: Path) -> None:
    async with FolderMailbox(tmp_path).opened() as files:
        first = await deliver(files, NAME, CONTENT, draft="first")
        second = await deliver(files, NAME, b"something else", draft="second")
    assert first == second
    assert taken(tmp_path) == [CONTENT]


async def test_file_that_may_still_grow_is_not_listed(tmp_path: Path) -> None:
    async with FolderMailbox(tmp_path).opened() as files:
        for name in ("b.xml", "a.xml", "young.xml", ".hidden", "c.xml.part", "d.TMP"):
            (tmp_path / "in" / name).write_bytes(b"x")
        (tmp_path / "in" / "folder.xml").mkdir()
        now = datetime.now(UTC)
        for path in (tmp_path / "in").iterdir():
            old = now.timestamp() - (1 if path.name == "young.xml" else 60)
            os.utime(path, (old, old))
        found = await mailbox.waiting(files, 5, now)
    assert [file.name for file in found] == ["a.xml", "b.xml"]


async def test_file_that_is_larger_than_any_is_refused(tmp_path: Path) -> None:
    async with FolderMailbox(tmp_path).opened() as files:
        (tmp_path / "in" / "a.xml").write_bytes(b"x" * 11)
        assert await mailbox.fetched(files, "in/a.xml", 11)
        with pytest.raises(BankFileRefused) as refused:
            await mailbox.fetched(files, "in/a.xml", 10)
        assert refused.value.code == "file_too_large"
        with pytest.raises(OutcomeUnknown):
            await mailbox.fetched(files, "in/b.xml", 10)


async def test_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ProviderUnavailable):
        async with FolderMailbox(tmp_path / "file").opened():
            pass


@pytest.fixture(scope="module")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpStandIn]:
    with running_sftp(tmp_path_factory.mktemp("sftp")) as server:
        yield server


@contextlib.asynccontextmanager
async def far(server: SftpStandIn, folder: str, **changes: Any) -> AsyncIterator[Files]:
    values = {**server.config, "directory": folder, **changes}
    policy = POLICIES.calls[ProviderOperation.REPORT]
    async with SftpMailbox(SftpServer.model_validate(values), policy).opened() as files:
        yield files


async def test_sftp_delivers_once_lists_reads_and_puts_aside(sftp: SftpStandIn) -> None:
    root = sftp.root / "all"
    async with far(sftp, "all") as files:
        for draft in ("first", "second"):
            await deliver(files, NAME, CONTENT, draft=draft)
            assert taken(root) == ([CONTENT] if draft == "first" else [])
        (root / "in" / "a.xml").write_bytes(b"news")
        later = datetime.now(UTC) + timedelta(minutes=1)
        (file,) = await mailbox.waiting(files, 5, later)
        assert await mailbox.fetched(files, f"in/{file.name}", 10) == b"news"
        for _ in range(2):
            await mailbox.put_aside(files, file.name, "ab" * 32, later)
        assert await mailbox.waiting(files, 5, later) == ()
    assert [path.read_bytes() for path in (root / "archive").iterdir()] == [b"news"]
    assert list((root / "staging").iterdir()) == []


@pytest.mark.parametrize("step", range(STEPS_OF_A_DELIVERY))
async def test_sftp_delivery_cut_after_any_step_and_repeated_is_one_file(
    sftp: SftpStandIn, step: int
) -> None:
    folder = f"cut{step}"
    async with far(sftp, folder) as files:
        breaking: Any = Breaking(files, step, after=True)
        with pytest.raises(Broken):
            await deliver(breaking, NAME, CONTENT, draft="first")
    bank = taken(sftp.root / folder)
    async with far(sftp, folder) as files:
        await deliver(files, NAME, CONTENT, draft="second")
    assert bank + taken(sftp.root / folder) == [CONTENT]


async def test_adapter_delivers_a_batch_over_sftp_once(sftp: SftpStandIn) -> None:
    party = {"name": "Recompense GmbH", "iban": OUR_IBAN}
    server = {**sftp.config, "directory": "adapter"}
    config = {"debtor": party, "bank_tokens": {"tok_a": party}, "sftp": server}
    port = build("sepa", config, transport=ObservedTransport(lambda _: None)).port
    assert isinstance(port, BatchPayouts)
    key = f"{new_id(IdPrefix.PAYOUT)}:payout:1"
    item = BatchItem(effect_key=key, amount=1_000, currency="EUR", token="tok_a")
    batch = PayoutBatch(
        batch_id="sepa/20261127T150000Z",
        effect_key="sepa/20261127T150000Z:submit:1",
        closed_at=datetime(2026, 11, 27, 15, tzinfo=UTC),
        items=(item,),
    )
    receipts = [await port.submit_batch(batch) for _ in range(2)]
    assert receipts[0] == receipts[1]
    (content,) = taken(sftp.root / "adapter")
    assert hashlib.sha256(content).hexdigest() == receipts[0].sha256
    await port.submit_batch(batch)
    assert taken(sftp.root / "adapter") == []


async def test_server_with_another_host_key_is_not_trusted(sftp: SftpStandIn) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with pytest.raises(ProviderAccessDenied):
        async with far(sftp, "all", host_key=other):
            pass


async def test_server_that_refuses_us_is_no_outage(sftp: SftpStandIn) -> None:
    with pytest.raises(ProviderAccessDenied):
        async with far(sftp, "all", client_key=None, password="wrong"):
            pass


async def test_server_that_does_not_answer_is_unavailable(sftp: SftpStandIn) -> None:
    with pytest.raises(ProviderUnavailable):
        async with far(sftp, "all", port=9):
            pass


async def test_connection_that_breaks_in_the_middle_is_unknown(sftp: SftpStandIn) -> None:
    async def interrupted() -> None:
        async with far(sftp, "broken") as files:
            sftp.drop()
            await files.write("staging/x", b"y" * 100_000)

    with pytest.raises(OutcomeUnknown):
        await interrupted()
