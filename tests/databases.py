"""Databases of a test's own in the tests' PostgreSQL, and the environment that leads everybody to them."""

import asyncio
import contextlib
import os
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg2

from server import migrate, seed
from server.passwords import Passwords
from terminals.store import Store
from terminals.store.database import Database


class Own:
    """One, by its name. Whoever makes one begins while the environment still leads to the tests' own."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._admin = os.environ["DATABASE_URL"]
        self.url = urlunsplit(urlsplit(self._admin)._replace(path=f"/{name}"))

    def make(self) -> None:
        """Empty, whatever a killed run left."""
        self.drop()
        self._execute(f"CREATE DATABASE {self._name}")

    def furnish(self) -> None:
        """With the schema and the demo course."""
        self.make()
        migrate.apply(self.url)

        async def work() -> None:
            async with Database.connected(self.url) as database:
                passwords = Passwords()
                await seed.demo(Store.over(database), passwords)
                passwords.close()

        asyncio.run(work())

    def drop(self) -> None:
        """Idempotent, also under who uses it."""
        self._execute(f"DROP DATABASE IF EXISTS {self._name} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        connection = psycopg2.connect(self._admin)
        connection.autocommit = True
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(statement)


@contextlib.contextmanager
def environment(own: dict[str, str]) -> Iterator[None]:
    """While it is open, all helpers of the tests speak to what these variables name."""
    former = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
