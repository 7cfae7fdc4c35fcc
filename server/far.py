"""Far: a browser whose socket is on another instance, through a tunnel. To a Channel it is a Peer like a browser here."""

import asyncio
from collections.abc import Iterable

from aiohttp import WSMessage, WSMsgType

from server.browser import EARLY_LIMIT, SEND_TIMEOUT_S
from terminals.fleet import tunnel
from terminals.fleet.tunnel import BUSY, Message, Tunnel
from terminals.link.wire import Taker

HELD_LIMIT = 4 * EARLY_LIMIT
"""Bytes that may come after the other end was told to hold: what was on its way."""
OVERHEAD = 64


class Far:
    """`heard` gets what the tunnel brings; `broke` says that it brings nothing more."""

    def __init__(self) -> None:
        self.tunnel: Tunnel
        self._others: asyncio.Queue[WSMessage] = asyncio.Queue()
        """For `receive`: text, and the end."""
        self._kept: list[bytes] = []
        """Binary messages that nobody takes now."""
        self._bytes = 0
        self._held = False
        self._taker: Taker | None = None

    # -- what the tunnel brings ----------------------------------------------------------------------------------------

    def heard(self, messages: list[Message]) -> None:
        for message in messages:
            if message.kind == tunnel.BINARY:
                self._keep(len(message.data))
                self._kept.append(message.data)
            elif message.kind == tunnel.TEXT:
                self._keep(len(message.data))
                self._others.put_nowait(WSMessage(WSMsgType.TEXT, message.data.decode(), None))
            elif message.kind == tunnel.CLOSE:
                self.broke()
        self._hand_on()

    def broke(self) -> None:
        """The browser is gone, or the way to it."""
        self._others.put_nowait(WSMessage(WSMsgType.CLOSED, None, None))

    def _keep(self, size: int) -> None:
        self._bytes += size + OVERHEAD
        if self._bytes > HELD_LIMIT:
            self.abort()

    def _hand_on(self) -> None:
        while self._kept and not self._held and self._taker is not None:
            data = self._kept.pop(0)
            self._bytes -= len(data) + OVERHEAD
            self._taker(data)

    # -- as a Peer -------------------------------------------------------------------------------------------------------

    async def receive(self) -> WSMessage:
        found = await self._others.get()
        if found.type is WSMsgType.TEXT:
            self._bytes -= len(found.data.encode()) + OVERHEAD
        return found

    def hand_to(self, taker: Taker) -> None:
        self._taker = taker
        self._hand_on()

    def hold(self) -> None:
        if not self._held:
            self._held = True
            self.tunnel.send([Message(tunnel.HOLD, b"")])

    def release(self) -> None:
        if self._held:
            self._held = False
            self.tunnel.send([Message(tunnel.RELEASE, b"")])
            self._hand_on()

    def send_now(self, messages: Iterable[bytes | str]) -> bool:
        if self.tunnel.over or self.tunnel.waiting > BUSY:
            return False
        self.tunnel.send(_packed(messages))
        return True

    async def send(self, messages: Iterable[bytes | str]) -> None:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await self.tunnel.drained()
        if self.tunnel.over:
            raise ConnectionResetError
        self.tunnel.send(_packed(messages))

    async def close(self, code: int, reason: str) -> None:
        self.tunnel.finish(code, reason)
        self.broke()

    def abort(self) -> None:
        self.tunnel.finish()
        self.broke()


def _packed(messages: Iterable[bytes | str]) -> Iterable[Message]:
    for message in messages:
        if isinstance(message, bytes):
            yield Message(tunnel.BINARY, message)
        else:
            yield Message(tunnel.TEXT, message.encode())
