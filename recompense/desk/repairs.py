"""Repairs of breaks as people at a desk ask for them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from uuid import uuid4

from temporalio.client import (
    Client,
    RPCTimeoutOrCancelledError,
    WithStartWorkflowOperation,
    WorkflowUpdateFailedError,
)
from temporalio.common import WorkflowIDReusePolicy
from temporalio.service import RPCError

from recompense.contracts.reconciliation import BreakAction, BreakKind, BreakView
from recompense.contracts.repairs import REPAIR_UPDATE, RepairAnswered, RepairInput, RepairWord
from recompense.contracts.starting import repair_start
from recompense.desk.executions import TemporalSilent, answered, start_options
from recompense.domain.failures import Refused
from recompense.persistence.database import Database
from recompense.persistence.settlement_tables import Break
from recompense.persistence.settlement_views import break_view

_PATIENCE = timedelta(seconds=4)


async def ask(
    client: Client, database: Database, break_id: str, action: BreakAction, actor: str, reason: str
) -> BreakView:
    """Ask for a repair, and return the break as it is then: an open one waits for a second person
    or for the provider.

    Raises `Refused`, `LookupError` where there is no such break, and `TemporalSilent` when nobody
    has taken the word in time.
    """
    row = await _row(database, break_id)
    repair = RepairInput(break_id=row.id, provider=row.provider, kind=BreakKind(row.kind))
    word = RepairWord(key=uuid4().hex, action=action, actor=actor, reason=reason)
    try:
        said = await answered(handed_in(client, repair, word))
    except (RPCTimeoutOrCancelledError, TemporalSilent, WorkflowUpdateFailedError) as error:
        row = await _row(database, break_id)
        if row.repair is None or row.repair["word"]["key"] != word.key:
            raise TemporalSilent("nobody has taken it in time") from error
        return break_view(row)
    if said.shown is None:
        refusal = said.refusal
        raise Refused(refusal.code, refusal.message) if refusal else TemporalSilent("no answer")
    return said.shown


async def handed_in(client: Client, repair: RepairInput, word: RepairWord) -> RepairAnswered:
    """Hand a word to the repair of its break, which is started where none is under way. Raises what
    Temporal's client raises.
    """
    start = repair_start(repair)
    operation: WithStartWorkflowOperation[object, object] = WithStartWorkflowOperation(
        start.workflow,
        start.argument,
        **start_options(start, WorkflowIDReusePolicy.ALLOW_DUPLICATE),
    )
    try:
        said: RepairAnswered = await client.execute_update_with_start_workflow(
            REPAIR_UPDATE,
            word,
            start_workflow_operation=operation,
            id=word.key,
            result_type=RepairAnswered,
            rpc_timeout=_PATIENCE,
        )
    except (RPCError, RPCTimeoutOrCancelledError):
        # The client left the failure in the operation too, and one that nobody takes is logged.
        with suppress(RPCError, asyncio.CancelledError):
            await operation.workflow_handle()
        raise
    return said


async def _row(database: Database, break_id: str) -> Break:
    async with database.transaction() as session:
        row = await session.get(Break, break_id)
    if row is None:
        raise LookupError(f"there is no break {break_id}")
    return row
