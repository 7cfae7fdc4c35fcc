"""Database: one asyncpg pool, its timeouts, and what its errors mean. The only file that imports asyncpg."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from terminals.errors import Conflict, Invalid, Unavailable

POOL_SIZE = 10
COMMAND_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5.0
ID = "[a-z0-9]{20}"
"""What `new_id` makes, as a pattern."""
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"

_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidAuthorizationSpecificationError,
)


def new_id() -> str:
    """20 characters, 100 random bits: it stands in addresses, so it must not be guessed."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(20))


class Database:
    """Connects when first used, so that a server starts while PostgreSQL is down. Every method may raise `Unavailable`."""

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self._pool = pool

    @classmethod
    @asynccontextmanager
    async def connected(cls, url: str) -> AsyncIterator["Database"]:
        """A pool for as long as the context is open; `url` is a postgresql:// one."""
        pool = asyncpg.create_pool(
            url, min_size=0, max_size=POOL_SIZE, command_timeout=COMMAND_TIMEOUT_S, timeout=CONNECT_TIMEOUT_S
        )
        async with pool:
            yield cls(pool)

    async def fetch(self, sql: str, *values: object) -> list[Any]:
        async with self._connection() as connection:
            return list(await connection.fetch(sql, *values))

    async def row(self, sql: str, *values: object) -> Any:
        """The first row, or None."""
        async with self._connection() as connection:
            return await connection.fetchrow(sql, *values)

    async def value(self, sql: str, *values: object) -> Any:
        """The first column of the first row, or None."""
        async with self._connection() as connection:
            return await connection.fetchval(sql, *values)

    async def run(self, sql: str, *values: object) -> int:
        """How many rows it changed."""
        async with self._connection() as connection:
            status: str = await connection.execute(sql, *values)
        return int(status.rsplit(" ", 1)[-1])

    async def row_alone(self, key: int, sql: str, *values: object) -> Any:
        """The first row, or None, of a statement that sees what every earlier one under advisory lock `key` did."""
        async with self._connection() as connection, connection.transaction():
            # Before the statement: that sees what was there when it began.
            await connection.execute("SELECT pg_advisory_xact_lock($1)", key)
            return await connection.fetchrow(sql, *values)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Callable[..., Awaitable[int]]]:
        """What the given function runs is done whole or not at all; it is `run` otherwise."""
        async with self._connection() as connection, connection.transaction():

            async def run(sql: str, *values: object) -> int:
                return int((await connection.execute(sql, *values)).rsplit(" ", 1)[-1])

            yield run

    @asynccontextmanager
    async def lead(self, key: int) -> AsyncIterator[bool]:
        """Whether this process is the one that holds advisory lock `key` while the context is open; it never waits for it.

        The lock goes with the connection, so a dead leader is replaced at once.
        """
        async with self._connection() as connection:
            held = bool(await connection.fetchval("SELECT pg_try_advisory_lock($1)", key))
            try:
                yield held
            finally:
                if held and not connection.is_closed():
                    await connection.execute("SELECT pg_advisory_unlock($1)", key)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                connection = await self._pool.acquire(timeout=CONNECT_TIMEOUT_S)
        except _AWAY as error:
            raise _unavailable() from error
        try:
            yield connection
        except asyncio.CancelledError:
            # asyncpg would wait for the word of a server, hanging perhaps, that the query was cancelled.
            connection.terminate()
            raise
        except _AWAY as error:
            connection.terminate()
            raise _unavailable() from error
        except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
            message = "The database isn't migrated to this version: run `python -m server migrate`"
            raise Unavailable(message, code="not_migrated") from error
        except asyncpg.DataError as error:
            raise Invalid("That holds characters or numbers that can't be stored") from error
        except asyncpg.IntegrityConstraintViolationError as error:
            raise Conflict(f"That doesn't fit what is stored: {error.constraint_name or error}") from error
        except asyncpg.PostgresError as error:
            raise Unavailable(
                f"PostgreSQL refused ({type(error).__name__}). Try again in a moment", code="database"
            ) from error
        finally:
            await self._pool.release(connection, timeout=CONNECT_TIMEOUT_S)


def _unavailable() -> Unavailable:
    return Unavailable("PostgreSQL doesn't answer. Open terminals go on; try again in a moment")
