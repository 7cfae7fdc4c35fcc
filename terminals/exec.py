"""Exec: holder frames over one LXD exec. The source of a terminal's output on the owning instance.

LXD ties a command to its sockets: the control socket's end is the bridge's SIGKILL, which only detaches the holder. Output
and input travel as binary messages on the exec's stdout and stdin; stderr is bounded and logged.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import structlog
from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from terminals import frames
from terminals.errors import Cut, Lost, Refused, Taken
from terminals.frames import BadFrame, Decoder, Hello
from terminals.lxd import Address, ExecSockets, Lxd

log = structlog.get_logger(__name__)

OPEN_TIMEOUT_S = 10
"""From the exec's start to the holder's hello: a busy machine forks a shell in between."""
CLOSE_TIMEOUT_S = 2
STDERR_LIMIT = 8_192
"""Bytes of the bridge's stderr that are kept for the log; the rest is read and dropped."""
STDERR_FLOOD = 1_048_576
"""Bytes of stderr after which it isn't our bridge that writes."""
SEND_TIMEOUT_S = 5
"""A holder that takes nothing for so long is stopped, or isn't ours."""
MESSAGE_LIMIT = 131_072
"""Bytes: LXD's stdout messages are at most 65,536."""
STDIN_LIMIT = 65_536
"""Bytes that may wait for LXD before a writer is held back."""


@dataclass(frozen=True, slots=True)
class Attach:
    """With what an owner comes to a holder."""

    epoch: int
    birth: bytes
    """16 bytes; zeros when this pty was never seen."""
    offset: int
    size: tuple[int, int]
    """(0, 0) leaves the pty's."""
    window: int = frames.WINDOW_MIN
    forced: bool = True
    """Cuts an older owner off; else an owner that lives is left alone."""

    def frame(self) -> bytes:
        return frames.attach(
            epoch=self.epoch,
            birth=self.birth,
            offset=self.offset,
            window=self.window,
            size=self.size,
            forced=self.forced,
        )


class Exec:
    """An attached holder. `read` and `send` raise `Cut` once the path is broken; `close` must be awaited by who opened it."""

    def __init__(self, sockets: dict[str, ClientConnection]) -> None:
        self._sockets = sockets
        self._stdin, self._stdout = sockets["0"], sockets["1"]
        self._decoder = Decoder()
        self._early: list[bytes] = []
        self._stderr = bytearray()
        self._stderr_task = asyncio.create_task(self._read_stderr(), name="exec-stderr")
        self.hello: Hello

    @classmethod
    async def open(cls, lxd: Lxd, container: str, command: list[str], attach: Attach, *more: bytes) -> "Exec":
        """Runs the holder's bridge in `container` and attaches; `more` frames follow the attach at once.

        Raises:
            Taken: a newer epoch owns the terminal.
            Lost: no holder and no exit record.
            Refused: the holder or LXD says why.
            Cut: anything broke on the way; try again.
            Unavailable: LXD doesn't answer.
        """
        started = await lxd.exec(container, command)
        opened = cls(await _connect_all(lxd.address, started))
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await opened.send(attach.frame() + b"".join(more))
                await opened._greet(attach)
        except TimeoutError as error:
            await opened.close()
            raise Cut("the holder didn't answer in time" + opened._complaint()) from error
        except Cut as error:
            await opened.close()
            if complaint := await lxd.complaint(started.operation):
                raise Refused(f"LXD couldn't run the holder: {complaint}") from error
            raise
        except BaseException:
            await opened.close()
            raise
        return opened

    async def read(self) -> list[bytes]:
        """The next frame bodies, at least one.

        Raises:
            Cut: the path broke, or what came isn't the protocol.
        """
        if self._early:
            early, self._early = self._early, []
            return early
        try:
            while True:
                message = await self._stdout.recv()
                if not message or isinstance(message, str):
                    # LXD's mark for the end of the stream is an empty text message; the sockets stay open until we close.
                    raise Cut("the holder closed the stream" + self._complaint())
                if bodies := self._decoder.feed(message):
                    return bodies
        except ConnectionClosed as error:
            raise Cut("LXD closed the stream" + self._complaint()) from error
        except BadFrame as error:
            raise Cut(f"the holder broke the protocol ({error})") from error

    async def send(self, data: bytes) -> None:
        """Sends whole frames; waits a little while LXD doesn't take them.

        Raises:
            Cut: the path broke, or the other side stopped reading: then the path is broken from here, too.
        """
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._stdin.send(data)
        except ConnectionClosed as error:
            raise Cut("LXD closed the stream") from error
        except TimeoutError as error:
            self.abort()
            raise Cut("the holder takes no input") from error

    def abort(self) -> None:
        """Breaks the path at once: whoever reads or writes gets `Cut`."""
        for socket in self._sockets.values():
            socket.transport.abort()

    async def close(self) -> None:
        """Closes every socket, the control socket too: any left open would keep the bridge alive."""
        self._stderr_task.cancel()
        await asyncio.gather(self._stderr_task, return_exceptions=True)
        await _close_all(self._sockets.values())

    async def _greet(self, attach: Attach) -> None:
        bodies = await self.read()
        first = bodies[0]
        if first[0] == frames.ERROR:
            raise self.refusal(first)
        if first[0] != frames.HELLO:
            raise Cut(f"the holder began with {chr(first[0])}")
        self.hello = frames.read_hello(first)
        if self.hello.version != frames.VERSION:
            raise Refused(f"the holder speaks version {self.hello.version}", code="holder_version")
        if not self.hello.believable(attach.birth, attach.offset):
            raise Cut("the holder's hello can't be its own")
        self._early = bodies[1:]

    def refusal(self, body: bytes) -> Exception:
        """What an E body means."""
        try:
            code, epoch, text = frames.read_error(body)
        except BadFrame as error:
            return Cut(f"the holder broke the protocol ({error})")
        text = "".join(c for c in text if c.isprintable())
        match code:
            case 1 | 2 | 4:
                return Taken("another instance owns this terminal", epoch=epoch)
            case 3 | 5:
                return Lost("the shell is gone: its container was restarted or its holder was killed")
            case 7:
                return Refused(f"the shell could not start: {text}", code="shell_failed")
            case _:
                return Cut(f"the holder refused: {text}")

    def _complaint(self) -> str:
        text = "".join(c for c in self._stderr.decode("utf-8", "replace") if c.isprintable())
        return f" ({text[:300]})" if text else ""

    async def _read_stderr(self) -> None:
        flood = 0
        with suppress(ConnectionClosed):
            async for message in self._sockets["2"]:
                if not message or isinstance(message, str):
                    return
                self._stderr += message[: STDERR_LIMIT - len(self._stderr)]
                flood += len(message)
                if flood > STDERR_FLOOD:
                    self.abort()
                    return


async def _connect_all(address: Address, started: ExecSockets) -> dict[str, ClientConnection]:
    """All sockets of an exec, at the same time: LXD gives up after 5 s when one is missing."""
    names = list(started.secrets)
    tasks = [asyncio.create_task(_connect(address, started, name)) for name in names]
    try:
        await asyncio.wait(tasks)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        left = await asyncio.gather(*tasks, return_exceptions=True)
        await _close_all(socket for socket in left if isinstance(socket, ClientConnection))
        raise
    found = await asyncio.gather(*tasks, return_exceptions=True)
    sockets = {name: socket for name, socket in zip(names, found, strict=True) if isinstance(socket, ClientConnection)}
    failures = [socket for socket in found if isinstance(socket, BaseException)]
    if failures:
        await _close_all(sockets.values())
        if isinstance(failures[0], OSError | WebSocketException | TimeoutError):
            raise Cut("LXD didn't open the exec's streams") from failures[0]
        raise failures[0]
    return sockets


async def _connect(address: Address, started: ExecSockets, name: str) -> ClientConnection:
    path = f"/1.0/operations/{started.operation}/websocket?secret={started.secrets[name]}"
    # A stalled reader starves pings on the data sockets, so only the control socket has them.
    ping = 20 if name == "control" else None
    if address.secure:
        opening = partial(connect, "wss" + address.url.removeprefix("https") + path, ssl=address.tls())
    else:
        opening = partial(unix_connect, address.socket, uri="ws://lxd" + path)
    return await opening(
        compression=None,
        proxy=None,
        open_timeout=5,
        close_timeout=CLOSE_TIMEOUT_S,
        ping_interval=ping,
        max_size=MESSAGE_LIMIT,
        max_queue=4,
        write_limit=STDIN_LIMIT,
    )


async def _close_all(sockets: Iterable[ClientConnection]) -> None:
    """Closes politely, then for certain: a peer that doesn't read must not hold us up."""

    async def close(socket: ClientConnection) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await socket.close()
        except TimeoutError:
            socket.transport.abort()

    await asyncio.gather(*(close(socket) for socket in sockets))
