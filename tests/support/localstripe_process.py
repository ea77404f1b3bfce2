"""Runs localstripe, an implementation of Stripe's API by others, on 127.0.0.1: as a program of its
own, since its licence is the GPL, and never by its own command line, which listens on every
interface and unpickles a file of the temporary folder.

    python -m tests.support.localstripe_process <port>

Some things that Stripe documents and localstripe 1.15 does not know are added, because without
them no adapter could ask for them: `created` as a filter of lists, which show the newest first;
`metadata` on a capture; `amount_received` of a payment; `return_url` of a payment, for which a
payer's action has an address (`redirect_to_url`): that of localstripe's own authentication; and the
events that tell how an authentication ended. Nothing that it does with money is changed: what it
gets wrong there stands as it is.
"""

from __future__ import annotations

import sys
from typing import Any

from aiohttp import web
from localstripe import resources
from localstripe.webhooks import schedule_webhook

_COMPARISONS = {
    "gt": lambda made, bound: made > bound,
    "gte": lambda made, bound: made >= bound,
    "lt": lambda made, bound: made < bound,
    "lte": lambda made, bound: made <= bound,
}
_TOLD = {
    "requires_capture": "payment_intent.amount_capturable_updated",
    "requires_payment_method": "payment_intent.payment_failed",
}
"""The event for what an authentication has made of a payment that is captured later."""


def keep_nothing_on_disk() -> None:
    """Its store writes itself into the temporary folder after each change."""
    resources.Store.dump_to_disk = lambda _store: None


def list_by_creation(kind: Any) -> None:
    """Give the list of a kind of object the filter `created`, and the order of Stripe's lists."""
    list_all = kind._api_list_all

    def listed(cls: Any, /, url: str, created: dict[str, str] | None = None, **query: Any) -> Any:
        found = list_all(url, **query)
        made = [(one, place) for place, one in enumerate(found._list)]
        made.sort(key=lambda pair: (pair[0].created, pair[1]), reverse=True)
        found._list = [one for one, _place in made if _within(one.created, created or {})]
        return found

    kind._api_list_all = classmethod(listed)


def _within(moment: int, bounds: dict[str, str]) -> bool:
    return all(_COMPARISONS[name](moment, int(bound)) for name, bound in bounds.items())


def capture_with_metadata() -> None:
    """Let a capture write metadata, as one with it, and the payment tell what was received."""
    capture = resources.PaymentIntent._api_capture

    def captured(cls: Any, /, id: str, metadata: Any = None, **form: Any) -> Any:
        intent = capture(id, **form)
        intent._update(metadata=metadata)
        intent._received = int(form.get("amount_to_capture") or intent.amount)
        return intent

    def received(intent: Any) -> int:
        return getattr(intent, "_received", 0)

    resources.PaymentIntent._api_capture = classmethod(captured)
    resources.PaymentIntent.amount_received = property(received)
    _serve_instead(capture, resources.PaymentIntent._api_capture)


def send_payers_to(base_url: str) -> None:
    """Take `return_url` with a payment, and send its payer, who else needs a script of Stripe's, to
    an address: a POST there with `success` is the end of the authentication.
    """
    create = resources.PaymentIntent._api_create

    def created(cls: Any, /, return_url: str | None = None, **form: Any) -> Any:
        intent = create(**form)
        if return_url is not None and intent.next_action is not None:
            page = f"{base_url}/v1/payment_intents/{intent.id}/_authenticate"
            url = f"{page}?client_secret={intent.client_secret}"
            redirect = {"return_url": return_url, "url": url}
            intent.next_action = {"type": "redirect_to_url", "redirect_to_url": redirect}
        return intent

    resources.PaymentIntent._api_create = classmethod(created)


def tell_of_authentications() -> None:
    """Send the event of a payment whose payer has authenticated, or has not."""
    authenticate = resources.PaymentIntent._api_authenticate

    def authenticated(cls: Any, /, id: str, **form: Any) -> Any:
        intent = authenticate(id, **form)
        event = _TOLD.get(intent.status)
        if event is not None:
            schedule_webhook(resources.Event(event, intent))
        return intent

    resources.PaymentIntent._api_authenticate = classmethod(authenticated)
    _serve_instead(authenticate, resources.PaymentIntent._api_authenticate)


def _serve_instead(known: Any, ours: Any) -> None:
    """An action has its route in a list, beside the class."""
    for place, (method, url, function) in enumerate(resources.extra_apis):
        if function == known:
            resources.extra_apis[place] = (method, url, ours)


def main() -> None:
    """Serve until this process is ended."""
    port = int(sys.argv[1])
    keep_nothing_on_disk()
    for kind in (
        resources.PaymentIntent,
        resources.Refund,
        resources.Payout,
        resources.BalanceTransaction,
    ):
        list_by_creation(kind)
    capture_with_metadata()
    send_payers_to(f"http://127.0.0.1:{port}")
    tell_of_authentications()
    # Its routes keep the functions that are there when it is imported.
    from localstripe.server import app

    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)


if __name__ == "__main__":
    main()
