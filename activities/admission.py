"""How every `admit` works: register the run, answer what was decided before, or decide once and
keep it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, field

from activities.plans import elsewhere, grant, plan, plan_of_row
from activities.routing import Route
from activities.standing import intend, standing
from activities.steps import refuse, stored
from activities.toolbox import Toolbox, current_run
from recompense.contracts.provider import AnyMoneyCall
from recompense.contracts.sagas import (
    AuthorizeInput,
    CaptureInput,
    PayoutInput,
    RefundInput,
    Resource,
    SagaRef,
    Verdict,
    VoidInput,
)
from recompense.contracts.steps import Admitted, EffectPlan, SendRight
from recompense.domain.effects import AttemptState
from recompense.domain.failures import Refused
from recompense.persistence import journal
from recompense.persistence.operations import Standing, decision_of, enter
from recompense.persistence.work import Work

AnyInput = AuthorizeInput | CaptureInput | VoidInput | RefundInput | PayoutInput


@dataclass
class Admission:
    """A decision in the making. What `decide` intends here is journaled in the same transaction."""

    tools: Toolbox
    work: Work
    saga: SagaRef
    standing: Standing
    effect: EffectPlan | None = field(default=None)
    route: Route = ()

    @property
    def attempt(self) -> int:
        """The business attempt that is decided."""
        return self.standing.attempt

    async def grant(self, provider: str) -> SendRight:
        """Grant this run the first send right of an effect, by the database's clock."""
        now = await self.work.now()
        return grant(self.tools, provider, current_run(), now)

    async def kept_route(self, step: str) -> Route:
        """The route where an effect of an earlier attempt stands and is taken up: its provider, and
        nobody else. Empty: nothing stands.
        """
        kept = await standing(self.work, self.saga, step, self.attempt)
        return () if kept is None else (kept.row.provider,)

    async def intend(
        self, step: str, provider: str, call: AnyMoneyCall, right: SendRight | None
    ) -> None:
        """Journal the first effect of this attempt."""
        effect = plan(self.tools, self.saga, step, self.attempt, provider, call, right)
        effect = effect.model_copy(update={"elsewhere": elsewhere(self.route, effect.leg)})
        self.standing.operation.provider = provider
        self.effect = await intend(self.work, effect)


async def decide_once(
    tools: Toolbox,
    admit: AnyInput,
    answer: type[Admitted[Resource]],
    decide: Callable[[Work, Admission], Awaitable[None]],
    view: Callable[[Work, SagaRef], Awaitable[Resource | None]],
    *,
    writes_before_refusing: bool = True,
) -> Admitted[Resource]:
    """Run `decide` for an attempt that has no decision yet; every later run gets the same decision.

    `decide` raises `Refused` to refuse: nothing that it wrote stays, and the refusal is kept with
    the attempt. One that never writes before it refuses saves the savepoint.
    """
    saga = admit.ref()
    async with tools.store.work() as work:
        standing = await enter(
            work,
            saga,
            current_run(),
            saga_input=admit.model_dump(mode="json"),
            requested_by=admit.requested_by,
            provider=None,
        )
        if not standing.proceeds:
            resource = await view(work, saga)
            return answer(verdict=standing.verdict, attempt=standing.attempt, resource=resource)
        attempt = standing.opened or await decision_of(work, saga, standing.attempt)
        if attempt.decision is not None:
            decided = answer.model_validate(attempt.decision)
            return await _decided(tools, work, standing, saga, decided, view)
        admission = Admission(tools, work, saga, standing)
        admitted = await _decide(
            work, admission, answer, decide, view, savepoint=writes_before_refusing
        )
        attempt.decision = stored(admitted)
        return admitted


async def _decide(
    work: Work,
    admission: Admission,
    answer: type[Admitted[Resource]],
    decide: Callable[[Work, Admission], Awaitable[None]],
    view: Callable[[Work, SagaRef], Awaitable[Resource | None]],
    *,
    savepoint: bool,
) -> Admitted[Resource]:
    standing = admission.standing
    try:
        # A floor that refuses is a failed statement: only a savepoint keeps the transaction usable.
        async with work.savepoint() if savepoint else nullcontext():
            await decide(work, admission)
    except Refused as refused:
        refusal = await refuse(work, standing, refused)
        return answer(verdict=standing.verdict, attempt=standing.attempt, refusal=refusal)
    verdict, attempt, route = standing.verdict, standing.attempt, admission.route
    if admission.effect is not None:
        return answer(verdict=verdict, attempt=attempt, effect=admission.effect, route=route)
    await work.flush()
    resource = await view(work, admission.saga)
    return answer(verdict=verdict, attempt=attempt, resource=resource, route=route)


async def _decided(
    tools: Toolbox,
    work: Work,
    standing: Standing,
    saga: SagaRef,
    decided: Admitted[Resource],
    view: Callable[[Work, SagaRef], Awaitable[Resource | None]],
) -> Admitted[Resource]:
    """What was decided, for a later run: with the effect that the attempt has journaled since.

    A decision that waited for a person has no effect of its own. Once the person has said no, the
    attempt has ended: the run that asks again ends with it, instead of waiting once more.
    """
    if decided.refusal is not None:
        return decided
    journaled = await work.forward_effects(saga.saga_id, standing.attempt)
    if journaled:
        first = journaled[-1]
        newest = max((row for row in journaled if row.step == first.step), key=lambda row: row.leg)
        row = await journal.require(work, journal.position_of(newest))
        effect = plan_of_row(tools, saga, row, current_run())
        effect = effect.model_copy(update={"elsewhere": elsewhere(decided.route, row.leg)})
        if decided.effect is not None and decided.effect.leg == row.leg:
            effect = decided.effect.model_copy(update={"right": effect.right})
        return decided.model_copy(update={"effect": effect})
    resource = await view(work, saga)
    ended = standing.operation.attempt_state == AttemptState.RECORDED
    verdict = Verdict.SUPERSEDED if ended else decided.verdict
    return decided.model_copy(update={"verdict": verdict, "resource": resource})
