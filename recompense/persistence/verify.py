"""Checks the whole ledger against its own rules, from the rows alone.

Run it in one REPEATABLE READ transaction, so that all checks see the same moment.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from recompense.ledger.seals import GENESIS, Block, SealContent, sealed
from recompense.persistence import verify_sql
from recompense.persistence.ledger import trial_balance
from recompense.persistence.sealer import read_block


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong: which entry, and what about it."""

    entry: str
    detail: str


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One rule, how many things it was held against, and the first that breaks it."""

    name: str
    rule: str
    checked: int
    finding: Finding | None = None


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was checked, in order."""

    checks: list[CheckResult] = field(default_factory=list)

    @property
    def first_wrong(self) -> CheckResult | None:
        """The first check that found something."""
        return next((check for check in self.checks if check.finding), None)

    @property
    def in_order(self) -> bool:
        """Whether nothing is wrong."""
        return self.first_wrong is None


Check = Callable[[AsyncConnection], Awaitable[CheckResult]]


async def verify(
    connection: AsyncConnection, progress: Callable[[CheckResult], None] | None = None
) -> VerifyReport:
    """Hold the ledger against all of its rules, also after one was found broken."""
    report = VerifyReport()
    async for result in _results(connection):
        report.checks.append(result)
        if progress:
            progress(result)
    return report


async def _results(connection: AsyncConnection) -> AsyncIterator[CheckResult]:
    guards, *rules = verify_sql.RULES
    yield await _sql_check(connection, guards)
    # Before the sums: a changed entry breaks several of them, and the chain knows which one it is.
    yield await _chain(connection)
    for rule in rules:
        yield await _sql_check(connection, rule)
    yield await _trial_balance(connection)


async def _sql_check(connection: AsyncConnection, rule: verify_sql.SqlRule) -> CheckResult:
    checked = (await connection.execute(text(rule.population))).scalar_one()
    wrong = (await connection.execute(text(rule.first_wrong))).first()
    finding = Finding(wrong.entry, wrong.detail) if wrong else None
    return CheckResult(rule.name, rule.rule, checked, finding)


async def _chain(connection: AsyncConnection) -> CheckResult:
    """Follow the seals from the first one: numbers, ranges, links, and what they seal."""
    rule = "each seal follows the one before, and what it sealed has not changed since"
    seals = (await connection.execute(text(verify_sql.SEALS))).all()
    previous, starts = GENESIS, 0
    for expected, seal in enumerate(seals, start=1):
        block = Block(seal.number, seal.starts, seal.through)
        if (seal.number, seal.starts, bytes(seal.previous)) != (expected, starts, previous):
            finding = Finding(f"seal {seal.number}", "does not follow the seal before it")
            return CheckResult("seals", rule, expected, finding)
        content = SealContent(bytes(seal.digest), bytes(seal.leaves))
        finding_or_none = await _block_finding(connection, previous, block, content)
        if finding_or_none:
            return CheckResult("seals", rule, expected, finding_or_none)
        previous, starts = content.digest, seal.through
    return CheckResult("seals", rule, len(seals))


async def _block_finding(
    connection: AsyncConnection, previous: bytes, block: Block, recorded: SealContent
) -> Finding | None:
    postings = await read_block(connection, block)
    found = sealed(previous, block, postings)
    if found == recorded:
        return None
    place = found.first_difference(recorded)
    if place is None:
        return Finding(f"seal {block.number}", "was changed")
    if place >= len(postings):
        return Finding(f"seal {block.number}", "its last postings are missing")
    posting = postings[place]
    return Finding(
        f"posting {posting.key} (id {posting.id})",
        f"is not what seal {block.number} holds there: it was changed or added, or one is missing",
    )


async def _trial_balance(connection: AsyncConnection) -> CheckResult:
    rule = "over all accounts, debits equal credits for each currency, posted and pending apart"
    totals = (await trial_balance(connection)).data
    wrong = next((one for one in totals if not one.balanced), None)
    finding = Finding(f"currency {wrong.currency}", wrong.model_dump_json()) if wrong else None
    return CheckResult("trial balance", rule, len(totals), finding)
