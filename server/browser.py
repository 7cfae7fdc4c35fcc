"""Browser: the far end of one WebSocket. aiohttp shakes hands, reads text, answers control frames and closes.

Plain binary messages, which are all that a key and its echo need, pass it by in both directions: an aiohttp message costs
objects, a queue and a task's wake-up. Nothing of aiohttp's is touched: this protocol stands between it and the transport.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import cast

from aiohttp import WSMessage, web

from server.peer import GONE
from terminals.link.wire import BINARY, TEXT, Cutter, Taker, head

PROTOCOL = "educenter.terminal.v1"
MESSAGE_LIMIT = 32_768
"""Bytes of a message from the browser."""
EARLY_LIMIT = 2 * MESSAGE_LIMIT
"""Bytes that may come before anybody takes them; then the socket isn't read."""
HEARTBEAT_S = 20
"""A browser answers these by itself, also in a hidden tab whose own pings are throttled."""
SEND_TIMEOUT_S = 30
"""A browser that takes nothing for so long is gone."""
CLOSE_TIMEOUT_S = 2
"""aiohttp's own close waits for a peer that may never answer."""
MASKED, RESERVED = b"\x80", 0x70
"""Of a frame's second byte at least; bits of its first."""
WRITE_LIMIT = 65_536
JOIN_LIMIT = 16_384
"""Bytes up to which copying pieces together is cheaper than a vector of them."""


class Browser(asyncio.Protocol):
    """Open it, `receive` the first message, then `hand_to` whoever takes the binary ones; `receive` gives the others."""

    def __init__(self, request: web.Request) -> None:
        self.response = web.WebSocketResponse(
            protocols=(PROTOCOL,),
            compress=False,
            max_msg_size=MESSAGE_LIMIT,
            heartbeat=HEARTBEAT_S,
            writer_limit=WRITE_LIMIT,
        )
        self.sent = 0
        """Bytes of messages."""
        self._request = request
        self._transport = cast("asyncio.Transport", request.transport)
        self._inner = cast("asyncio.Protocol", self._transport.get_protocol())
        self._cutter = Cutter(self._pass_on, MESSAGE_LIMIT, masked=True)
        self._taker: Taker | None = None
        self._early: list[bytes] = []
        self._early_bytes = 0

    async def open(self) -> None:
        """The handshake.

        Raises:
            HTTPException: it isn't one.
        """
        # Now, while a client may not have sent anything since its request: from here on all bytes are frames.
        self._transport.set_protocol(self)
        try:
            await self.response.prepare(self._request)
        except web.HTTPException:
            self._transport.set_protocol(self._inner)
            raise

    async def receive(self) -> WSMessage:
        """The next message that nobody took, the first one whatever it is; or that the socket is closed."""
        return await self.response.receive()

    def hand_to(self, taker: Taker) -> None:
        """From now on `taker` gets the binary messages; it must not raise."""
        early, self._early = self._early, []
        self._taker = taker
        for message in early:
            taker(message)
        if self._early_bytes > EARLY_LIMIT:
            self.release()
        self._early_bytes = 0

    def hold(self) -> None:
        """Takes nothing more from the browser until `release`."""
        self._cutter.held = True
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def release(self) -> None:
        """Takes again, first what waits here."""
        self._cutter.held = False
        self._cutter.feed(b"")
        if not self._cutter.held and not self._transport.is_closing():
            self._transport.resume_reading()

    def send_now(self, messages: Iterable[bytes | str]) -> bool:
        """Sends all at once, or nothing when the socket can't take it without waiting."""
        transport = self._transport
        if transport.is_closing() or self.response.closed or transport.get_write_buffer_size():
            return False
        pieces: list[bytes] = []
        size = 0
        for message in messages:
            kind, data = (BINARY, message) if isinstance(message, bytes) else (TEXT, message.encode())
            pieces += (head(kind, len(data)), data)
            size += len(data)
        if size <= JOIN_LIMIT:
            transport.write(b"".join(pieces))
        else:
            transport.writelines(pieces)
        self.sent += size
        return True

    async def send(self, messages: Iterable[bytes | str]) -> None:
        """Sends as fast as the socket takes it.

        Raises:
            one of GONE: it doesn't.
        """
        async with asyncio.timeout(SEND_TIMEOUT_S):
            for message in messages:
                self.sent += len(message)
                if isinstance(message, bytes):
                    await self.response.send_bytes(message)
                else:
                    await self.response.send_str(message)

    async def close(self, code: int, reason: str) -> None:
        """A peer that doesn't answer is left to its fate after 2 s."""
        # A close frame holds 123 bytes of reason.
        short = reason.encode()[:120].decode("utf-8", "ignore")
        if self._cutter.held:
            self.release()
        with contextlib.suppress(*GONE):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self.response.close(code=code, message=short.encode())

    def abort(self) -> None:
        """Drops the connection without another word."""
        self._transport.abort()

    # -- between the transport and aiohttp ---------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._cutter.feed(data)
        if self._cutter.held and not self._transport.is_closing():
            # aiohttp may have let it read again, for reasons of its own.
            self._transport.pause_reading()

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def _pass_on(self, frame: bytes) -> None:
        if frame[1:2] < MASKED:
            # RFC 6455 (5.1): a client masks every frame. aiohttp takes those that aren't; reserved bits it refuses (1002).
            frame = bytes((frame[0] | RESERVED,)) + frame[1:]
        self._inner.data_received(frame)
        # The first message is the library's whatever it is: it must be text.
        self._cutter.take = self._take

    def _take(self, message: bytes) -> None:
        if self._taker is not None:
            self._taker(message)
            return
        self._early.append(message)
        self._early_bytes += len(message) + 64
        if self._early_bytes > EARLY_LIMIT:
            self.hold()
