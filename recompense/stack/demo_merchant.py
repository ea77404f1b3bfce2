"""The demo merchant `mer_demo`: made through the API, as any merchant is."""

from __future__ import annotations

import httpx

from recompense.stack.errors import PartFailed
from recompense.stack.tokens import DEMO_MERCHANT

MERCHANT = {
    "id": DEMO_MERCHANT,
    "name": "Demo merchant",
    "country": "DE",
    "availability": {"rule": "on_capture"},
}
THERE_ALREADY = 409


async def create_demo_merchant(api_url: str, admin_token: str) -> None:
    """Make the merchant if it is not there.

    Raises:
        PartFailed: the API refuses, or does not answer.
    """
    headers = {
        "Authorization": f"Bearer {admin_token}",
        "Idempotency-Key": f"stack-{DEMO_MERCHANT}",
    }
    try:
        async with httpx.AsyncClient(base_url=api_url, trust_env=False, timeout=10) as http:
            answer = await http.post("/v1/merchants", json=MERCHANT, headers=headers)
    except httpx.HTTPError as error:
        raise PartFailed("API", f"no answer at {api_url}: {error}") from error
    if not answer.is_success and answer.status_code != THERE_ALREADY:
        raise PartFailed("API", f"{answer.status_code} for {DEMO_MERCHANT}: {answer.text[:500]}")
