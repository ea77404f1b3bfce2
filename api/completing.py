"""What a payer brought back, from the request to what became of the payment.

It takes the way of an inbound webhook: stored once, applied by its own workflow, and relayed when
that could not be started.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic

from fastapi import Request
from starlette.responses import Response

from api import answers
from api.answers import Answer
from api.idempotency import Held, claim_for
from api.operations import wait_of
from api.parts import Parts, parts_of
from api.problems import Problem
from recompense.contracts.payer_actions import payer_event, payer_event_id
from recompense.contracts.sagas import ProviderEventInput, SagaKind
from recompense.contracts.starting import event_workflow_id
from recompense.domain.states import PaymentStatus
from recompense.persistence import inbox, reads
from recompense.persistence.tables import Payment
from recompense.persistence.views import payment_view


async def complete(request: Request, payment: Payment, parameters: Mapping[str, str]) -> Response:
    """Hand in what the payer brought back, once for its idempotency key, and answer what is known
    in time.
    """
    parts = parts_of(request)
    claim = claim_for(request, merchant_id=payment.merchant_id)
    request_id: str = request.state.request_id
    completion = _Completion(parts, request_id, wait_of(request), payment, parameters)
    return await parts.idempotency.once(claim, completion.perform)


@dataclass(frozen=True)
class _Completion:
    parts: Parts
    request_id: str
    wait_seconds: float
    payment: Payment
    parameters: Mapping[str, str]

    async def perform(self, _: Held) -> Answer:
        """Store it and have it applied, unless nothing waits for it."""
        event = await self._stored()
        if event is None:
            return answers.of_problem(Problem("payment_needs_no_action"), self.request_id)
        # When Temporal does not take it now, the relay finds it stored and starts it later.
        await self.parts.sagas.apply_event(event)
        until = monotonic() + self.wait_seconds
        await self.parts.sagas.ended(event_workflow_id(event), None, self.wait_seconds)
        async with self.parts.database.transaction() as session:
            decided = await reads.awaited_action(session, self.payment.id) is None
        if decided:
            # The payer's action is over: only our own books have to follow.
            saga_id = f"{SagaKind.AUTHORIZE}/{self.payment.id}"
            await self.parts.sagas.ended(saga_id, None, until - monotonic())
        return await self._answer(event)

    async def _stored(self) -> ProviderEventInput | None:
        """The event, stored now or by an earlier request. None: nothing waits for the payer."""
        payment = self.payment
        if payment.provider is None:
            return None
        event_id = payer_event_id(payment.id, self.parameters)
        async with self.parts.database.transaction() as session:
            if await inbox.status_of(session, payment.provider, event_id) is None:
                effect_key = await reads.awaited_action(session, payment.id)
                if effect_key is None:
                    return None
                brought = payer_event(payment.provider, payment.id, effect_key, self.parameters)
                await inbox.store(session, brought)
        return ProviderEventInput(provider=payment.provider, event_id=event_id)

    async def _answer(self, event: ProviderEventInput) -> Answer:
        async with self.parts.database.transaction() as session:
            status = await inbox.status_of(session, event.provider, event.event_id)
            waits_on = await reads.awaited_action(session, self.payment.id) is not None
            payment = await reads.find(session, Payment, self.payment.id)
        if payment is None:
            raise Problem("not_found")
        view = payment_view(payment)
        if view.status is PaymentStatus.REQUIRES_ACTION:
            known = waits_on and status != "received"
        else:
            known = reads.is_known(view)
        location = f"/v1/payments/{payment.id}"
        return Answer(200 if known else 202, view.model_dump_json(), location)
