"""The activities of a bank rail over a real database and a bank's folder, without Temporal."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from temporalio.testing import ActivityEnvironment

from activities.bank_files import BankFileActivities
from activities.batches import BatchActivities
from activities.breakers import Breakers
from activities.effects import ProviderActivities
from activities.plans import plan
from activities.sagas import SagaActivities
from activities.toolbox import Toolbox
from adapters import registry
from adapters.transport import ObservedTransport
from recompense.contracts.bank_rail import (
    BatchSubmitted,
    ClosedWindow,
    CloseWindow,
    FilesRead,
    ReadFiles,
    SubmitBatch,
)
from recompense.contracts.provider import AnyMoneyCall, CancelPayoutCall, CreatePayoutCall
from recompense.contracts.sagas import Resolution, ResolveDecision, SagaKind, SagaRef
from recompense.contracts.steps import EffectAnswer, EffectPlan, Resolve, Resolved, SendRight
from recompense.domain.effects import effect_key
from recompense.domain.ids import IdPrefix, new_id
from recompense.persistence import journal
from recompense.persistence.database import Database
from recompense.persistence.saga_tables import Operation, OperationRun
from tests.support.bank import A_PAYEE, Bank
from tests.support.platform import MERCHANT

WINDOW = datetime(2026, 11, 27, 15, tzinfo=UTC)
RUN = "run-1"
_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclasses.dataclass
class Rail:
    """A bank rail's activities. `tools` reach the database directly or through a proxy."""

    bank: Bank
    database: Database
    tools: Toolbox

    async def payout(self, amount: int = 1_000, token: str = A_PAYEE) -> EffectPlan:
        """A payout that is journaled and granted, and not sent yet."""
        payout_id = new_id(IdPrefix.PAYOUT)
        return await self._journaled(
            payout_id,
            "payout",
            lambda common: CreatePayoutCall(**common, token=token, merchant_id=MERCHANT),
            amount,
        )

    async def cancel(self, payout: EffectPlan, reference: str) -> EffectPlan:
        """A cancel of a payout, journaled and granted."""
        return await self._journaled(
            payout.saga.operation_id,
            "payout.cancel",
            lambda common: CancelPayoutCall(**common, payout_reference=reference),
            payout.call.amount,
        )

    async def _journaled(self, payout_id: str, step: str, make: Any, amount: int) -> EffectPlan:
        saga = SagaRef(
            saga_id=f"payout/{payout_id}",
            kind=SagaKind.PAYOUT,
            operation_id=payout_id,
            merchant_id=MERCHANT,
        )
        async with self.database.work() as work:
            now = await work.now()
            right = SendRight(run_id=RUN, granted_at=now, send_by=now.replace(year=2100))
            call: AnyMoneyCall = make(
                {
                    "operation_id": payout_id,
                    "effect_key": effect_key(payout_id, step, 1),
                    "amount": amount,
                    "currency": "EUR",
                    "send_by": right.send_by,
                }
            )
            effect = plan(self.tools, saga, step, 1, "sepa", call, right)
            if await work.get(Operation, saga.saga_id) is None:
                work.add(
                    Operation(
                        saga_id=saga.saga_id,
                        kind=saga.kind,
                        operation_id=payout_id,
                        merchant_id=MERCHANT,
                        provider="sepa",
                        input={},
                        requested_by="test",
                    )
                )
                await work.flush()
                work.add(
                    OperationRun(
                        saga_id=saga.saga_id, run_id=RUN, workflow_id=saga.saga_id, attempt=1
                    )
                )
            journal.intend(work, effect)
        return effect

    async def sent(self, effect: EffectPlan, *, attempt: int = 1) -> EffectAnswer:
        """Make the call of an effect, as the run that holds its right."""
        activities = ProviderActivities(self.tools)
        is_cancel = isinstance(effect.call, CancelPayoutCall)
        call = activities.cancel_payout if is_cancel else activities.create_payout
        return await self._run(call, effect, attempt=attempt)

    async def collected(self, amount: int = 1_000) -> EffectPlan:
        """A payout that waits for its window."""
        effect = await self.payout(amount)
        await self.sent(effect)
        return effect

    async def given_up(self, effect: EffectPlan) -> Resolved:
        """A person says that a payout was never made."""
        said = Resolution(decision=ResolveDecision.FAILED, actor="ops", reason="not at the bank")
        argument = Resolve(
            saga=effect.saga, attempt=effect.attempt, step=effect.step, resolution=said
        )
        return await self._run(SagaActivities(self.tools).resolve, argument)

    async def looked_up(self, effect: EffectPlan) -> EffectAnswer:
        """What the provider says now."""
        return await self._run(ProviderActivities(self.tools).pull, effect)

    async def closed(self, window: datetime = WINDOW) -> ClosedWindow:
        """Close a window."""
        argument = CloseWindow(provider="sepa", closes_at=window)
        return await self._run(BatchActivities(self.tools).close, argument)

    async def submitted(self, batch_id: str) -> BatchSubmitted:
        """Deliver a batch."""
        argument = SubmitBatch(provider="sepa", batch_id=batch_id)
        return await self._run(BatchActivities(self.tools).submit, argument)

    async def files_read(self) -> FilesRead:
        """Read what the bank left."""
        return await self._run(BankFileActivities(self.tools).read, ReadFiles(provider="sepa"))

    async def _run(
        self, activity: Callable[[_In], Awaitable[_Out]], argument: _In, *, attempt: int = 1
    ) -> _Out:
        env = ActivityEnvironment()
        env.info = dataclasses.replace(env.info, workflow_run_id=RUN, attempt=attempt)
        answer: _Out = await env.run(activity, argument)
        return answer


@asynccontextmanager
async def bank_rail(database_url: str, bank: Bank) -> AsyncIterator[Rail]:
    """A rail whose activities reach the database at this address."""
    database = Database(database_url)
    transport = ObservedTransport(lambda _: None)
    provider = registry.build("sepa", bank.config, transport=transport)
    tools = Toolbox(
        database, registry.Providers([provider]), Breakers(database), default_provider="sepa"
    )
    try:
        yield Rail(bank, database, tools)
    finally:
        await transport.aclose()
        await database.close()
