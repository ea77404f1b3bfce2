"""How things go wrong, in four words, and how a request is refused.

Failures are translated in two places only: a vendor's words become ours in its adapter, and ours
become Temporal's
`ApplicationError` at the activity boundary. Their type names travel in histories: they are part of
the contract.

RecompenseError
├── Refused                         the state or a rule forbids it: a result for the caller, never
red
│   └── InsufficientAvailableBalance
├── ProviderUnavailable             this try was provably never sent; it may be made again
├── OutcomeUnknown                  the try may have moved money; look it up, never guess
│   └── ProviderAnswerMismatch      the provider answered for another amount, currency or object: a
person must look
├── ProviderAccessDenied            the provider refuses our credentials: retrying cannot help
└── InvariantBroken                 our own books or rows contradict each other
"""

from __future__ import annotations


class RecompenseError(Exception):
    """Base of all failures that this platform names."""


class Refused(RecompenseError):
    """An operation that the state or a rule forbids. `code` is stable and is what the API answers
    with (409).
    """

    def __init__(self, code: str, message: str, **members: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.members = members


class InsufficientAvailableBalance(Refused):
    """The debit would take a floored account below its floor."""

    def __init__(self, message: str = "The available balance does not cover this amount.") -> None:
        super().__init__("insufficient_available_balance", message)


class ProviderUnavailable(RecompenseError):
    """This try did not reach the provider, or the provider documents that it did nothing.

    It speaks for one try: whoever retries must remember whether an earlier try may have been sent.
    `retry_after_seconds` is what the provider asked for, already capped; None when it said nothing
    usable.
    """

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class OutcomeUnknown(RecompenseError):
    """Bytes may have gone out and no trustworthy answer came back."""


class ProviderAnswerMismatch(OutcomeUnknown):
    """The provider answered about another amount, currency or object than we asked for."""


class ProviderAccessDenied(RecompenseError):
    """The provider refused our credentials (401, 403). Nothing was done and no retry will change
    it.
    """


class InvariantBroken(RecompenseError):
    """Two things that must agree do not. Money stops here until a person has looked."""
