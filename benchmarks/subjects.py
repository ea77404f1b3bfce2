"""What is measured: the platform through its API, and each control through its own door."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
from temporalio.client import Client

from benchmarks.controls import bare, usual
from benchmarks.controls.call import (
    AMOUNT,
    CURRENCY,
    MERCHANT,
    TOKEN,
    Call,
    async_client,
    status_of,
)
from benchmarks.lab import Lab
from benchmarks.load import Ask
from recompense.domain.ids import IdPrefix, new_id

AUTHORIZED = "authorized"


class WrongOutcome(RuntimeError):
    """An operation did not end as it should: figures of it would be worth nothing."""


def _expect(subject: str, status: object) -> None:
    if status != AUTHORIZED:
        raise WrongOutcome(f"{subject}: {status}")


def payment(merchant: str = MERCHANT) -> dict[str, object]:
    """The body of `POST /v1/payments` for one authorization."""
    return {
        "merchant_id": merchant,
        "amount": AMOUNT,
        "currency": CURRENCY,
        "payment_method": {"type": "card_token", "token": TOKEN},
        "capture_method": "manual",
    }


def platform_ask(
    clients: Sequence[httpx.AsyncClient], token: str, merchant: Callable[[], str] = lambda: MERCHANT
) -> Ask:
    """POST to 201 at the API, on each of its processes in turn."""
    turns = itertools.cycle(clients)
    authorization = {"Authorization": f"Bearer {token}"}

    async def ask() -> None:
        headers = {**authorization, "Idempotency-Key": new_id(IdPrefix.PAYMENT)}
        answer = await next(turns).post("/v1/payments", json=payment(merchant()), headers=headers)
        if answer.status_code != httpx.codes.CREATED:
            raise WrongOutcome(f"platform: {answer.status_code} {answer.text[:300]}")
        _expect("platform", answer.json()["status"])

    return ask


def _temporal_ask(name: str, client: Client) -> Ask:
    authorize = {"bare": bare.authorize, "usual": usual.authorize}[name]

    async def ask() -> None:
        _expect(name, await authorize(client, Call(new_id(IdPrefix.PAYMENT))))

    return ask


def _peer_ask(clients: Sequence[httpx.AsyncClient]) -> Ask:
    turns = itertools.cycle(clients)

    async def ask() -> None:
        headers = {"Idempotency-Key": new_id(IdPrefix.PAYMENT)}
        answer = await next(turns).post("/payments", headers=headers)
        _expect("peer", answer.raise_for_status().json()["status"])

    return ask


def _raw_ask(client: httpx.AsyncClient) -> Ask:
    async def ask() -> None:
        _expect("raw", status_of(await client.post(**Call(new_id(IdPrefix.PAYMENT)).request())))

    return ask


@asynccontextmanager
async def subjects(lab: Lab, *names: str) -> AsyncIterator[dict[str, Ask]]:
    """How to ask each of these; the controls among them have to run."""
    async with AsyncExitStack() as stack:

        async def http(url: str) -> httpx.AsyncClient:
            return await stack.enter_async_context(async_client(url))

        asks: dict[str, Ask] = {}
        for name in names:
            if name == "platform":
                client = await http(lab.stack.api_url)
                asks[name] = platform_ask([client], lab.stack.tokens.backend)
            elif name == "peer":
                asks[name] = _peer_ask([await http(url) for url in lab.peer_urls])
            elif name == "raw":
                asks[name] = _raw_ask(await http(lab.stack.sandbox_url))
            else:
                asks[name] = _temporal_ask(name, await lab.client())
        yield asks
