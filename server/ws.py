"""The WebSocket (docs/protocol.md): reads the browser's frames, writes what its viewer holds. No JSON on the hot path."""

import asyncio
import contextlib
import json
import re
import time
from dataclasses import dataclass

import structlog
from aiohttp import WSMsgType, web
from aiohttp.client_exceptions import ClientConnectionResetError

from server import auth, keys
from terminals import frames
from terminals.errors import (
    Conflict,
    Cut,
    Ended,
    Forbidden,
    Invalid,
    Lost,
    NotFound,
    Taken,
    TerminalsError,
    Unavailable,
)
from terminals.frames import BadFrame
from terminals.store.database import ID
from terminals.terminal import Terminal
from terminals.viewer import Viewer

log = structlog.get_logger(__name__)

PROTOCOL = "educenter.terminal.v1"
MESSAGE_LIMIT = 32_768
ATTACH_TIMEOUT_S = 5
SEND_TIMEOUT_S = 30
"""A browser that takes nothing for so long is gone."""
HEARTBEAT_S = 20
"""A browser answers these by itself, also in a hidden tab whose own pings are throttled."""
CLOSE_TIMEOUT_S = 2
"""aiohttp's own close waits for a peer that may never answer."""
WRITE_LIMIT = 65_536
FRAMES_PER_S = 400
"""Sustained; a burst of as many is free, more are delayed."""

BAD_FRAME, STUCK, INTERNAL, AGAIN = 4400, 1008, 1011, 4503
CLOSE_CODES: dict[type[Exception], int] = {
    BadFrame: BAD_FRAME,
    Invalid: BAD_FRAME,
    auth.NotSignedIn: 4401,
    Forbidden: 4401,
    NotFound: 4404,
    Ended: 4408,
    Taken: 4409,
    Conflict: 4429,
    Cut: AGAIN,
    Unavailable: AGAIN,
}
BY_CODE = {"draining": 1012, "released": 1012, "stuck": STUCK, "internal": INTERNAL}


@dataclass(frozen=True, slots=True)
class Hello:
    """The client's first message."""

    writer: int
    role: str
    size: tuple[int, int]
    birth: bytes | None
    offset: int
    ticket: str | None


async def terminal_socket(request: web.Request) -> web.StreamResponse:
    """`GET /ws/terminals/{id}`."""
    if request.headers.get("Origin") not in request.app[keys.SETTINGS].origins:
        log.warning("origin_refused", origin=request.headers.get("Origin", "")[:200])
        raise web.HTTPForbidden(text="This page may not open terminals here: its Origin isn't on the list")
    socket = web.WebSocketResponse(
        protocols=(PROTOCOL,),
        compress=False,
        max_msg_size=MESSAGE_LIMIT,
        heartbeat=HEARTBEAT_S,
        writer_limit=WRITE_LIMIT,
    )
    await socket.prepare(request)
    # What can't be an id is nobody's terminal; it is told so like every other unknown one.
    name = request.match_info["id"] if re.fullmatch(ID, request.match_info["id"]) else "unknown"
    structlog.contextvars.bind_contextvars(terminal=name)
    connection = Connection(request, socket, name)
    try:
        await connection.serve()
    except (BadFrame, TerminalsError) as error:
        await close(socket, error)
    except (TimeoutError, ConnectionError, ClientConnectionResetError):
        # The browser went away while something was sent to it: the usual end of a socket.
        abort(request)
    except Exception:
        log.exception("socket_failed")
        await close(socket, Unavailable("Something went wrong here; connect again", code="internal"))
    finally:
        connection.left()
    return socket


class Connection:
    """One socket from its first message to its end."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse, terminal: str) -> None:
        self._request = request
        self._app = request.app
        self._socket = socket
        self._name = terminal
        self._began = time.monotonic()
        self._viewer: Viewer | None = None
        self._terminal: Terminal | None = None
        self._by_ticket = False

    async def serve(self) -> None:
        """Attach, then read and write until either side ends."""
        hello = await self._hello()
        user = await self._who(hello)
        structlog.contextvars.bind_contextvars(user=user)
        drives = hello.role == "driver"
        self._terminal = await self._app[keys.HUB].open(self._name, user, hello.size, drives=drives)
        viewer = self._viewer = Viewer(user, hello.writer, hello.role, hello.size)
        viewer.direct = self._direct
        self._app[keys.METRICS].viewers.inc()
        writing = asyncio.create_task(self._write_frames(viewer, self._terminal), name="viewer-writer")
        try:
            try:
                await self._terminal.attach(viewer, hello.birth, hello.offset, self._ticket(user, hello))
            except TerminalsError as error:
                # What was told while it waited goes out before the close.
                viewer.close(error)
                await asyncio.wait([writing], timeout=CLOSE_TIMEOUT_S)
                raise
            log.info("viewer_attached", role=viewer.role, offset=hello.offset)
            await self._read_frames(viewer, self._terminal, writing)
        finally:
            self._terminal.detach(viewer)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    def left(self) -> None:
        """The canonical line of this viewer."""
        viewer = self._viewer
        if viewer is None:
            return
        metrics = self._app[keys.METRICS]
        metrics.viewers.dec()
        metrics.closes.labels(str(self._socket.close_code)).inc()
        metrics.sent.inc(viewer.sent)
        metrics.behind.inc(viewer.times_behind)
        log.info(
            "viewer_detached",
            role=viewer.role,
            seconds=round(time.monotonic() - self._began, 1),
            bytes=viewer.sent,
            times_behind=viewer.times_behind,
            close_code=self._socket.close_code,
        )

    async def _hello(self) -> Hello:
        try:
            message = await self._socket.receive(timeout=ATTACH_TIMEOUT_S)
        except TimeoutError as error:
            raise BadFrame("no attach message within 5 s") from error
        if message.type is not WSMsgType.TEXT:
            raise BadFrame("the first message must be attach, as text")
        return read_hello(message.data)

    async def _who(self, hello: Hello) -> int:
        """The user, by the sign-in cookie or, while its store is away, by a resume ticket."""
        try:
            return (await auth.signed_in(self._request)).id
        except (auth.NotSignedIn, Unavailable) as error:
            ticket = self._app[keys.TICKETS].read(hello.ticket) if hello.ticket else None
            if ticket is None or ticket.terminal != self._name:
                raise
            await self._check_revoked(ticket.user, ticket.made, error)
            self._by_ticket = True
            log.info("ticket_used")
            return ticket.user

    def _ticket(self, user: int, hello: Hello) -> str:
        """A ticket that admitted is handed back as it is: it must not renew itself for ever."""
        if self._by_ticket and hello.ticket:
            return hello.ticket
        return self._app[keys.TICKETS].sign(user, self._name)

    async def _check_revoked(self, user: int, made: int, why: TerminalsError) -> None:
        try:
            found = await self._app[keys.STORE].users.by_id(user)
        except Unavailable:
            # Sign-in store and database both away: the signature and its 12 hours have to do.
            return
        if found is None or auth.revoked(found, made):
            raise auth.NotSignedIn("Your sign-in was ended: sign in again") from why

    # -- browser → terminal ------------------------------------------------------------------------------------------

    async def _read_frames(self, viewer: Viewer, terminal: Terminal, writing: "asyncio.Task[None]") -> None:
        allowance, filled = float(FRAMES_PER_S), time.monotonic()
        while not writing.done() and viewer.closing is None:
            message = await self._socket.receive()
            if message.type is WSMsgType.BINARY:
                await self._binary(viewer, terminal, message.data)
            elif message.type is WSMsgType.TEXT:
                if read_json(message.data).get("type") == "take" and viewer.role == "observer":
                    await terminal.take(viewer)
            else:
                break
            now = time.monotonic()
            allowance = min(allowance + (now - filled) * FRAMES_PER_S, FRAMES_PER_S) - 1
            filled = now
            if allowance < 0:
                await asyncio.sleep(-allowance / FRAMES_PER_S)
        if viewer.closing is not None:
            # What is queued is still sent, then the socket is closed, by the writer.
            await asyncio.wait([writing], timeout=CLOSE_TIMEOUT_S)
        if writing.done():
            # It raises what ended it.
            writing.result()

    async def _binary(self, viewer: Viewer, terminal: Terminal, data: bytes) -> None:
        match data[0] if data else 0:
            case frames.BROWSER_INPUT:
                if viewer.role == "observer":
                    return
                await terminal.write(viewer, *frames.read_browser_input(data))
            case frames.BROWSER_ACK:
                terminal.ack(viewer, frames.read_browser_ack(data))
            case frames.BROWSER_PING:
                if len(data) != 5:
                    raise BadFrame(f"ping frame of {len(data)} bytes")
                viewer.reply(frames.pong(data[1:]))
            case frames.BROWSER_RESIZE:
                terminal.resize(viewer, frames.read_browser_resize(data))
            case _:
                raise BadFrame("unknown frame type")

    # -- terminal → browser ------------------------------------------------------------------------------------------

    def _direct(self, message: bytes) -> bool:
        """Sends without a task where that can't wait: with nothing buffered, aiohttp writes and returns at once."""
        transport = self._request.transport
        if transport is None or transport.is_closing() or transport.get_write_buffer_size():
            return False
        sending = self._socket.send_bytes(message)
        try:
            sending.send(None)
        except StopIteration:
            pass
        except (OSError, ClientConnectionResetError):
            # The writer meets the same end, and closes.
            return False
        else:
            # It wanted to wait for room after all; the message is written, and the queue's bound goes for the next.
            sending.close()
        if self._viewer is not None:
            self._viewer.sent += len(message)
        return True

    async def _write_frames(self, viewer: Viewer, terminal: Terminal) -> None:
        try:
            await self._write(viewer, terminal)
        except (OSError, TimeoutError, ClientConnectionResetError):
            # The reader waits on the same connection: it must hear of this.
            abort(self._request)
            raise

    async def _write(self, viewer: Viewer, terminal: Terminal) -> None:
        socket = self._socket
        while True:
            messages = await viewer.next()
            async with asyncio.timeout(SEND_TIMEOUT_S):
                for message in messages:
                    if isinstance(message, bytes):
                        await socket.send_bytes(message)
                        viewer.sent += len(message)
                    else:
                        await socket.send_str(message)
            if not messages and viewer.closing is not None:
                await close(socket, viewer.closing)
                return
            if not messages and viewer.behind:
                terminal.reset(viewer)


def read_json(text: str) -> dict[str, object]:
    """A client's JSON message.

    Raises:
        BadFrame: it isn't an object.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadFrame("text that isn't JSON") from error
    if not isinstance(found, dict):
        raise BadFrame("JSON that isn't an object")
    return found


def read_hello(text: str) -> Hello:
    """The attach message, checked.

    Raises:
        BadFrame: says which field is wrong.
    """
    found = read_json(text)
    if found.get("type") != "attach":
        raise BadFrame("the first message must be attach")
    writer, birth = found.get("writer"), found.get("birth")
    if not isinstance(writer, str) or len(writer) != 16 or not (number := _hex(writer)):
        raise BadFrame("writer must be 16 hex digits, not all 0")
    if birth is not None and (not isinstance(birth, str) or len(birth) != 32 or _hex(birth) is None):
        raise BadFrame("birth must be null or 32 hex digits")
    role = found.get("role", "driver")
    if role not in ("driver", "observer"):
        raise BadFrame("role must be driver or observer")
    cols, rows, offset = found.get("cols"), found.get("rows"), found.get("offset", 0)
    if type(cols) is not int or type(rows) is not int:
        raise BadFrame("cols and rows must be whole numbers")
    if type(offset) is not int or not 0 <= offset < 2**63:
        raise BadFrame("offset must be a whole number")
    ticket = found.get("ticket")
    if ticket is not None and (not isinstance(ticket, str) or len(ticket) > 512):
        raise BadFrame("ticket must be null or the text that attached gave")
    return Hello(
        number, str(role), frames.check_size(cols, rows), bytes.fromhex(birth) if birth else None, offset, ticket
    )


def _hex(text: str) -> int | None:
    try:
        return int.from_bytes(bytes.fromhex(text))
    except ValueError:
        return None


async def close(socket: web.WebSocketResponse, reason: Exception) -> None:
    """Closes with the code that the error means; a peer that doesn't answer is left to its fate after 2 s."""
    text = reason.message if isinstance(reason, TerminalsError) else str(reason)
    code = BY_CODE.get(getattr(reason, "code", ""), 0) or next(
        (number for kind, number in CLOSE_CODES.items() if isinstance(reason, kind)), AGAIN
    )
    if isinstance(reason, Lost):
        code = 4404
    # A close frame holds 123 bytes of reason.
    short = text.encode()[:120].decode("utf-8", "ignore")
    with contextlib.suppress(TimeoutError, ConnectionResetError, ClientConnectionResetError):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await socket.close(code=code, message=short.encode())


def abort(request: web.Request) -> None:
    """Drops the connection without another word."""
    if request.transport is not None:
        request.transport.abort()
