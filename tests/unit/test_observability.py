"""Nothing secret gets into a log line, under whatever name and at whatever depth."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
import structlog

from recompense.observability import HIDDEN, configure_logging, scrub

SECRETS: list[dict[str, Any]] = [
    {"token": "abc"},
    {"jwt_secret": "abc"},
    {"headers": {"Authorization": "abc"}},
    {"note": "sent Bearer abc"},
    {"note": "used tok_abc"},
    {"note": "key rcp_abc-def"},
    {"note": "eyJhbGciOi.eyJzdWIi.abc"},
    {"note": "cut off: eyJhbGciOi.eyJabc"},
    {"url": "postgresql://app:abc@127.0.0.1/db"},
    {"list": [{"password": "abc"}]},
]


@pytest.mark.parametrize("event", SECRETS)
def test_secret_is_hidden(event: dict[str, Any]) -> None:
    scrubbed = scrub(None, "info", dict(event))
    assert "abc" not in json.dumps(scrubbed)
    assert HIDDEN in json.dumps(scrubbed)


def test_card_number_is_hidden_in_any_value() -> None:
    scrubbed = scrub(None, "info", {"path": "/v1/payments/4242424242424242", "n": 1})
    assert scrubbed == {"path": "/v1/payments/[card number]", "n": 1}


def test_lines_of_libraries_are_scrubbed_too(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure_logging("info", "json")
        logging.getLogger("somebody").warning("connecting with Bearer abc")
        structlog.get_logger().info("ours", token="abc")
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()
        logging.getLogger("uvicorn.access").disabled = False
    assert [line["event"] for line in lines] == [f"connecting with {HIDDEN}", "ours"]
    assert lines[1]["token"] == HIDDEN
