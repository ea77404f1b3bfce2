"""A port with a shadow around it is still read by its webhooks, and takes them in batches."""

from __future__ import annotations

from typing import Any

from adapters.registry import build
from adapters.shadow import ReplayTransport, ShadowedPort
from recompense.contracts.port_extras import ReadsEvents, innermost, verified_events
from tests.support.adyen.signing import ACCOUNT, HMAC_KEY, item, standard

CONFIG: dict[str, Any] = {
    "base_url": "http://127.0.0.1:9/v71",
    "api_key": "k",
    "merchant_account": ACCOUNT,
    "return_url": "https://shop.example/",
    "hmac_keys": [HMAC_KEY],
}


def test_shadow_hides_nothing_of_what_webhooks_tell() -> None:
    live = build("adyen", CONFIG, transport=ReplayTransport())
    candidate = build("adyen", CONFIG, transport=ReplayTransport())
    port = ShadowedPort(live, candidate, lambda _report: None)
    assert isinstance(innermost(port), ReadsEvents)
    sent = standard(
        item("CAPTURE", "PSP1", "cap_1/capture/1"), item("REFUND", "PSP2", "ref_1/refund/1")
    )
    assert len(verified_events(port, sent.headers, sent.body)) == 2
