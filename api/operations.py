"""From a request to a saga and back: the same path for every operation that moves money."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from fastapi import Request
from starlette.responses import Response

from api import answers
from api.answers import Answer
from api.idempotency import Held, claim_for
from api.parts import Parts, parts_of
from api.problems import Problem, of_refusal
from api.unstarted import saga_of, unstarted_view
from recompense.contracts.sagas import (
    AuthorizeInput,
    CaptureInput,
    PayoutInput,
    RefundInput,
    VoidInput,
)
from recompense.contracts.starting import AnyDecision, saga_start
from recompense.contracts.words import AnySagaInput
from recompense.persistence import reads
from recompense.persistence.reads import AnyView, Standing

_DEFAULT_WAIT_SECONDS = 10.0
_LONGEST_WAIT_SECONDS = 30


async def carry(request: Request, saga: AnySagaInput, *, acts: bool = False) -> Response:
    """Carry an operation under its idempotency key, and answer what is known of it in time.

    `acts`: it acts on a resource that is there (200) instead of making one (201).
    """
    parts = parts_of(request)
    resource_id = None if acts else saga.ref().operation_id
    claim = claim_for(request, merchant_id=saga.merchant_id, resource_id=resource_id, saga=saga)
    request_id: str = request.state.request_id
    performance = _Performance(parts, request_id, wait_of(request), saga, acts)
    return await parts.idempotency.once(claim, performance.perform)


@dataclass(frozen=True)
class _Performance:
    parts: Parts
    request_id: str
    wait_seconds: float
    chosen: AnySagaInput
    acts: bool

    async def perform(self, held: Held) -> Answer:
        """Start or attach to the saga.

        One that has ended is never started again: the rows answer.
        """
        saga = self.chosen
        if held.earlier is not None:
            # The ids of the first request count, whatever this one has chosen.
            saga = saga_of(held.earlier)
            standing = await self._standing(saga, held)
            if standing.ended or standing.known:
                return self._of_standing(saga, standing)
        start = saga_start(
            saga,
            request_id=self.request_id,
            likely_provider=self.parts.options.default_provider,
        )
        decision = await self.parts.sagas.decide(start, self.wait_seconds)
        if decision is not None:
            return self._of_decision(saga, decision)
        return self._of_standing(saga, await self._standing(saga, held))

    async def _standing(self, saga: AnySagaInput, held: Held) -> Standing:
        async with self.parts.database.transaction() as session:
            standing = await reads.standing(session, saga.ref())
            if standing is not None and (standing.view is not None or standing.refusal is not None):
                return standing
            made_at = held.earlier.created_at if held.earlier else datetime.now(UTC)
            view = await unstarted_view(session, saga, made_at)
            return Standing(ended=False, known=False, view=view)

    def _of_decision(self, saga: AnySagaInput, decision: AnyDecision) -> Answer:
        if decision.refusal is not None:
            return answers.of_problem(of_refusal(decision.refusal), self.request_id)
        view = decision.resource
        return self._of_view(saga, view, known=self.acts or reads.is_known(view))

    def _of_standing(self, saga: AnySagaInput, standing: Standing) -> Answer:
        if standing.refusal is not None and standing.known:
            return answers.of_problem(of_refusal(standing.refusal), self.request_id)
        return self._of_view(saga, standing.view, known=standing.known)

    def _of_view(self, saga: AnySagaInput, view: AnyView | None, *, known: bool) -> Answer:
        if view is None:
            raise Problem("not_found")
        done = 200 if self.acts else 201
        return Answer(done if known else 202, view.model_dump_json(), location_of(saga))


def wait_of(request: Request) -> float:
    """How long the caller wants to wait: `Prefer: wait=N` (RFC 7240).

    What cannot be read is ignored.
    """
    for header in request.headers.getlist("prefer"):
        for preference in header.split(","):
            name, _, value = preference.partition(";")[0].partition("=")
            value = value.strip().strip('"')
            if name.strip().lower() == "wait" and value.isascii() and value.isdecimal():
                in_range = len(value) < 5 and int(value) <= _LONGEST_WAIT_SECONDS
                return float(value) if in_range else _DEFAULT_WAIT_SECONDS
    return _DEFAULT_WAIT_SECONDS


def location_of(saga: AnySagaInput) -> str:
    match saga:
        case AuthorizeInput() | VoidInput():
            return f"/v1/payments/{saga.payment_id}"
        case CaptureInput():
            return f"/v1/captures/{saga.capture_id}"
        case RefundInput():
            return f"/v1/refunds/{saga.refund_id}"
        case PayoutInput():
            return f"/v1/payouts/{saga.payout_id}"
