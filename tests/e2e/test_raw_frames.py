"""A client that isn't a browser: WebSocket frames byte by byte, as no library would send them, at a real server."""

import asyncio
import json
import secrets
import time
from typing import Any, Self

import pytest

from server.channel import FRAMES_PER_S
from server.connection import ATTACH_TIMEOUT_S
from tests.client import PASSWORD, PROTOCOL, Page, User
from tests.conftest import Server
from tests.e2e.test_main_job import ask, shell
from tests.e2e.test_refusals import attach

CONTINUED, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
LIMIT = 32_768
MUTE = 60


def frame(opcode: int, payload: bytes = b"", *, last: bool = True, masked: bool = True, bits: int = 0) -> bytes:
    """One frame; `bits` are the reserved ones."""
    return head(opcode, len(payload), last=last, masked=masked, bits=bits) + (
        (key := secrets.token_bytes(4)) + bytes(byte ^ key[n % 4] for n, byte in enumerate(payload))
        if masked
        else payload
    )


def head(opcode: int, length: int, *, last: bool = True, masked: bool = True, bits: int = 0) -> bytes:
    first, mask = (0x80 if last else 0) | bits | opcode, 0x80 if masked else 0
    if length < 126:
        return bytes([first, mask | length])
    if length < 65_536:
        return bytes([first, mask | 126]) + length.to_bytes(2)
    return bytes([first, mask | 127]) + length.to_bytes(8)


class Raw:
    """A socket after the handshake, nothing sent yet."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def opened(cls, server: Server, user: User, terminal: str) -> Self:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        cookies = "; ".join(f"{cookie.key}={cookie.value}" for cookie in user.http.cookie_jar)
        lines = [
            f"GET /ws/terminals/{terminal} HTTP/1.1",
            f"Host: 127.0.0.1:{server.port}",
            f"Origin: {user.url}",
            f"Cookie: {cookies}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            f"Sec-WebSocket-Protocol: {PROTOCOL}",
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 "), answer
        return cls(reader, writer)

    @classmethod
    async def attached(cls, server: Server, page: Page) -> Self:
        """In the place of a page, which becomes an observer."""
        raw = await cls.opened(server, page.user, page.terminal)
        raw.writer.write(frame(TEXT, attach(writer=secrets.token_hex(8)).encode()))
        while True:
            opcode, payload = await raw.receive()
            if opcode == TEXT and json.loads(payload)["type"] == "attached":
                return raw

    async def receive(self) -> tuple[int, bytes]:
        """The next frame from the server, which masks none and cuts none up."""
        first, length = await self.reader.readexactly(2)
        assert first & 0x80
        if length == 126:
            length = int.from_bytes(await self.reader.readexactly(2))
        elif length == 127:
            length = int.from_bytes(await self.reader.readexactly(8))
        return first & 0x0F, await self.reader.readexactly(length)

    async def closed(self) -> int:
        """The close code with which the server ends it; what comes before is let pass."""
        async with asyncio.timeout(15):
            while True:
                opcode, payload = await self.receive()
                if opcode == CLOSE:
                    self.writer.close()
                    return int.from_bytes(payload[:2])


BROKEN: dict[str, tuple[bytes, int]] = {
    "not masked": (frame(BINARY, b"P1234", masked=False), 1002),
    "not masked, text": (frame(TEXT, b"{}", masked=False), 1002),
    "not masked, ping": (frame(PING, b"x", masked=False), 1002),
    "reserved bits": (frame(BINARY, b"P1234", bits=0x40), 1002),
    "reserved bits, text": (frame(TEXT, b"{}", bits=0x20), 1002),
    "an opcode that there isn't": (frame(0x3, b"x"), 1002),
    "a control opcode that there isn't": (frame(0xB), 1002),
    "a long ping": (frame(PING, bytes(126)), 1002),
    "a ping in parts": (frame(PING, b"x", last=False), 1002),
    "a continuation of nothing": (frame(CONTINUED, b"P1234"), 1002),
    "a message inside another": (frame(BINARY, b"I", last=False) + frame(BINARY, b"P1234"), 1002),
    "text inside bytes": (frame(BINARY, b"I", last=False) + frame(TEXT, b"{}"), 1002),
    "text that isn't UTF-8": (frame(TEXT, b'{"type": "\xff"}'), 1007),
    "text that isn't JSON": (frame(TEXT, b"{"), 4400),
    "a close code that there isn't": (frame(CLOSE, (999).to_bytes(2)), 1002),
    "half a close code": (frame(CLOSE, b"x"), 1002),
    "one byte too many": (frame(BINARY, b"I" + bytes(LIMIT)), 1009),
    "a length of exabytes": (head(BINARY, 2**62) + b"mask", 1009),
    "parts without end": (
        frame(BINARY, b"I" + bytes(999), last=False) + 40 * frame(CONTINUED, bytes(1000), last=False),
        1009,
    ),
    "text without end": (frame(TEXT, bytes(999), last=False) + 40 * frame(CONTINUED, bytes(1000), last=False), 1009),
}


async def test_what_is_no_websocket_is_closed_by_its_own_code_and_spares_the_shell(
    server: Server, student: User
) -> None:
    _, page = await shell(student, "tiny-system")
    assert await ask(page, "kept=here; echo $kept") == "here"
    got = {}
    for kind, (data, _) in BROKEN.items():
        raw = await Raw.attached(server, page)
        raw.writer.write(data)
        try:
            got[kind] = await raw.closed()
        except TimeoutError:
            got[kind] = 0  # it is taken for right
            raw.writer.transport.abort()
    assert got == {kind: code for kind, (_, code) in BROKEN.items()}
    await page.leave()
    await page.connect()
    assert await ask(page, "echo $kept") == "here"
    await page.leave()


async def test_keys_in_parts_with_pings_between_arrive_once_and_in_order(server: Server, student: User) -> None:
    _, page = await shell(student, "tiny-system")
    await ask(page, "echo")
    raw = await Raw.attached(server, page)
    for seq, byte in enumerate(b"echo $((6*7))\r", 1):
        whole = b"I" + seq.to_bytes(8) + bytes([byte])
        parts = [
            frame(BINARY, whole[:3], last=False),
            frame(CONTINUED, whole[3:7], last=False),
            frame(CONTINUED, whole[7:]),
        ]
        for part in frame(PING, b"a").join(parts), frame(PONG, b"unasked"):
            for cut in range(0, len(part), 5):  # and the frames in pieces of their own
                raw.writer.write(part[cut : cut + 5])
                await raw.writer.drain()
    shown = b""
    async with asyncio.timeout(20):
        while b"\n42\r\n" not in shown:
            opcode, payload = await raw.receive()
            shown += payload[9:] if opcode == BINARY and payload[:1] == b"O" else b""
    assert shown.count(b"42") == 1
    raw.writer.close()


async def test_input_out_of_order_is_refused_and_input_that_comes_again_is_not_done_again(student: User) -> None:
    _, page = await shell(student, "tiny-system")
    await ask(page, "rm -f /tmp/n")

    async def send(seq: int, text: str) -> None:
        await page._send(b"I" + seq.to_bytes(8) + text.encode())

    following = page.seq + 1
    await send(following + 1, "echo ahead >> /tmp/n\r")
    assert (await page.message("nak"))["expected"] == following
    await send(2**64 - 1, "echo far >> /tmp/n\r")
    assert (await page.message("nak"))["expected"] == following
    for _ in range(3):
        await send(following, "echo once >> /tmp/n\r")
    for lie in (2**64 - 1, 2**63, 0):  # rendered what never was, and less than before
        await page._send(b"A" + lie.to_bytes(8))
    await page.say({"type": "attach", "writer": "00000000000000ab", "role": "driver", "cols": 9, "rows": 9})
    page.seq = following
    assert await ask(page, "cat /tmp/n") == "once"
    await page.leave()


async def test_a_flood_of_frames_is_taken_at_its_rate_and_a_neighbour_types_on(
    server: Server, student: User, make_user: Any
) -> None:
    _, page = await shell(student, "tiny-system")
    _, other = await shell(await make_user(server.url), "tiny-system")
    raw = await Raw.attached(server, page)
    flood = b"".join(frame(BINARY, b"P" + n.to_bytes(4)) for n in range(40_000))
    raw.writer.write(flood)
    began, answered, slowest = time.monotonic(), 0, 0.0

    async def count() -> None:
        nonlocal answered
        while True:
            opcode, payload = await raw.receive()
            answered += opcode == BINARY and payload[:1] == b"P"

    counting = asyncio.create_task(count())
    while time.monotonic() - began < 4:
        asked = time.monotonic()
        await ask(other, "echo")
        slowest = max(slowest, time.monotonic() - asked)
    seconds = time.monotonic() - began
    counting.cancel()
    await asyncio.gather(counting, return_exceptions=True)
    print(
        f"{answered} of {len(flood) // 11} frames in {seconds:.1f} s; the neighbour's slowest command {slowest * 1000:.0f} ms"
    )
    # A burst of a second's worth is free.
    assert FRAMES_PER_S < answered <= FRAMES_PER_S * (seconds + 1.5)
    assert slowest < 2
    raw.writer.transport.abort()
    await page.leave()
    await page.connect()
    assert await ask(page, "echo fine") == "fine"
    for each in (page, other):
        await each.leave()


async def test_sockets_that_say_nothing_or_half_a_frame_are_closed_after_five_seconds(
    server: Server, student: User
) -> None:
    _, page = await shell(student, "tiny-system")
    began = time.monotonic()
    mute = [await Raw.opened(server, student, page.terminal) for _ in range(MUTE)]
    for raw in mute[: MUTE // 2]:
        raw.writer.write(head(TEXT, 200) + b"mask{")
    for raw in mute[: MUTE // 4]:
        raw.writer.write(frame(PING, b"x"))  # which is no first message either, were it one
    assert await ask(page, "echo fine") == "fine"
    codes = await asyncio.gather(*(raw.closed() for raw in mute))
    assert set(codes) == {4400}
    assert ATTACH_TIMEOUT_S <= time.monotonic() - began < 3 * ATTACH_TIMEOUT_S
    assert await ask(page, "echo fine") == "fine"
    await page.leave()


async def test_a_ticket_opens_its_own_terminal_only(server: Server, student: User, make_user: Any) -> None:
    session, page = await shell(student, "tiny-system")
    other = (await student.call("POST", f"/api/sessions/{session}/terminals", status=201))["id"]
    stranger: User = await make_user(server.url)
    async with User(server.url, "nobody@example.test") as nobody:
        for person, terminal, code in ((nobody, other, 4401), (stranger, page.terminal, 4404), (stranger, other, 4404)):
            thief = person.page(terminal)
            await (await thief.open()).send_str(attach(ticket=page.ticket))
            assert (await thief.closed()).code == code
    await page.leave()


@pytest.mark.parametrize(
    "cookie", ["educenter=chosen-by-somebody-else", "educenter=", "educenter=%00", "educenter=" + "x" * 4000]
)
async def test_a_cookie_that_was_not_given_out_signs_nobody_in(server: Server, student: User, cookie: str) -> None:
    async with User(server.url, "nobody@example.test") as nobody:
        async with nobody.http.get("/api/me", headers={"Cookie": cookie}) as answer:
            assert answer.status == 401
        # Nor does signing in with it make it one: who chose it must not share the sign-in.
        body = {"email": student.email, "password": PASSWORD}
        async with nobody.http.post("/api/login", json=body, headers={"Cookie": cookie}) as answer:
            assert answer.status == 200
    async with (
        User(server.url, "chooser@example.test") as chooser,
        chooser.http.get("/api/me", headers={"Cookie": cookie}) as answer,
    ):
        assert answer.status == 401
