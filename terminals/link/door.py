"""Door: the short way from a container's holder to a server on the same host: a unix socket in a folder that both see.

LXD still starts and ends the bridge, so who may attach, and what cuts an owner off, are what they are without a door; only
the frames no longer pass through LXD. A container whose bridge can't connect goes on over LXD's own streams.

What lies in the folder is a socket while somebody attaches, under a name that nobody can guess and no container can list
(the folder is the host's, mounted read-only); the first that connects is taken, and what it says is as hostile as ever.
"""

import asyncio
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from terminals.errors import Cut
from terminals.link.wire import Taker

MOUNTED = "/dev/.educenter-door"
"""Where a container has the folder: /dev is a tmpfs in every LXC container, so nothing is left in an image."""
VARIABLE = "EDUCENTER_DOOR"
"""Tells the bridge its socket. Unlike an argument, only root in the container can read it."""
WRITE_LIMIT = 65_536
"""Bytes that may wait for the holder before a writer is held back."""
POST_LIMIT = 4 * WRITE_LIMIT
EARLY_LIMIT = 65_536
"""Bytes that may come before anybody takes them."""
STALE_S = 60
"""A socket this old was left by a server that was killed."""


class Line(asyncio.Protocol):
    """One connected socket: what a `Stream` is on LXD's way, for both directions."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._taker: Taker | None = None
        self._early = b""
        self._over = False
        self._room = asyncio.Event()
        self._room.set()

    def hand_to(self, taker: Taker) -> None:
        """From now on `taker` gets what comes, and `b""` at the end; it must not raise."""
        self._taker = taker
        if self._early:
            early, self._early = self._early, b""
            taker(early)
        if self._over:
            taker(b"")

    @property
    def paused(self) -> bool:
        """The holder doesn't take what was posted as fast as it comes."""
        return not self._room.is_set()

    async def drain(self) -> None:
        """Waits until it does."""
        await self._room.wait()

    def post(self, data: bytes) -> None:
        """Sends without waiting.

        Raises:
            Cut: it is closed, or too much waits already.
        """
        if self._over or self.transport.get_write_buffer_size() > POST_LIMIT:
            raise Cut("the holder doesn't take input")
        self.transport.write(data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # By cast: uvloop's transports are none of asyncio's classes.
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(WRITE_LIMIT)

    def data_received(self, data: bytes) -> None:
        if self._taker is not None:
            self._taker(data)
        elif len(self._early) + len(data) > EARLY_LIMIT:
            self.transport.abort()
        else:
            self._early += data

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._over = True
        self._room.set()
        if self._taker is not None:
            self._taker(b"")

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()


class Door:
    """The folder on the host. `environment` goes to the bridge, `accept` waits for it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def devices(self) -> dict[str, dict[str, str]]:
        """What LXD gives the containers. One whose host has no such folder starts all the same."""
        shared = {"source": str(self._folder), "path": MOUNTED, "readonly": "true", "required": "false"}
        return {"door": {"type": "disk", **shared}}

    def sweep(self) -> None:
        """Removes what killed servers left."""
        for path in self._folder.iterdir():
            if path.is_socket() and time.time() - path.stat().st_mtime > STALE_S:
                path.unlink(missing_ok=True)

    @asynccontextmanager
    async def ajar(self) -> AsyncIterator["Opening"]:
        """One socket, for one bridge."""
        path = self._folder / secrets.token_hex(16)
        listener = await asyncio.to_thread(_listen, path)
        try:
            yield Opening(f"{MOUNTED}/{path.name}", listener)
        finally:
            listener.close()
            await asyncio.to_thread(path.unlink, missing_ok=True)


class Opening:
    """A socket that waits for one bridge."""

    def __init__(self, path: str, listener: socket.socket) -> None:
        self.environment = {VARIABLE: path}
        self._listener = listener

    async def accept(self) -> Line:
        """The bridge's connection; the caller bounds the time."""
        loop = asyncio.get_running_loop()
        connected, _ = await loop.sock_accept(self._listener)
        try:
            _, line = await loop.connect_accepted_socket(Line, connected)
        except BaseException:
            connected.close()
            raise
        return line


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        listener.bind(str(path))
        # A container's root is nobody here: only by this may it connect.
        path.chmod(0o666)
        listener.listen(1)
    except BaseException:
        listener.close()
        raise
    return listener
