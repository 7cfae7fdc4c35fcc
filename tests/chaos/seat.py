"""Seat: a page that comes back, also by its resume ticket, and knows for how long nothing was shown."""

import asyncio
import random
import time
from typing import Any

from tests.client import Closed
from tests.soak.returning import Returning

TAKEN = 4409
HESITATE_S = 1.0
"""At most, before a person takes back what another page took."""


class Seat(Returning):
    """`fault()` begins a measurement: `silent_s` is the longest time without output since."""

    silent_s = 0.0
    fault_at = 0.0
    _shown_at = 0.0
    _had = 0
    _takes = False

    def fault(self) -> None:
        self.fault_at = self._shown_at = time.monotonic()
        self.silent_s = 0.0
        self._had = self.times_attached

    async def back(self, timeout: float = 30) -> None:
        """Waits until it was attached anew since the fault, and output is shown."""
        await self.when(lambda: self.times_attached > self._had and self.live, timeout)
        at = self.offset
        await self.when(lambda: self.offset > at, timeout)

    async def connect(self, *, ticket: bool = True) -> dict[str, Any]:
        if self._takes:
            self.role = "driver"
        return await super().connect(ticket=ticket and self.ticket is not None)

    async def take(self) -> None:
        """Where the terminal is only mirrored the server says: attach as its driver."""
        self._takes = True
        await super().take()

    def _text(self, message: dict[str, Any]) -> None:
        super()._text(message)
        if message["type"] == "attached" and message["role"] == "driver":
            self._takes = False

    async def _live(self) -> None:
        try:
            await super()._live()
        except Closed as end:
            if end.code == TAKEN:
                self.live = False
                await asyncio.sleep(random.random() * HESITATE_S)
            raise

    async def _binary(self, data: bytes) -> None:
        if data[:1] == b"O":
            now = time.monotonic()
            self.silent_s = max(self.silent_s, now - self._shown_at)
            self._shown_at = now
        await super()._binary(data)
