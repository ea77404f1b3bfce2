"""Reason codes of R-transactions in our words. Source: ISO 20022 external code sets, EPC135-18."""

from __future__ import annotations

from recompense.contracts.provider import Declined

_CODES = {
    "AC01": "account_invalid",
    "AC04": "account_closed",
    "AC06": "account_blocked",
    "AG01": "payout_not_allowed",
    "AG02": "provider_refused_request",
    "AM04": "insufficient_funds",
    "BE01": "account_invalid",
    "BE04": "account_invalid",
    "CNOR": "account_invalid",
    "DNOR": "provider_refused_request",
    "FF01": "provider_refused_request",
    "MD07": "account_closed",
    "MS02": "payout_declined",
    "MS03": "payout_declined",
    "RC01": "account_invalid",
    "RR01": "payout_not_allowed",
    "RR02": "payout_not_allowed",
    "RR03": "payout_not_allowed",
    "RR04": "payout_not_allowed",
}
_MESSAGES = {
    "account_invalid": "The bank account does not exist.",
    "account_closed": "The bank account is closed.",
    "account_blocked": "The bank account takes no payments.",
    "payout_not_allowed": "A bank may not make this payment.",
    "provider_refused_request": "The bank refused the instruction; nothing was done.",
    "insufficient_funds": "Our account holds too little money.",
    "payout_declined": "A bank declined the payment.",
}

DUPLICATES = frozenset({"AM05", "DU01", "DU02", "DU03", "DU04", "DU05"})
"""The bank has seen it before: the first one may well be under way, so it is no refusal."""


def declined(reason: str | None) -> Declined:
    """A rejection in our words; a reason that we do not know is a plain decline."""
    code = _CODES.get(reason or "", "payout_declined")
    return Declined(code=code, message=_MESSAGES[code], provider_code=reason)
