"""Runs localstripe, an implementation of Stripe's API by others, on 127.0.0.1: as a program of its
own, since its licence is the GPL, and never by its own command line, which listens on every
interface and unpickles a file of the temporary folder.

    python -m tests.support.localstripe_process <port>

Three things that Stripe documents and localstripe 1.15 does not know are added, because without
them no adapter could ask for them: `created` as a filter of lists, which show the newest first;
`metadata` on a capture; `amount_received` of a payment. Nothing that it does with money is changed:
what it gets wrong there stands as it is.
"""

from __future__ import annotations

import sys
from typing import Any

from aiohttp import web
from localstripe import resources

_COMPARISONS = {
    "gt": lambda made, bound: made > bound,
    "gte": lambda made, bound: made >= bound,
    "lt": lambda made, bound: made < bound,
    "lte": lambda made, bound: made <= bound,
}


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
    for place, (method, url, function) in enumerate(resources.extra_apis):
        if function == capture:
            resources.extra_apis[place] = (method, url, resources.PaymentIntent._api_capture)


def main() -> None:
    """Serve until this process is ended."""
    keep_nothing_on_disk()
    for kind in (
        resources.PaymentIntent,
        resources.Refund,
        resources.Payout,
        resources.BalanceTransaction,
    ):
        list_by_creation(kind)
    capture_with_metadata()
    # Its routes keep the functions that are there when it is imported.
    from localstripe.server import app

    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)


if __name__ == "__main__":
    main()
