"""What ledger tests do over and over: money in, and statements past the repository."""

import asyncio
from contextlib import suppress

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from recompense.domain.failures import InsufficientAvailableBalance
from recompense.ledger import templates
from recompense.ledger.postings import Posting
from recompense.ledger.results import MerchantBalance, PostingResult
from recompense.persistence import ledger
from recompense.persistence.sealer import seal_once, snapshot_once
from recompense.persistence.verify import VerifyReport, verify

MERCHANT, PROVIDER, BANK = "mer_1", "sandbox", "main"


def authorized(payment_id: str, amount: int, currency: str = "EUR") -> Posting:
    return templates.authorized(
        f"{payment_id}:authorize:1",
        payment_id=payment_id,
        provider=PROVIDER,
        merchant_id=MERCHANT,
        amount=amount,
        currency=currency,
    )


def payout(payout_id: str, amount: int, currency: str = "EUR") -> Posting:
    return templates.payout_asked(
        f"{payout_id}:reserve:1", merchant_id=MERCHANT, bank=BANK, amount=amount, currency=currency
    )


async def post(engine: AsyncEngine, posting: Posting) -> PostingResult:
    """Post in a transaction of its own."""
    async with engine.begin() as connection:
        return await ledger.post(connection, posting)


async def posted_or_refused(engine: AsyncEngine, posting: Posting) -> bool:
    with suppress(InsufficientAvailableBalance):
        await post(engine, posting)
        return True
    return False


async def capture(
    engine: AsyncEngine, payment_id: str, amount: int, *, capture_id: str, available: bool = False
) -> PostingResult:
    async with engine.begin() as connection:
        holds = await ledger.authorization_holds(connection, payment_id)
        posting = templates.captured(
            f"{capture_id}:capture:1",
            payment_id=payment_id,
            holds=holds,
            merchant_id=MERCHANT,
            amount=amount,
            fee=0,
            currency=holds[0].currency,
            made_available=amount if available else 0,
        )
        return await ledger.post(connection, posting)


async def make_available(engine: AsyncEngine, amount: int, name: str = "1") -> None:
    """Bring the merchant an available balance by a captured payment."""
    await post(engine, authorized(f"pay_{name}", amount))
    await capture(engine, f"pay_{name}", amount, capture_id=f"cap_{name}", available=True)


async def merchant_balance(engine: AsyncEngine) -> MerchantBalance:
    async with engine.connect() as connection:
        [balance] = await ledger.merchant_balances(connection, MERCHANT)
        return balance


async def seal(engine: AsyncEngine, *, block_size: int = 1_000, snapshot: bool = False) -> int:
    """Seal all that is committed; the number of seals made.

    Transaction ids are the whole server's, so a test beside this one can hold a seal up for a
    moment.
    """
    made = 0
    while await _unsealed(engine):
        async with engine.begin() as connection:
            sealed = await seal_once(connection, block_size=block_size)
        if sealed is None:
            await asyncio.sleep(0.01)
            continue
        made += 1
        if snapshot:
            async with engine.begin() as connection:
                await snapshot_once(connection, every=1)
    return made


async def _unsealed(engine: AsyncEngine) -> bool:
    async with engine.connect() as connection:
        waiting = await connection.execute(
            text(
                "SELECT EXISTS (SELECT FROM ledger_postings WHERE created >= coalesce("
                "(SELECT through FROM ledger_seals ORDER BY number DESC LIMIT 1), '0'))"
            )
        )
        return bool(waiting.scalar_one())


async def verified(engine: AsyncEngine) -> VerifyReport:
    repeatable = engine.execution_options(isolation_level="REPEATABLE READ")
    async with repeatable.connect() as connection:
        return await verify(connection)


async def tamper(engine: AsyncEngine, *statements: str) -> None:
    """What a person with the database's own powers could do: past every trigger."""
    tables = ("ledger_postings", "ledger_transfers", "ledger_seals", "ledger_snapshots")
    async with engine.begin() as connection:
        for table in tables:
            await connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        for statement in statements:
            await connection.exec_driver_sql(statement)
        for table in tables:
            await _enable_always(connection, table)


async def _enable_always(connection: AsyncConnection, table: str) -> None:
    names = await connection.execute(
        text("SELECT tgname FROM pg_trigger WHERE tgrelid = CAST(:table AS regclass)"
             " AND NOT tgisinternal"),
        {"table": table},
    )  # fmt: skip
    for (name,) in names.all():
        await connection.execute(text(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}"))
