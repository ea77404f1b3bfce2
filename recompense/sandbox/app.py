"""The sandbox as an ASGI application: the vendor's API, the payer's page, the control surface."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from recompense.sandbox.control import Control
from recompense.sandbox.courier import Courier
from recompense.sandbox.faults import FaultBook
from recompense.sandbox.lifecycle import Lifecycle
from recompense.sandbox.options import Options
from recompense.sandbox.outbox import Outbox
from recompense.sandbox.processor import Processor
from recompense.sandbox.settlement import Settlement
from recompense.sandbox.store import Store
from recompense.sandbox.vendor_api import VendorApi


async def _healthz(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


def create_app(options: Options) -> Starlette:
    """Build the application over the data file; its background work runs while it is served."""
    store = Store(options.data_file)
    outbox = Outbox(store)
    faults = FaultBook(store)
    lifecycle = Lifecycle(store, options, outbox)
    courier = Courier(store, options, lifecycle, outbox)
    settlement = Settlement(store)
    processor = Processor(store, options, lifecycle)
    vendor = VendorApi(options, processor, faults, settlement, courier)
    control = Control(store, faults, outbox, settlement)

    @contextlib.asynccontextmanager
    async def serving(_app: Starlette) -> AsyncIterator[None]:
        work = asyncio.create_task(courier.run())
        yield
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        store.close()

    health = Route("/healthz", _healthz)
    return Starlette(routes=[health, *vendor.routes(), *control.routes()], lifespan=serving)
