"""Secrets of endpoints: kept sealed, two alive while one is replaced, gone with the endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from standardwebhooks import Webhook

from recompense.persistence import webhooks
from recompense.vault import Vault
from recompense.webhooks.courier import Courier
from recompense.webhooks.signing import new_secret
from tests.support.api import VAULT_KEY
from tests.support.couriers import Post, open_post

SHOP = "https://shop.example/"
CAPTURED = "payment.captured"
LEASE_OVER = "UPDATE webhook_deliveries SET next_attempt_at = clock_timestamp()"


@pytest.fixture
async def post(database_url: str) -> AsyncIterator[Post]:
    """A courier on this test's own database."""
    async with open_post(database_url) as post:
        yield post


async def test_deleted_endpoint_gets_nothing_more_and_keeps_no_secret(post: Post) -> None:
    endpoint = await post.endpoint(SHOP)
    await post.emitted(CAPTURED)
    await post.handed_out()
    async with post.database.transaction() as session:
        assert await webhooks.delete(session, endpoint, actor="test")
        assert not await webhooks.delete(session, endpoint, actor="test")
        assert await webhooks.find(session, endpoint) is None
    await post.turn()
    assert post.sender.sent == []
    (row,) = await post.rows("SELECT secret, previous_secret FROM webhook_endpoints")
    assert row == {"secret": None, "previous_secret": None}


async def test_both_secrets_sign_until_the_old_one_ends(post: Post) -> None:
    endpoint = await post.endpoint(SHOP)
    new = new_secret()
    async with post.database.transaction() as session:
        before = await webhooks.find(session, endpoint)
        assert before is not None
        old = post.vault.open(str(before.secret), endpoint)
        for _ in range(2):  # the second is the same request again
            await webhooks.rotate(
                session,
                endpoint,
                secret=post.vault.seal(new, endpoint),
                rotation="r1",
                overlap_hours=24,
                actor="test",
            )
    await post.emitted(CAPTURED)
    await post.turn()
    _, headers, body = post.sender.sent[0]
    assert len(headers["webhook-signature"].split()) == 2
    for secret in (old, new):
        Webhook(secret).verify(body, dict(headers))
    await post.rows("UPDATE webhook_endpoints SET previous_until = clock_timestamp()")
    await post.emitted(CAPTURED)
    await post.turn()
    _, headers, body = post.sender.sent[1]
    assert len(headers["webhook-signature"].split()) == 1
    Webhook(new).verify(body, dict(headers))


async def test_secret_that_cannot_be_opened_is_no_try_and_no_reason_to_disable(
    post: Post,
) -> None:
    endpoint = await post.endpoint(SHOP)
    await post.emitted(CAPTURED)
    stranger = Courier(post.database, Vault([b"another key of 32 bytes, unknown"]), post.sender)
    await post.handed_out()
    await stranger.turn()
    await stranger.settled()
    assert post.sender.sent == []
    (row,) = await post.rows("SELECT state, tries FROM webhook_deliveries")
    assert row == {"state": "pending", "tries": 0}
    await post.rows(LEASE_OVER)
    await post.turn()
    assert await post.states(endpoint) == ["delivered"]


async def test_courier_with_a_new_key_seals_the_secrets_anew(post: Post) -> None:
    endpoint = await post.endpoint(SHOP)
    newer = Vault([b"a newer key of 32 bytes, for all", VAULT_KEY])
    stop = asyncio.Event()
    stop.set()
    await Courier(post.database, newer, post.sender).run(stop)
    (row,) = await post.rows("SELECT secret FROM webhook_endpoints")
    alone = Vault([b"a newer key of 32 bytes, for all"])
    assert alone.open(row["secret"], endpoint).startswith("whsec_")
