"""The search attributes of every saga.

They are never encrypted, so they hold opaque ids and states only.
"""

from __future__ import annotations

from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from recompense.contracts.sagas import SagaRef
from recompense.domain.states import SagaState

OPERATION_ID = SearchAttributeKey.for_keyword("OperationId")
PAYMENT_ID = SearchAttributeKey.for_keyword("PaymentId")
MERCHANT_ID = SearchAttributeKey.for_keyword("MerchantId")
PROVIDER = SearchAttributeKey.for_keyword("Provider")
SAGA_STATE = SearchAttributeKey.for_keyword("SagaState")
NEEDS_ATTENTION = SearchAttributeKey.for_bool("NeedsAttention")

ALL = (OPERATION_ID, PAYMENT_ID, MERCHANT_ID, PROVIDER, SAGA_STATE, NEEDS_ATTENTION)


def at_start(saga: SagaRef, provider: str | None) -> TypedSearchAttributes:
    """What is known of a saga when it starts: set with the start, an attribute costs no history
    event.
    """
    pairs: list[SearchAttributePair[str] | SearchAttributePair[bool]] = [
        SearchAttributePair(OPERATION_ID, saga.operation_id),
        SearchAttributePair(MERCHANT_ID, saga.merchant_id),
        SearchAttributePair(SAGA_STATE, SagaState.RUNNING.value),
        SearchAttributePair(NEEDS_ATTENTION, False),
    ]
    if saga.payment_id is not None:
        pairs.append(SearchAttributePair(PAYMENT_ID, saga.payment_id))
    if provider is not None:
        pairs.append(SearchAttributePair(PROVIDER, provider))
    return TypedSearchAttributes(pairs)


def of_payout_run(run_id: str | None) -> TypedSearchAttributes:
    """What is known of a payout run when it starts: it belongs to no merchant and no provider."""
    pairs: list[SearchAttributePair[str] | SearchAttributePair[bool]] = [
        SearchAttributePair(SAGA_STATE, SagaState.RUNNING.value),
        SearchAttributePair(NEEDS_ATTENTION, False),
    ]
    if run_id is not None:
        pairs.append(SearchAttributePair(OPERATION_ID, run_id))
    return TypedSearchAttributes(pairs)


def of_reconciliation(reconciliation_id: str, provider: str) -> TypedSearchAttributes:
    """What is known of a reconciliation: it is found by its provider, and is no saga."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(OPERATION_ID, reconciliation_id),
            SearchAttributePair(PROVIDER, provider),
        ]
    )


def of_repair(break_id: str, provider: str) -> TypedSearchAttributes:
    """What is known of the repair of a break: it belongs to no merchant."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(OPERATION_ID, break_id),
            SearchAttributePair(PROVIDER, provider),
            SearchAttributePair(SAGA_STATE, SagaState.RUNNING.value),
            SearchAttributePair(NEEDS_ATTENTION, False),
        ]
    )
