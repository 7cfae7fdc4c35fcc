"""Lines: one shell each, opened and typed at in the same way whoever serves it, by aiohttp's client, no compression."""

import json
import secrets
from typing import Any, Protocol

import aiohttp

from tests.client import PROTOCOL

ACK_EVERY = 32_768
RECEIVE_S = 30.0


class Line(Protocol):
    """A shell at the end of a socket."""

    async def send(self, data: bytes) -> None:
        """Types."""

    async def receive(self) -> bytes:
        """The next output, as it came."""

    async def close(self) -> None:
        """Closes politely; the shell may go on or end, as its server does it."""


class Ours:
    """A page as docs/protocol.md says: acks every 32 KiB and whenever nothing is pending."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._seq = 0
        self._offset = 0
        self._acked = 0

    @classmethod
    async def open(cls, http: aiohttp.ClientSession, url: str, terminal: str) -> "Ours":
        socket = await http.ws_connect(
            f"{url}/ws/terminals/{terminal}", protocols=(PROTOCOL,), headers={"Origin": url}, max_msg_size=0
        )
        hello = {"type": "attach", "writer": secrets.token_hex(8), "role": "driver", "cols": 80, "rows": 24}
        await socket.send_str(json.dumps({**hello, "birth": None, "offset": 0, "ticket": None}))
        return cls(socket)

    async def send(self, data: bytes) -> None:
        self._seq += 1
        await self._socket.send_bytes(b"I" + self._seq.to_bytes(8) + data)

    async def receive(self) -> bytes:
        if self._offset - self._acked >= ACK_EVERY:
            await self.ack()
        while True:
            message = await self._socket.receive()
            if message.type is aiohttp.WSMsgType.BINARY:
                body: bytes = message.data
                if body[0] == ord("O"):
                    self._offset += len(body) - 9
                    return body[9:]
                if body[0] == ord("S"):
                    self._offset = int.from_bytes(body[1:9])
                    await self.ack()
                    if len(body) > 21:
                        return body[21:]
            elif message.type is not aiohttp.WSMsgType.TEXT:
                raise ConnectionError(f"the server closed: {message.data} {message.extra}")

    async def ack(self) -> None:
        """What was received is rendered."""
        if self._offset != self._acked:
            self._acked = self._offset
            await self._socket.send_bytes(b"A" + self._offset.to_bytes(8))

    async def close(self) -> None:
        await self._socket.close()


class Direct:
    """The limit: an interactive exec on LXD's own WebSocket, no server in between."""

    def __init__(self, data: aiohttp.ClientWebSocketResponse, control: aiohttp.ClientWebSocketResponse) -> None:
        self._data = data
        self._control = control

    @classmethod
    async def open(cls, lxd: aiohttp.ClientSession, project: str, container: str) -> "Direct":
        body: dict[str, Any] = {
            "command": ["su", "-", "student"],
            "interactive": True,
            "wait-for-websocket": True,
            "environment": {"TERM": "xterm-256color"},
            "width": 80,
            "height": 24,
        }
        url = f"http://lxd/1.0/instances/{container}/exec?project={project}"
        async with lxd.post(url, json=body) as answer:
            operation = (await answer.json())["metadata"]
        fds = operation["metadata"]["fds"]
        path = f"http://lxd/1.0/operations/{operation['id']}/websocket?secret="
        return cls(
            await lxd.ws_connect(path + fds["0"], max_msg_size=0),
            await lxd.ws_connect(path + fds["control"], max_msg_size=0),
        )

    async def send(self, data: bytes) -> None:
        await self._data.send_bytes(data)

    async def receive(self) -> bytes:
        message = await self._data.receive()
        if message.type is aiohttp.WSMsgType.BINARY:
            return bytes(message.data)
        raise ConnectionError(f"LXD closed: {message.data}")

    async def close(self) -> None:
        # The control socket's end is the command's; the data socket's alone would leave it.
        await self._control.close()
        await self._data.close()


class Terminado:
    """Jupyter's terminal server: JSON text messages."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    @classmethod
    async def open(cls, http: aiohttp.ClientSession, url: str) -> "Terminado":
        socket = await http.ws_connect(url, max_msg_size=0)
        await socket.send_str(json.dumps(["set_size", 24, 80, 0, 0]))
        return cls(socket)

    async def send(self, data: bytes) -> None:
        await self._socket.send_str(json.dumps(["stdin", data.decode()]))

    async def receive(self) -> bytes:
        while True:
            message = await self._socket.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise ConnectionError(f"terminado closed: {message.data}")
            kind, *rest = json.loads(message.data)
            if kind == "stdout":
                text: str = rest[0]
                return text.encode()

    async def close(self) -> None:
        await self._socket.close()


async def until(line: Line, mark: bytes) -> bytes:
    """Everything up to the message that completes `mark`."""
    got = bytearray()
    while got.find(mark, max(0, len(got) - 70_000)) < 0:
        got += await line.receive()
    return bytes(got)
