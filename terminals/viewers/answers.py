"""Answers: who waits to hear a writer's last seq from the holder."""

import asyncio
from collections.abc import Callable

from terminals.errors import Cut

TIMEOUT_S = 5


class Answers:
    """One question per writer at a time, however many ask it."""

    def __init__(self, ask: Callable[[int], None], silent: Callable[[Cut], None]) -> None:
        self._ask = ask
        self._silent = silent
        self._waiting: dict[int, asyncio.Future[int]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    async def of(self, writer: int) -> int:
        """The last seq that the holder took of `writer`.

        Raises:
            Cut: the path broke, or the holder doesn't say.
        """
        answer = self._waiting.get(writer)
        if answer is None:
            answer = self._waiting[writer] = asyncio.get_running_loop().create_future()
        self._ask(writer)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await asyncio.shield(answer)
        except TimeoutError as error:
            # An honest holder answers at once. Without an answer the driver can't go on, so this path is no use.
            cut = Cut("the holder doesn't answer")
            if self._waiting.get(writer) is answer:
                self._silent(cut)
            raise cut from error

    def take(self, writer: int, seq: int) -> bool:
        """Whether somebody waited for just that."""
        answer = self._waiting.pop(writer, None)
        if answer is None or answer.done():
            return False
        answer.set_result(seq)
        return True

    def fail(self) -> None:
        """The path broke."""
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(Cut("the path broke"))
                # Whoever waited has it; nobody may be left.
                answer.exception()
        self._waiting.clear()
