"""Streams: the websockets of one LXD exec. Messages are handed on as they arrive, with no queue and no task in between."""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, cast

from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import WebSocketException
from websockets.frames import DATA_OPCODES, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State

from terminals.errors import Cut
from terminals.link.wire import Cutter, Taker, masked
from terminals.lxd import Address, ExecSockets

CLOSE_TIMEOUT_S = 2
MESSAGE_LIMIT = 131_072
"""Bytes: LXD's messages are at most 65,536."""
WRITE_LIMIT = 65_536
"""Bytes that may wait for LXD before a writer is held back."""
POST_LIMIT = 4 * WRITE_LIMIT
"""Bytes that may wait for LXD at all; acks and pings are posted, but not without bound."""
EARLY_LIMIT = 65_536
"""Bytes that may come before anybody takes them: a bridge that failed says so at once."""
HANDSHAKE_LIMIT = 65_536
"""Bytes of an answer's head; LXD's has 130."""


class Stream(ClientConnection):
    """One websocket. What it receives goes to the taker, and `b""` at the stream's end, in the callback that read it."""

    def __init__(self, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        self._taker: Taker | None = None
        self._early = b""
        self._answer: bytes | None = b""
        """What came of the handshake's answer; None: it is over."""
        self._cutter = Cutter(super().data_received, MESSAGE_LIMIT, masked=False)
        self._cutter.take = self._take

    def hand_to(self, taker: Taker) -> None:
        """From now on `taker` gets what comes; it must not raise."""
        self._taker = taker
        if self._early:
            early, self._early = self._early, b""
            taker(early)
        if self.state is State.CLOSED:
            taker(b"")

    def post(self, data: bytes) -> None:
        """Sends a binary message without waiting.

        Raises:
            Cut: the socket is closed, or too much waits already.
        """
        if self.state is not State.OPEN or self.transport.get_write_buffer_size() > POST_LIMIT:
            raise Cut("LXD doesn't take input")
        self.transport.write(masked(data))

    async def finish(self) -> None:
        """Nothing more is sent: what LXD takes for the end of an input.

        Raises:
            Cut: the socket is closed.
        """
        try:
            await self.send("")
        except WebSocketException as error:
            raise Cut("LXD doesn't take input") from error

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self._cutter.feed(data)
            return
        # The library reads the answer alone: what follows it in the same read is frames, and those are cut here.
        self._answer += data
        answer, end, more = self._answer.partition(b"\r\n\r\n")
        if end or len(answer) > HANDSHAKE_LIMIT:
            self._answer = None
            super().data_received(answer + end)
            self._cutter.feed(more)

    def process_event(self, event: Frame | Request | Response) -> None:
        """What isn't a plain binary message."""
        if isinstance(event, Frame) and event.opcode in DATA_OPCODES:
            # LXD's mark for the end of a stream is an empty text message; the socket stays open until we close it.
            if event.opcode is Opcode.TEXT:
                self._take(b"")
            elif event.data:  # an empty fragment ends nothing
                self._take(bytes(event.data))
        else:
            super().process_event(event)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._taker is not None:
            self._taker(b"")

    def _take(self, data: bytes) -> None:
        if self._taker is not None:
            self._taker(data)
        elif len(self._early) + len(data) > EARLY_LIMIT:
            self.transport.abort()
        else:
            self._early += data


async def connect_all(address: Address, started: ExecSockets) -> dict[str, Stream]:
    """All sockets of an exec by name, opened at the same time: LXD gives up after 5 s when one is missing.

    Raises:
        Cut: one couldn't be opened; none is left open.
    """
    names = list(started.secrets)
    tasks = [asyncio.create_task(_connect(address, started, name)) for name in names]
    try:
        await asyncio.wait(tasks)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        left = await asyncio.gather(*tasks, return_exceptions=True)
        await close_all(socket for socket in left if isinstance(socket, Stream))
        raise
    found = await asyncio.gather(*tasks, return_exceptions=True)
    streams = {name: stream for name, stream in zip(names, found, strict=True) if isinstance(stream, Stream)}
    failures = [stream for stream in found if isinstance(stream, BaseException)]
    if failures:
        await close_all(streams.values())
        if isinstance(failures[0], OSError | WebSocketException | TimeoutError):
            raise Cut("LXD didn't open the exec's streams") from failures[0]
        raise failures[0]
    return streams


async def close_all(streams: Iterable[Stream]) -> None:
    """Closes politely, then for certain: a peer that doesn't read must not hold us up."""

    async def close(stream: Stream) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await stream.close()
        except TimeoutError:
            stream.transport.abort()

    await asyncio.gather(*(close(stream) for stream in streams))


def opening(address: Address, path: str) -> Callable[..., connect]:
    """A websocket's connect at this path of LXD's, by socket or https; the caller adds its bounds."""
    if address.secure:
        return partial(connect, "wss" + address.url.removeprefix("https") + path, ssl=address.tls())
    return partial(unix_connect, address.socket, uri="ws://lxd" + path)


async def _connect(address: Address, started: ExecSockets, name: str) -> Stream:
    path = f"/1.0/operations/{started.operation}/websocket?secret={started.secrets[name]}"
    found = await opening(address, path)(
        compression=None,
        proxy=None,
        open_timeout=5,
        close_timeout=CLOSE_TIMEOUT_S,
        # A stalled reader starves pings on the data sockets, so only the control socket has them.
        ping_interval=20 if name == "control" else None,
        max_size=MESSAGE_LIMIT,
        write_limit=WRITE_LIMIT,
        create_connection=Stream,
    )
    return cast("Stream", found)  # what create_connection makes
