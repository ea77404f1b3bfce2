"""The stable codes of all problems: the status and the words of each. The docs are made from it."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One kind of problem."""

    status: int
    title: str


CATALOGUE: dict[str, Entry] = {
    "malformed_json": Entry(400, "The body is not JSON"),
    "idempotency_key_missing": Entry(400, "An Idempotency-Key is required"),
    "idempotency_key_invalid": Entry(400, "The Idempotency-Key is malformed"),
    "webhook_malformed": Entry(400, "The signed body is not an event"),
    "webhook_signature_missing": Entry(400, "The webhook has no signature"),
    "webhook_signature_invalid": Entry(400, "The webhook's signature does not hold"),
    "webhook_stale": Entry(400, "The webhook's signature is too old"),
    "bad_request": Entry(400, "The request cannot be understood"),
    "unauthenticated": Entry(401, "A valid token or API key is required"),
    "insufficient_scope": Entry(403, "The token lacks the scope"),
    "four_eyes": Entry(403, "A second person has to approve"),
    "merchant_bound": Entry(403, "The token is bound to a merchant"),
    "not_found": Entry(404, "There is no such resource"),
    "merchant_not_found": Entry(404, "There is no such merchant"),
    "payment_not_found": Entry(404, "There is no such payment"),
    "provider_not_found": Entry(404, "There is no such provider"),
    "method_not_allowed": Entry(405, "The resource does not take this method"),
    "idempotency_key_in_use": Entry(409, "The first request with this key is still open"),
    "reference_in_use": Entry(409, "The reference belongs to another resource"),
    "merchant_exists": Entry(409, "A merchant has this id already"),
    "payment_not_capturable": Entry(409, "Nothing of the payment can be captured"),
    "payment_not_voidable": Entry(409, "The payment cannot be voided"),
    "payment_not_refundable": Entry(409, "Nothing of the payment can be refunded"),
    "payment_needs_no_action": Entry(409, "The payment waits for no action of its payer"),
    "amount_exceeds_capturable": Entry(409, "More than can be captured"),
    "amount_exceeds_refundable": Entry(409, "More than can be refunded"),
    "insufficient_available_balance": Entry(409, "The available balance does not cover it"),
    "books_still_open": Entry(409, "The books of that time are not closed yet"),
    "capture_in_progress": Entry(409, "A capture of the payment is under way"),
    "payout_not_reviewable": Entry(409, "The payout cannot be changed in its state"),
    "payout_not_awaiting_approval": Entry(409, "The payout does not wait for an approval"),
    "payout_not_cancelable": Entry(409, "The payout cannot be taken back any more"),
    "payout_run_exists": Entry(409, "A run of this name and date is there already"),
    "payout_run_not_awaiting_approval": Entry(409, "The run does not wait for an approval"),
    "payout_run_nothing_to_resume": Entry(409, "No item of the run can be paid again"),
    "provider_not_available": Entry(409, "The provider does not take this"),
    "currency_not_supported": Entry(409, "The provider does not take this currency"),
    "break_not_open": Entry(409, "The break is resolved already"),
    "break_action_unfit": Entry(409, "The action does not fit the break"),
    "break_repair_withdrawn": Entry(409, "The repair was taken back before it was booked"),
    "saga_not_parked": Entry(409, "The saga is not waiting for a person"),
    "nothing_to_retry": Entry(409, "The effect stands: keep it, or say that it was undone"),
    "orphan_cannot_be_kept": Entry(409, "The effect can only be undone at the provider"),
    "saga_is_parked": Entry(409, "The saga waits for a person's answer"),
    "saga_is_running": Entry(409, "The saga is under way"),
    "webhook_endpoint_disabled": Entry(409, "The webhook endpoint is disabled"),
    "too_many_webhook_endpoints": Entry(409, "The merchant has as many endpoints as it may have"),
    "body_too_large": Entry(413, "The body is too large"),
    "webhook_too_large": Entry(413, "The webhook is larger than any event"),
    "unsupported_media_type": Entry(415, "The body has to be application/json"),
    "validation_failed": Entry(422, "The request is not valid"),
    "idempotency_key_reused": Entry(422, "The key was used with another body"),
    "pan_not_accepted": Entry(422, "Card numbers are not accepted"),
    "rate_limited": Entry(429, "Too many requests"),
    "internal_error": Entry(500, "Something broke on our side"),
    "database_unavailable": Entry(503, "The database does not answer"),
    "temporal_unavailable": Entry(503, "Temporal does not answer"),
    "keys_unavailable": Entry(503, "The keys of the tokens cannot be read"),
    "overloaded": Entry(503, "As many requests are under way as this process takes"),
    "not_ready": Entry(503, "A part is not ready"),
}
