"""What a port may offer beside `ProviderPort`. Callers ask the `innermost` port for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from recompense.contracts.payer_actions import CompleteCall
from recompense.contracts.provider import (
    Found,
    Outcome,
    ProviderEvent,
    ProviderOperation,
    ProviderPort,
)


@runtime_checkable
class ReadsEvents(Protocol):
    """A port whose provider tells of an effect by webhook only: its look-up is a pure reading of
    the verified webhooks that are stored, and calls nobody.
    """

    def found_in_events(
        self,
        *,
        operation: ProviderOperation,
        effect_key: str,
        reference: str | None,
        amount: int | None,
        currency: str | None,
        events: Sequence[ProviderEvent],
    ) -> Found:
        """What `events` say about one effect, in whatever order and however often they came.

        `reference` is the provider's own name of it, where an answer has told it. `Absent`: they
        say nothing. Raises `ProviderAnswerMismatch`.
        """
        ...


@runtime_checkable
class ReceivesBatches(Protocol):
    """A port whose provider sends several events in one delivery."""

    def verify_webhooks(self, headers: Mapping[str, str], body: bytes) -> tuple[ProviderEvent, ...]:
        """Verify a delivery and all of its events: all of them or none. Raises as
        `verify_webhook` does.
        """
        ...


@runtime_checkable
class CompletesActions(Protocol):
    """A port whose provider has to be handed what the payer brought back. Without that call it
    never decides.
    """

    async def complete_action(self, call: CompleteCall) -> Outcome | None:
        """Hand it over: the outcome of the authorization, `RequiresAction` where the payer has to
        act again.

        None: the provider took none of it, and waits as before. Raises as money calls do.
        """
        ...


@runtime_checkable
class Wraps(Protocol):
    """A port around another one, which answers for it."""

    @property
    def inner(self) -> ProviderPort:
        """The port that answers."""
        ...


def innermost(port: ProviderPort) -> ProviderPort:
    """The port that answers, whatever is around it: what it implements beside `ProviderPort` is
    asked of it alone.
    """
    return innermost(port.inner) if isinstance(port, Wraps) else port


def verified_events(
    port: ProviderPort, headers: Mapping[str, str], body: bytes
) -> tuple[ProviderEvent, ...]:
    """The events of one delivery. Raises `WebhookRefused`."""
    answers = innermost(port)
    if isinstance(answers, ReceivesBatches):
        return answers.verify_webhooks(headers, body)
    return (port.verify_webhook(headers, body),)
