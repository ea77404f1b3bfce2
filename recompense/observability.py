"""Logs and metrics of every process: one line format, one registry, nothing secret in either."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Literal

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from recompense.domain.card_numbers import without_card_numbers

_SECRET_NAMES = re.compile(r"token|secret|password|authorization|api_?key|signature", re.IGNORECASE)
_SECRET_VALUES = re.compile(
    r"(?i:bearer)\s+\S+|\b(?:tok|rcp|whsec|sk|pk)_[!-~]+"
    r"|\beyJ[\w.-]+|(?<=://)[^/@\s]+@"
)
HIDDEN = "[hidden]"


def configure_logging(level: str, form: Literal["json", "console"]) -> None:
    """Set structlog up for this process. Lines go to standard output, one for each event."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        scrub,
    ]
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    # Libraries write through the standard library; their lines pass the same scrubbing.
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))
    logging.getLogger("uvicorn.access").disabled = True


def scrub(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Hide what is named or shaped like a secret, and every card number, at any depth."""
    return {name: _scrubbed(name, value) for name, value in event.items()}


def _scrubbed(name: str, value: Any) -> Any:  # noqa: ANN401 - a log line holds anything
    if isinstance(value, str):
        if _SECRET_NAMES.search(name):
            return HIDDEN
        return without_card_numbers(_SECRET_VALUES.sub(HIDDEN, value))
    if isinstance(value, Mapping):
        return {key: _scrubbed(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_scrubbed(name, item) for item in value]
    return value


class HttpMetrics:
    """What is counted of the API's requests. `route` is the template, never the path itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.requests = Counter(
            "recompense_http_requests_total",
            "HTTP requests answered.",
            ["method", "route", "status"],
            registry=registry,
        )
        self.seconds = Histogram(
            "recompense_http_request_seconds",
            "From the request's head to the answer's end.",
            ["method", "route"],
            registry=registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
        )


class WatchMetrics:
    """What the watch found, one sample for each question. The docs say what to do about each."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.found = Gauge(
            "recompense_watch_found",
            "What the watch has found; it counts to 1000.",
            ["watch"],
            registry=registry,
        )
        self.oldest_seconds = Gauge(
            "recompense_watch_oldest_seconds",
            "Age of the oldest of it.",
            ["watch"],
            registry=registry,
        )
        self.wrong = Gauge(
            "recompense_watch_wrong",
            "1 when somebody has to look now.",
            ["watch"],
            registry=registry,
        )
        self.answered = Gauge(
            "recompense_watch_answered",
            "0 when the database did not answer in time: the other samples are then old.",
            ["watch"],
            registry=registry,
        )


class WebhookMetrics(Collector):
    """How the tries of webhook deliveries have ended, of all processes and ever."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.tries: Mapping[str, int] = {}
        registry.register(self)

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The counter as it was last read from the database."""
        counter = CounterMetricFamily(
            "recompense_webhook_tries", "Tries of webhook deliveries.", labels=["outcome"]
        )
        for outcome, count in self.tries.items():
            counter.add_metric([outcome], count)
        yield counter


class ShadowMetrics(Collector):
    """How often a candidate read the live provider's answer as the live adapter did, and how often
    not: of all processes and ever.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.answers: Mapping[tuple[str, str, str, str], int] = {}
        registry.register(self)

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The counter as it was last read from the database."""
        counter = CounterMetricFamily(
            "recompense_shadow_answers",
            "Answers of a provider that a candidate adapter read too.",
            labels=["provider", "candidate", "operation", "agreement"],
        )
        for labels, count in self.answers.items():
            counter.add_metric(labels, count)
        yield counter
