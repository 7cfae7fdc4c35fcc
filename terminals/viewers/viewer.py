"""Viewer: one browser socket on a terminal, its role and the bounded queue towards it; the edge drains it."""

import asyncio
import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Iterable

from terminals.errors import TerminalsError
from terminals.link import messages
from terminals.link.frames import OUTPUT, OUTPUT_HEAD
from terminals.person import Person

LIMIT = 1_048_576
"""Bytes that may wait for a browser. More than the widest window, so a driver that acks is never over it."""
TAIL = LIMIT // 2
"""Bytes of scrollback at most in a reset."""
COALESCE = 65_536
"""Waiting output is joined into messages of about so many bytes; what finds the queue empty is never held back."""
OVERHEAD = 64
"""Bytes that a queued message costs beside its own: many small ones must count too."""


class Viewer:
    """`offer` never blocks: over its bound a viewer is marked behind, its queue dropped; it gets a reset when drained."""

    def __init__(self, user: int, writer: int, role: str, size: tuple[int, int], name: str = "") -> None:
        self.id = hashlib.blake2b(writer.to_bytes(8), digest_size=8).hexdigest()
        """Of this page load, for others: who knows a writer could type in its name."""
        self.wants = 0
        """To type into somebody else's terminal: as `Person` has it."""
        self.user = user
        self.name = name
        self.since = round(time.time())
        self.writer = writer
        self.role = role
        self.size = size
        self.behind = False
        self.times_behind = 0
        self.closing: Exception | None = None
        self._shown: dict[str, object] | None = None
        self.direct: Callable[[Iterable[bytes | str]], bool] | None = None
        """The edge's way to send at once, where its socket can take it; False: it can't now."""
        self._sending = False
        """What `next` gave is still being sent: nothing may overtake it."""
        self._queue: deque[bytes | str] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()

    def offer(self, body: bytes) -> None:
        """Queues an O, G or S message, unless the browser is behind. It goes at the next `flush`."""
        if self.behind:
            return
        self._bytes += len(body) + OVERHEAD
        if self._bytes > LIMIT:
            self.fall_behind()
        else:
            self._queue.append(body)

    def fall_behind(self) -> None:
        """What is queued means nothing any more: when drained, it begins anew."""
        self.behind = True
        self.times_behind += 1
        self._queue.clear()
        self._bytes = 0
        self._wake.set()

    def reply(self, body: bytes) -> None:
        """Queues a K or P message; those survive being behind, but not without bound. It goes at the next `flush`."""
        self._put(body)

    def tell(self, message: dict[str, object]) -> None:
        """Sends a control message, which survives like a reply."""
        self._put(json.dumps(message, separators=(",", ":")))
        self.flush()

    def show(self, status: dict[str, object]) -> None:
        """Sends a status message unless the browser has just that one."""
        if status != self._shown:
            self._shown = status
            self.tell(status)

    def person(self) -> Person:
        """As the terminal's owner knows who watches."""
        types = self.role == "assistant"
        return Person(self.id, self.user, self.name, self.since, self.writer, self.wants, types)

    def wish(self, *, to_type: bool) -> None:
        """A new wish, or none any more."""
        self.wants = time.time_ns() // 1_000_000 if to_type else -1
        if not to_type:
            self.let_type(allowed=False, reason="ended")

    def let_type(self, *, allowed: bool, reason: str, last_seq: int = 0) -> None:
        """The answer to its wish; to a page that types, also that it is over."""
        role = "assistant" if allowed else "observer"
        if not allowed:
            self.wants = -1
        if role != self.role or not allowed:
            self.role = role
            self.tell(messages.role(role, reason, last_seq))

    def flush(self) -> None:
        """What is queued goes out: at once and together where the socket takes it, else by who awaits `next`."""
        if not self._queue:
            return
        if self.direct is not None and not self._sending and self.direct(_joined(self._queue)):
            self._queue.clear()
            self._bytes = 0
        else:
            self._wake.set()

    def close(self, reason: Exception) -> None:
        """Ends the socket once what is queued has been sent; the edge knows the close code."""
        if self.closing is None:
            self.closing = reason
        self._wake.set()

    async def next(self) -> list[bytes | str]:
        """What to send now, in order; empty: the viewer is closing, or is behind and has drained."""
        self._sending = False
        if not self._queue and not self.closing and not self.behind:
            self._wake.clear()
            await self._wake.wait()
        self._sending = True
        queued, self._queue, self._bytes = self._queue, deque(), 0
        return _joined(queued)

    def _put(self, message: bytes | str) -> None:
        self._bytes += len(message) + OVERHEAD
        if self._bytes > 2 * LIMIT:
            self._queue.clear()
            self._bytes = 0
            self.close(TerminalsError("the browser doesn't read", code="stuck"))
            return
        self._queue.append(message)


def _joined(queue: deque[bytes | str]) -> list[bytes | str]:
    """Neighbouring O messages as one: they are contiguous by construction."""
    if len(queue) <= 1:
        return list(queue)
    found: list[bytes | str] = []
    run: list[bytes] = []
    size = 0

    def flush() -> None:
        nonlocal size
        if run:
            found.append(run[0] if len(run) == 1 else run[0] + b"".join(body[OUTPUT_HEAD:] for body in run[1:]))
            run.clear()
            size = 0

    for item in queue:
        if isinstance(item, bytes) and item[0] == OUTPUT:
            if size + len(item) > COALESCE:
                flush()
            run.append(item)
            size += len(item)
        else:
            flush()
            found.append(item)
    flush()
    return found
