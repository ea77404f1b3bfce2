"""The composition root for Temporal: settings, dependencies, workers, drain."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack

import structlog

from activities.calls import note_call
from adapters.transport import ObservedTransport
from recompense.dependencies import keep_schedules, providers_of, tools_of
from recompense.observability import configure_logging
from recompense.persistence.database import Database
from recompense.settings import Settings, load_settings
from recompense.shadows import ShadowReadings
from recompense.temporal import connect
from recompense.upkeep import upkeep
from recompense.workers import make_workers

log = structlog.get_logger("recompense.worker")


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Work until `stop` is set; then stop polling, finish what is in flight, and return."""
    async with AsyncExitStack() as stack:
        database = Database(
            settings.database_url.get_secret_value(),
            pool_size=settings.database_pool_size_worker,
            statement_timeout_seconds=settings.statement_timeout_seconds,
            application_name="recompense-worker",
        )
        stack.push_async_callback(database.close)
        transport = ObservedTransport(note_call)
        stack.push_async_callback(transport.aclose)
        readings = ShadowReadings()
        stack.push_async_callback(readings.write, database.engine)
        providers = providers_of(settings, transport, readings)
        client = await connect(settings)
        await keep_schedules(client, settings, providers)
        await stack.enter_async_context(upkeep(settings, database.engine, stop))
        writing = asyncio.create_task(readings.keep_writing(database.engine))
        stack.callback(writing.cancel)
        workers = make_workers(
            client,
            tools_of(settings, database, providers),
            queues=settings.worker_task_queues,
            sandboxed=settings.workflow_sandbox,
            graceful_shutdown_seconds=settings.graceful_shutdown_seconds,
        )
        for worker in workers:
            await stack.enter_async_context(worker)
        log.info("working", queues=[worker.task_queue for worker in workers])
        await stop.wait()
        log.info("draining")


async def main() -> None:
    """Run one worker process until SIGTERM or SIGINT."""
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    stop = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    await serve(settings, stop)


if __name__ == "__main__":
    asyncio.run(main())
