"""Forward: a browser's socket handed on to the instance that owns its terminal, while this one can't claim it."""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress

import structlog
from aiohttp import WSMsgType

from server.browser import Browser
from server.closes import close
from server.tunnels import DIAL
from terminals.errors import TerminalsError, Unavailable
from terminals.fleet import tunnel
from terminals.fleet.feeds import Feeds
from terminals.fleet.tunnel import BUSY, LIMIT, OVERHEAD, Message, Tunnel, closing

log = structlog.get_logger(__name__)

LOOK_S = 5.0
"""Between two looks whether this instance can claim again: then the page attaches anew, and the detour is over."""

Look = Callable[[], Coroutine[None, None, bool]]


class Forward:
    """One browser's, until it goes, the owner ends it, or the tunnel breaks."""

    def __init__(self, feeds: Feeds, browser: Browser) -> None:
        self._feeds = feeds
        self._browser = browser
        self._name = secrets.token_hex(12)
        self._tunnel = Tunnel(feeds, self._name, owner=False, take=self._heard)
        self._queue: deque[bytes | str] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._held = False
        """By the owner: the page sends more than it may."""
        self._end: tuple[int, str] | None = None
        """The owner's close."""

    async def serve(self, owner: str, look: Look, **said: object) -> None:
        """Asks `owner` to serve the browser, then passes messages on; `said` is what a dial says beside the tunnel.

        Raises:
            Cut, Unavailable: the tunnel broke.
        """
        await self._tunnel.open()
        self._feeds.tell(owner, DIAL, tunnel=self._name, **said)
        log.info("viewer_forwarded", owner=owner)
        self._browser.hand_to(self._binary)
        tasks = [
            asyncio.create_task(work, name="forward")
            for work in (self._tunnel.run(), self._read(), self._write(), self._look(look))
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            self._tunnel.finish()
            with suppress(TerminalsError):
                await tasks[0]
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # -- browser → owner -----------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        while True:
            message = await self._browser.receive()
            if message.type is WSMsgType.TEXT:
                self._pass(Message(tunnel.TEXT, message.data.encode()))
            elif message.type is WSMsgType.BINARY:
                self._binary(message.data)  # it came in fragments
            else:
                return
            await self._tunnel.drained()

    def _binary(self, data: bytes) -> None:
        self._pass(Message(tunnel.BINARY, data))
        if self._tunnel.waiting > BUSY:
            self._browser.hold()
            self._wake.set()

    def _pass(self, message: Message) -> None:
        if not self._tunnel.over:
            self._tunnel.send([message])

    # -- owner → browser -----------------------------------------------------------------------------------------------

    def _heard(self, messages: list[Message]) -> None:
        for message in messages:
            match message.kind:
                case tunnel.BINARY:
                    self._put(message.data)
                case tunnel.TEXT:
                    self._put(message.data.decode())
                case tunnel.CLOSE:
                    self._end = closing(message)
                case tunnel.HOLD:
                    self._held = True
                    self._browser.hold()
                case tunnel.RELEASE:
                    self._held = False
                case _:
                    pass  # a newer instance's
        self._wake.set()

    def _put(self, message: bytes | str) -> None:
        self._queue.append(message)
        self._bytes += len(message) + OVERHEAD
        if self._bytes > LIMIT:
            self._browser.abort()

    async def _write(self) -> None:
        """What the owner says, as fast as the browser takes it; then its close."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                queued, self._queue, self._bytes = self._queue, deque(), 0
                await self._browser.send(queued)
            if self._end is not None:
                code, reason = self._end
                await self._browser.close(code or 1012, reason)
                return
            if not self._held:
                await self._tunnel.drained()
                self._browser.release()

    async def _look(self, look: Look) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            if await look():
                break
        moving = Unavailable("This terminal can be opened here again: connect again", code="released")
        await close(self._browser, moving)
