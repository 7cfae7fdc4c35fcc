"""Opened: the store, for as long as a command works with it."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from server.passwords import Passwords
from server.settings import Settings
from terminals.store import Store
from terminals.store.database import Database


def with_store(settings: Settings, work: Callable[[Store, Passwords], Awaitable[None]]) -> None:
    async def run() -> None:
        async with opened(settings) as (store, passwords):
            await work(store, passwords)

    asyncio.run(run())


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[tuple[Store, Passwords]]:
    async with Database.connected(settings.database_url) as database:
        passwords = Passwords()
        try:
            yield Store.over(database, settings.limits), passwords
        finally:
            passwords.close()


def known(found: bool, what: str) -> int:
    """The exit status of a command about `what`, which says so where there is no such thing."""
    if not found:
        print(f"There is no {what}", file=sys.stderr)
    return 0 if found else 1
