"""The peer: the same authorization as a DBOS workflow behind FastAPI, on the same PostgreSQL.

Three steps with synchronous psycopg, as its documentation recommends: admit, provider, record, each
database step one transaction with one round trip; the idempotency key is the workflow's id.
"""

from __future__ import annotations

import sys
import threading
from typing import Annotated

import httpx
import psycopg
import uvicorn
from dbos import DBOS, SetWorkflowID
from fastapi import FastAPI, Header

from benchmarks.controls.call import MERCHANT, NO_LIMITS, TIMEOUT, Call, status_of

ADMIT = """
WITH payment AS (
    INSERT INTO payments (id, merchant_id, amount, currency, status)
    VALUES (%(id)s, %(merchant)s, %(amount)s, %(currency)s, 'pending') ON CONFLICT DO NOTHING
)
INSERT INTO entries VALUES (%(id)s, 'provider', %(amount)s, 0), (%(id)s, 'merchant', 0, %(amount)s)
ON CONFLICT DO NOTHING
"""
RECORD = """
WITH payment AS (UPDATE payments SET status = %(status)s WHERE id = %(id)s)
INSERT INTO events (payment_id, type) VALUES (%(id)s, %(status)s) ON CONFLICT DO NOTHING
"""


class Steps:
    """The steps of one process, with a connection for each of its threads."""

    def __init__(self, sandbox_url: str, database_url: str) -> None:
        self._url = database_url
        self._of_thread = threading.local()
        self._http = httpx.Client(
            base_url=sandbox_url, trust_env=False, timeout=TIMEOUT, limits=NO_LIMITS
        )

    def _connection(self) -> psycopg.Connection:
        found: psycopg.Connection | None = getattr(self._of_thread, "connection", None)
        if found is None:
            found = psycopg.connect(self._url, autocommit=True)
            self._of_thread.connection = found
        return found

    def admit(self, call: Call) -> None:
        """Make the payment and its hold."""
        values = {
            "id": call.payment_id,
            "merchant": MERCHANT,
            "amount": call.amount,
            "currency": call.currency,
        }
        self._connection().execute(ADMIT, values)

    def provider(self, call: Call) -> str:
        """Ask the sandbox; its word."""
        return status_of(self._http.post(**call.request()))

    def record(self, call: Call, status: str) -> None:
        """Write the outcome and the event."""
        self._connection().execute(RECORD, {"id": call.payment_id, "status": status})


def make_app(steps: Steps) -> FastAPI:
    """The HTTP service. Call it before `DBOS.launch`: it registers the workflow and the steps."""

    def admit(call: Call) -> None:
        steps.admit(call)

    def provider(call: Call) -> str:
        return steps.provider(call)

    def record(call: Call, status: str) -> None:
        steps.record(call, status)

    # It registers functions only, so a method needs one around it.
    step_admit, step_provider, step_record = map(DBOS.step(), (admit, provider, record))

    def authorize(payment_id: str) -> str:
        call = Call(payment_id)
        step_admit(call)
        status: str = step_provider(call)
        step_record(call, status)
        return status

    workflow = DBOS.workflow(name="authorize")(authorize)
    app = FastAPI()

    @app.post("/payments", status_code=201)
    def create(idempotency_key: Annotated[str, Header()]) -> dict[str, str]:
        with SetWorkflowID(idempotency_key):
            return {"id": idempotency_key, "status": workflow(idempotency_key)}

    @app.get("/healthz")
    def healthy() -> dict[str, str]:
        return {}

    return app


def main(port: str, sandbox_url: str, database_url: str) -> None:
    """Serve until SIGTERM; each process is an executor of its own."""
    DBOS(
        config={
            "name": "peer",
            "system_database_url": database_url,
            "executor_id": f"peer-{port}",
            "application_version": "1",
            "log_level": "WARNING",
        }
    )
    app = make_app(Steps(sandbox_url, database_url))
    DBOS.launch()
    uvicorn.run(app, port=int(port), access_log=False, log_level="warning")


if __name__ == "__main__":
    main(*sys.argv[1:4])
