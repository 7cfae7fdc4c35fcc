"""Passwords: argon2id in a small thread pool of its own. The only file that hashes."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from terminals.errors import Invalid

T = TypeVar("T")

THREADS = 2
"""Each hash takes a core for some 50 ms and 64 MiB: a class that signs in at once waits in line and starves no terminal."""
NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$kK74s2YXVl3IRSi6/haepg$sLnHfS/bTxBedPlNWH2KsQnZPWhcluFYB2G1bGkDd2s"
"""Nobody's: what was hashed is forgotten. Checked against when the address is unknown, so that both take as long."""


SHORTEST, LONGEST = 8, 1024
"""Characters."""


class Passwords:
    """Hashes and checks without blocking the loop."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """What is kept of it.

        Raises:
            Invalid: it is too short, or too long.
        """
        if not SHORTEST <= len(password) <= LONGEST:
            message = f"A password has {SHORTEST} to {LONGEST} characters"
            raise Invalid(message, code="bad_password")
        return await self._run(self._hasher.hash, password)

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """Whether it is the password; with no hash it takes as long and is False."""
        return await self._run(self._matches, password_hash or NOBODY, password) and password_hash is not None

    def outdated(self, password_hash: str) -> bool:
        """Whether it was made with weaker parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, call: Callable[..., T], *arguments: str) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)
