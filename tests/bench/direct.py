"""The limit to compare with: an interactive exec on LXD's own WebSocket, no server in between."""

import time
from types import TracebackType
from typing import Any, Self

import pylxd
from websockets.asyncio.client import ClientConnection, unix_connect


class Direct:
    """One interactive shell in a container; `async with` it."""

    def __init__(self, socket: str, project: str, container: str) -> None:
        self._socket = socket
        self._client = pylxd.Client(endpoint=socket, project=project)
        self._container = container
        self._data: ClientConnection
        self._control: ClientConnection
        self.received = 0

    async def __aenter__(self) -> Self:
        body: dict[str, Any] = {
            "command": ["su", "-", "student"],
            "interactive": True,
            "wait-for-websocket": True,
            "environment": {"TERM": "xterm-256color"},
            "width": 80,
            "height": 24,
        }
        operation = self._client.api.instances[self._container]["exec"].post(json=body).json()["metadata"]
        fds = operation["metadata"]["fds"]
        path = f"ws://lxd/1.0/operations/{operation['id']}/websocket?secret="
        self._data = await unix_connect(self._socket, uri=path + fds["0"], compression=None, ping_interval=None)
        self._control = await unix_connect(self._socket, uri=path + fds["control"], compression=None)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._control.close()
        await self._data.close()

    async def type(self, text: str) -> None:
        await self._data.send(text.encode())

    async def read(self) -> bytes:
        """The next output."""
        message = await self._data.recv(decode=False)
        self.received += len(message)
        return message

    async def until(self, mark: bytes) -> None:
        """Reads until the output ends with something that holds the mark."""
        tail = b""
        while mark not in tail:
            tail = (tail + await self.read())[-4096:]

    async def until_bytes(self, count: int) -> float:
        """Seconds until so many more bytes had come."""
        began, end = time.perf_counter(), self.received + count
        while self.received < end:
            await self.read()
        return time.perf_counter() - began
