"""What we sign verifies with somebody else's implementation, and only as it was sent."""

from __future__ import annotations

import time
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from recompense.webhooks.signing import headers_for, new_secret
from tests.architecture.source import ROOT

BODY = b'{"id":"evt_1","type":"payment.captured","data":{"object":{"description":"\xc3\xa4"}}}'


def _headers(*secrets: str, at: int | None = None) -> dict[str, str]:
    sent_at = int(time.time()) if at is None else at
    return headers_for(secrets, event_id="evt_1", sent_at_seconds=sent_at, body=BODY)


def test_delivery_verifies_with_the_endpoints_secret() -> None:
    secret = new_secret()
    assert Webhook(secret).verify(BODY, _headers(secret))["id"] == "evt_1"


def test_both_live_secrets_verify_and_a_third_does_not() -> None:
    new, old = new_secret(), new_secret()
    headers = _headers(new, old)
    for secret in (new, old):
        Webhook(secret).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(BODY, headers)


@pytest.mark.parametrize("changed", ["webhook-id", "webhook-timestamp", "body"])
def test_what_was_changed_on_the_way_does_not_verify(changed: str) -> None:
    secret = new_secret()
    headers, body = _headers(secret), BODY
    if changed == "body":
        body = BODY.replace(b"captured", b"refunded")
    elif changed == "webhook-id":
        headers[changed] = "evt_2"
    else:
        headers[changed] = str(int(headers[changed]) + 1)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, headers)


def test_verification_of_the_docs_takes_ours_and_nothing_else() -> None:
    page = (ROOT / "docs" / "webhooks.md").read_text(encoding="utf-8")
    blocks = page.split("```python\n")[1:]
    (shown,) = (block.partition("```")[0] for block in blocks if "def verified" in block)
    names: dict[str, Any] = {}
    exec(shown, names)  # noqa: S102 - our own page
    verified = names["verified"]
    new, old = new_secret(), new_secret()
    assert verified(new, _headers(new, old), BODY)
    assert verified(old, _headers(new, old), BODY)
    assert not verified(new_secret(), _headers(new, old), BODY)
    assert not verified(new, _headers(new), BODY + b" ")
    assert not verified(new, _headers(new, at=int(time.time()) - 301), BODY)


def test_the_vector_of_the_specification_is_met() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = headers_for(
        [secret],
        event_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        sent_at_seconds=1614265330,
        body=b'{"test": 2432232314}',
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_secrets_are_new_each_time_and_of_the_length_that_is_asked_for() -> None:
    made = {new_secret() for _ in range(8)}
    assert len(made) == 8
    assert all(secret.startswith("whsec_") and len(secret) == 50 for secret in made)
