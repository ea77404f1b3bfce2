"""The plans that PostgreSQL makes for whatever real code asks it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from sqlalchemy import event

from recompense.persistence.database import Database
from tests.support.big_tables import BIG

EXPLAINED = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_format": "json",
    "auto_explain.log_level": "notice",
}
CUSTOM, GENERIC = "force_custom_plan", "force_generic_plan"
"""A prepared statement is planned for its values at first, and later once for all."""


@dataclass
class Plans:
    """The plans of all that was asked, by the statement's text."""

    by_text: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def note(self, notice: psycopg.errors.Diagnostic) -> None:
        _, found, document = (notice.message_primary or "").partition("plan:\n")
        if found:
            told = json.loads(document)
            self.by_text.setdefault(" ".join(told["Query Text"].split()), []).append(told["Plan"])

    def scanning(self) -> dict[str, set[str]]:
        """The big tables that each statement reads from end to end, where it does."""
        found = {
            text: {
                node["Relation Name"]
                for plan in plans
                for node in nodes(plan)
                if node["Node Type"] == "Seq Scan" and node["Relation Name"] in BIG
            }
            for text, plans in self.by_text.items()
        }
        return {text: tables for text, tables in found.items() if tables}

    def rows_read(self) -> dict[str, float]:
        """How many rows of big tables each statement read, where the plans tell (`log_analyze`)."""
        return {
            text: max(
                sum(rows_read(node) for node in nodes(plan) if node.get("Relation Name") in BIG)
                for plan in plans
            )
            for text, plans in self.by_text.items()
        }


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def rows_read(node: dict[str, Any]) -> float:
    each: float = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    loops: float = node["Actual Loops"]
    return each * loops


def explain(url: str, settings: Mapping[str, str]) -> None:
    """Have a database explain what new connections ask it."""
    with psycopg.connect(url, autocommit=True) as connection:
        for setting, value in settings.items():
            connection.execute(
                f"ALTER DATABASE {connection.info.dbname} SET {setting} = '{value}'".encode()
            )


@asynccontextmanager
async def explained(database: Database, mode: str) -> AsyncIterator[Plans]:
    plans = Plans()

    @event.listens_for(database.engine.sync_engine, "connect")
    def listen(connection: Any, _: object) -> None:
        connection.driver_connection.add_notice_handler(plans.note)
        connection.execute(f"SET plan_cache_mode = {mode}")
        connection.commit()

    yield plans
