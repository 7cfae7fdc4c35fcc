"""Labs: students of the bench's own, each with a started session, and nothing left of them afterwards."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from server import seed
from server.passwords import Passwords
from terminals.store import Store
from terminals.store.database import Database
from tests.client import PASSWORD, User
from tests.conftest import clear, container_of

LESSON = "first-steps"
AT_ONCE = 4


@asynccontextmanager
async def students(url: str, count: int) -> AsyncIterator[list[User]]:
    """Signed-in students of the demo course; their labs are ended and they are deleted."""
    async with Database.connected(os.environ["DATABASE_URL"]) as database:
        store, passwords = Store.over(database), Passwords()
        await seed.demo(store, passwords)
        hashed = await passwords.hash(PASSWORD)
        passwords.close()
        people = [User(url, f"bench{secrets.token_hex(6)}@example.test") for _ in range(count)]
        try:
            for person in people:
                user = await store.users.put(person.email, "Bench", hashed)
                await store.courses.enrol(seed.COURSE, user, "student")
                await person.sign_in()
            yield people
        finally:
            turn = asyncio.Semaphore(AT_ONCE)

            async def leave(person: User) -> None:
                async with turn:
                    await person.http.close()
                    await clear(store, person.email)
                    await store.users.delete(person.email)

            # What fails here is the janitor's; it shall not hide what failed before.
            for left in await asyncio.gather(*(leave(person) for person in people), return_exceptions=True):
                if isinstance(left, BaseException):
                    print(f"not cleared up: {left}")


@asynccontextmanager
async def started(people: list[User]) -> AsyncIterator[list[tuple[User, str]]]:
    """A lab for each, (who, session), ended and deleted at the end."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def start(person: User) -> tuple[User, str]:
        async with turn:
            return person, await person.start(LESSON)

    async def end(person: User, session: str) -> None:
        async with turn:
            await person.end(session)

    labs: list[tuple[User, str]] = []
    try:
        labs += await asyncio.gather(*(start(person) for person in people))
        yield labs
    finally:
        await asyncio.gather(*(end(*lab) for lab in labs), return_exceptions=True)


def container(session: str) -> str:
    """The LXD instance of a session."""
    return container_of(session)
