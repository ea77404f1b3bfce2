"""A container's health check without curl: `python -m recompense.stack.healthcheck URL`."""

from __future__ import annotations

import sys

import httpx


def main(url: str) -> int:
    """Exit status 0 when the address answers with a 2xx, else 1."""
    try:
        return 0 if httpx.get(url, trust_env=False, timeout=4).is_success else 1
    except httpx.HTTPError:
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
