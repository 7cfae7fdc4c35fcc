"""A client of the public doors, for the tests and the bench: HTTP API and WebSocket as docs/protocol.md says, nothing else."""

import asyncio
import json
import secrets
import ssl
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import aiohttp

PASSWORD = "demo-demo"
PROTOCOL = "educenter.terminal.v1"
WAIT_S = 20.0


class Closed(Exception):
    """The server closed the socket."""

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


class User:
    """One signed-in person, with a cookie jar."""

    def __init__(self, url: str, email: str, trust: ssl.SSLContext | None = None) -> None:
        """`trust`: of an https address whose certificate is the test's own."""
        self.url = url
        self.email = email
        connector = aiohttp.TCPConnector(ssl=trust) if trust else None
        jar = aiohttp.CookieJar(unsafe=True)
        self.http = aiohttp.ClientSession(base_url=url, cookie_jar=jar, connector=connector)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.close()

    async def sign_in(self, password: str = PASSWORD) -> None:
        async with self.http.post("/api/login", json={"email": self.email, "password": password}) as response:
            assert response.status == 200, await response.text()

    async def call(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        """The answer's JSON; fails when its status isn't `status`."""
        async with self.http.request(method, path, json=body) as response:
            text = await response.text()
            assert response.status == status, f"{method} {path}: {response.status} {text}"
            return json.loads(text) if text else None

    async def start(self, lesson: str) -> str:
        """Starts a lesson and waits until it is live; the session's id."""
        session: str = (await self.call("POST", "/api/sessions", {"lesson": lesson}, 202))["id"]
        await self.until(session, "live")
        return session

    async def until(self, session: str, state: str) -> dict[str, Any]:
        """Waits for a session's state."""
        async with asyncio.timeout(90):
            while True:
                found: dict[str, Any] = await self.call("GET", f"/api/sessions/{session}")
                if found["state"] == state:
                    return found
                assert found["state"] != "ended", found
                await asyncio.sleep(0.05)

    async def first_terminal(self, session: str) -> str:
        found: str = (await self.call("GET", f"/api/sessions/{session}"))["terminals"][0]["id"]
        return found

    def go_to(self, port: int) -> None:
        """Calls go to another instance from now on."""
        assert self.http._base_url is not None
        self.http._base_url = self.http._base_url.with_port(port)

    async def end(self, session: str) -> None:
        await self.call("DELETE", f"/api/sessions/{session}", status=202)

    def page(self, terminal: str, **options: Any) -> "Page":
        """A page on one of the user's terminals; `async with` it."""
        return Page(self, terminal, **options)


class Page:
    """What a browser page does with one terminal: attach, read, ack, type, resume. Keeps all output it was shown."""

    def __init__(
        self, user: User, terminal: str, *, url: str | None = None, role: str = "driver", auto_ack: bool = True
    ) -> None:
        self.user = user
        self.terminal = terminal
        self.url = url or user.url
        self.role = role
        self.auto_ack = auto_ack
        self.writer = secrets.token_hex(8)
        self.birth: str | None = None
        self.ticket: str | None = None
        self.offset = 0
        self.output = bytearray()
        self.start = 0
        """The offset of the first byte in `output`, where that isn't a picture of the screen."""
        self.own_from = 0
        """From this offset on `output` is what the terminal put out, byte for byte; a picture may stand before it."""
        self.gaps: list[tuple[int, int]] = []
        self.resets = 0
        self.seq = 0
        self.unacknowledged: dict[int, bytes] = {}
        self.taken = 0
        self.messages: list[dict[str, Any]] = []
        self.size = (80, 24)
        self.origin = user.url
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._acked = 0

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.leave()

    async def open(self, **headers: str) -> aiohttp.ClientWebSocketResponse:
        """The bare socket, nothing sent yet."""
        self._socket = await self.user.http.ws_connect(
            f"{self.url}/ws/terminals/{self.terminal}",
            protocols=(PROTOCOL,),
            headers={"Origin": self.origin, **headers},
            max_msg_size=0,
        )
        return self._socket

    async def connect(self, *, ticket: bool = False) -> dict[str, Any]:
        """Attaches with what the page has, sends again what wasn't taken; the `attached` message."""
        await self.knock(ticket=ticket)
        return await self.attached()

    async def knock(self, *, ticket: bool = False) -> None:
        """Asks to attach, and waits for nothing."""
        socket = await self.open()
        hello = {
            "type": "attach",
            "writer": self.writer,
            "role": self.role,
            "cols": self.size[0],
            "rows": self.size[1],
            "birth": self.birth,
            "offset": self.offset,
            "ticket": self.ticket if ticket else None,
        }
        await socket.send_str(json.dumps(hello))

    async def attached(self) -> dict[str, Any]:
        """Waits for the next `attached`."""
        self.messages.clear()
        await self.until(lambda: any(m["type"] == "attached" for m in self.messages))
        found = next(m for m in self.messages if m["type"] == "attached")
        for seq in [seq for seq in self.unacknowledged if seq <= found["last_seq"]]:
            del self.unacknowledged[seq]
        for seq, data in sorted(self.unacknowledged.items()):
            await self._send(b"I" + seq.to_bytes(8) + data)
        return found

    async def type(self, text: str | bytes) -> int:
        """Sends input; its seq."""
        data = text.encode() if isinstance(text, str) else text
        self.seq += 1
        self.unacknowledged[self.seq] = data
        await self._send(b"I" + self.seq.to_bytes(8) + data)
        return self.seq

    async def resize(self, cols: int, rows: int) -> None:
        self.size = (cols, rows)
        await self._send(b"R" + struct.pack(">HH", cols, rows))

    async def say(self, message: dict[str, Any]) -> None:
        assert self._socket is not None
        await self._socket.send_str(json.dumps(message))

    async def ack(self) -> None:
        self._acked = self.offset
        # The server may have closed behind what is still being read.
        with suppress(aiohttp.ClientConnectionResetError):
            await self._send(b"A" + self.offset.to_bytes(8))

    async def step(self, timeout: float = WAIT_S) -> None:
        """Handles one message from the server."""
        assert self._socket is not None
        message = await self._socket.receive(timeout=timeout)
        if message.type is aiohttp.WSMsgType.BINARY:
            await self._binary(message.data)
        elif message.type is aiohttp.WSMsgType.TEXT:
            self._text(json.loads(message.data))
        else:
            code = message.data if message.type is aiohttp.WSMsgType.CLOSE else self._socket.close_code
            raise Closed(code, str(message.extra or ""))

    async def until(self, done: Callable[[], bool], timeout: float = WAIT_S) -> None:
        """Handles messages until the condition holds."""
        limit = time.monotonic() + timeout
        while not done():
            left = limit - time.monotonic()
            assert left > 0, (
                f"not in {timeout} s; messages {self.messages[-5:]}, output ends {bytes(self.output[-300:])!r}"
            )
            try:
                await self.step(left)
            except TimeoutError:
                continue

    async def expect(self, text: str | bytes, timeout: float = WAIT_S) -> None:
        """Waits until the output holds the text."""
        data = text.encode() if isinstance(text, str) else text
        searched, of = 0, (self.birth, self.resets)

        def found() -> bool:
            # What was searched isn't searched again: of megabytes it would keep every other page of the test waiting.
            nonlocal searched, of
            if of != (self.birth, self.resets):
                searched, of = 0, (self.birth, self.resets)
            at = self.output.find(data, max(0, searched - len(data)))
            searched = len(self.output)
            return at >= 0

        await self.until(found, timeout)

    async def message(self, kind: str, timeout: float = WAIT_S) -> dict[str, Any]:
        """Waits for a JSON message of this type and takes it."""
        await self.until(lambda: any(m["type"] == kind for m in self.messages), timeout)
        found = next(m for m in self.messages if m["type"] == kind)
        self.messages.remove(found)
        return found

    async def closed(self, timeout: float = WAIT_S) -> Closed:
        """Waits until the server closes the socket."""
        try:
            await self.until(lambda: False, timeout)
        except Closed as end:
            return end
        raise AssertionError

    async def ping(self, nonce: int = 1) -> None:
        await self._send(b"P" + nonce.to_bytes(4))

    async def leave(self) -> None:
        """Closes politely."""
        if self._socket is not None:
            await self._socket.close()

    def drop(self) -> None:
        """Cuts the connection without a word."""
        assert self._socket is not None
        if (transport := self._socket._writer.transport) is not None:
            transport.abort()
        # aiohttp would learn of it only from a read, and nobody reads any more.
        self._socket._response.close()

    async def _send(self, data: bytes) -> None:
        assert self._socket is not None
        await self._socket.send_bytes(data)

    async def _binary(self, data: bytes) -> None:
        match chr(data[0]):
            case "O":
                offset = int.from_bytes(data[1:9])
                assert offset == self.offset, f"output at {offset}, expected {self.offset}"
                self.output += data[9:]
                self.offset += len(data) - 9
                if self.auto_ack and self.offset - self._acked >= 32_768:
                    await self.ack()
            case "S":
                end = int.from_bytes(data[1:9])
                self.output[:] = data[21:]
                self.offset, self.start, self.own_from = end, end - len(self.output), end
                self.resets += 1
                if self.auto_ack:
                    await self.ack()
            case "G":
                start, stop = struct.unpack(">QQ", data[1:])
                self.gaps.append((start, stop))
                self.offset = stop
            case "K":
                self.taken = int.from_bytes(data[1:9])
                for seq in [seq for seq in self.unacknowledged if seq <= self.taken]:
                    del self.unacknowledged[seq]
            case "P":
                self.messages.append({"type": "pong", "nonce": int.from_bytes(data[1:])})
            case _:
                pass  # of a later version

    def _text(self, message: dict[str, Any]) -> None:
        self.messages.append(message)
        if message["type"] == "attached":
            if message["birth"] != self.birth:
                self.birth, self.offset = message["birth"], 0
                self.output.clear()
            self.ticket = message.get("ticket") or self.ticket
