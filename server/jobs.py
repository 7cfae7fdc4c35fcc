"""Jobs: what runs beside the requests for as long as the instance lives. Every task has an owner that awaits it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager

import structlog

log = structlog.get_logger(__name__)

CANCELS = 5
CANCEL_TIMEOUT_S = 0.5


@asynccontextmanager
async def running(*jobs: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Runs the jobs while the context is open, then cancels and awaits them. One that dies is logged at once."""
    tasks = [asyncio.create_task(job, name=getattr(job, "__qualname__", "job")) for job in jobs]
    for task in tasks:
        task.add_done_callback(_report)
    try:
        yield
    finally:
        await _stop(tasks)


async def _stop(tasks: "list[asyncio.Task[None]]") -> None:
    # redis-py, for one, can swallow a cancellation while it connects: then it has to be said again.
    left: set[asyncio.Task[None]] = set()
    for _ in range(CANCELS):
        for task in tasks:
            task.cancel()
        _, left = await asyncio.wait(tasks, timeout=CANCEL_TIMEOUT_S)
        if not left:
            return
    log.critical("jobs_not_stopped", jobs=[task.get_name() for task in left])


def _report(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("job_died", job=task.get_name(), exc_info=error)
