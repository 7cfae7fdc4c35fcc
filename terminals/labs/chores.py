"""Chores: work in the background, by name, each once at a time; its owner awaits it when it closes."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context

CLOSE_TIMEOUT_S = 8.0
"""What is still under way then is cancelled: another instance, or the janitor, goes on with it."""

Work = Callable[[], Coroutine[None, None, None]]


class Chores:
    """Of one owner. `kind` is in the tasks' names."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._closing = False

    @property
    def names(self) -> list[str]:
        """Of what is under way."""
        return list(self._tasks)

    def begin(self, name: str, work: Work, context: Context | None = None) -> asyncio.Task[None] | None:
        """What is under way under this name, or begins now; None: nothing begins any more."""
        if name not in self._tasks and not self._closing:
            task = asyncio.create_task(work(), name=f"{self._kind}-{name}", context=context)
            self._tasks[name] = task
            task.add_done_callback(lambda _: self._tasks.pop(name, None))
        return self._tasks.get(name)

    def of(self, name: str) -> asyncio.Task[None] | None:
        """What is under way under this name."""
        return self._tasks.get(name)

    async def close(self) -> None:
        """Waits a little for what was begun."""
        self._closing = True
        if self._tasks:
            _, late = await asyncio.wait(self._tasks.values(), timeout=CLOSE_TIMEOUT_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
