"""The WebSocket's door (docs/protocol.md): who comes, to which terminal, and how it ends. The frames are in channel."""

import asyncio
import re
import time

import structlog
from aiohttp import WSMsgType, web

from server import auth, keys
from server.browser import CLOSE_TIMEOUT_S, GONE, Browser
from server.channel import Channel
from server.closes import BROKEN, close
from server.hello import Hello, read_hello
from terminals.errors import TerminalsError, Unavailable
from terminals.frames import BadFrame
from terminals.store.database import ID
from terminals.terminal import Terminal
from terminals.viewer import Viewer

log = structlog.get_logger(__name__)

ATTACH_TIMEOUT_S = 5


async def terminal_socket(request: web.Request) -> web.StreamResponse:
    """`GET /ws/terminals/{id}`."""
    if request.headers.get("Origin") not in request.app[keys.SETTINGS].origins:
        log.warning("origin_refused", origin=request.headers.get("Origin", "")[:200])
        raise web.HTTPForbidden(text="This page may not open terminals here: its Origin isn't on the list")
    browser = Browser(request)
    await browser.open()
    # What can't be an id is nobody's terminal; it is told so like every other unknown one.
    name = request.match_info["id"] if re.fullmatch(ID, request.match_info["id"]) else "unknown"
    structlog.contextvars.bind_contextvars(terminal=name)
    connection = Connection(request, browser, name)
    try:
        await connection.serve()
    except (BadFrame, TerminalsError) as error:
        await close(browser, error)
    except GONE:
        # The browser went away while something was sent to it: the usual end of a socket.
        browser.abort()
    except Exception:
        log.exception("socket_failed")
        await close(browser, Unavailable(BROKEN, code="internal"))
    finally:
        connection.left()
    return browser.response


class Connection:
    """One socket from its first message to its end."""

    def __init__(self, request: web.Request, browser: Browser, terminal: str) -> None:
        self._request = request
        self._app = request.app
        self._browser = browser
        self._name = terminal
        self._began = time.monotonic()
        self._viewer: Viewer | None = None
        self._by_ticket = False

    async def serve(self) -> None:
        """Attach, then read and write until either side ends."""
        hello = await self._hello()
        user, name = await self._who(hello)
        structlog.contextvars.bind_contextvars(user=user)
        terminal = await self._app[keys.HUB].open(self._name, user, hello.size, drives=hello.role == "driver")
        viewer = self._viewer = Viewer(user, hello.writer, hello.role, hello.size, name)
        self._app[keys.METRICS].viewers.inc()
        channel = Channel(self._browser, viewer, terminal)
        writing = asyncio.create_task(channel.write(), name="viewer-writer")
        try:
            await self._attach(terminal, viewer, hello, writing)
            await channel.read(writing)
        finally:
            terminal.detach(viewer)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def _attach(self, terminal: Terminal, viewer: Viewer, hello: Hello, writing: "asyncio.Task[None]") -> None:
        try:
            await terminal.attach(viewer, hello.birth, hello.offset, self._ticket(viewer.user, hello))
        except TerminalsError as error:
            # What was told while it waited goes out before the close.
            viewer.close(error)
            await asyncio.wait([writing], timeout=CLOSE_TIMEOUT_S)
            raise
        log.info("viewer_attached", role=viewer.role, offset=hello.offset)

    def left(self) -> None:
        """The canonical line of this viewer."""
        viewer = self._viewer
        if viewer is None:
            return
        metrics = self._app[keys.METRICS]
        metrics.viewers.dec()
        metrics.closes.labels(str(self._browser.response.close_code)).inc()
        metrics.sent.inc(self._browser.sent)
        metrics.behind.inc(viewer.times_behind)
        log.info(
            "viewer_detached",
            role=viewer.role,
            seconds=round(time.monotonic() - self._began, 1),
            bytes=self._browser.sent,
            times_behind=viewer.times_behind,
            close_code=self._browser.response.close_code,
        )

    async def _hello(self) -> Hello:
        try:
            async with asyncio.timeout(ATTACH_TIMEOUT_S):
                message = await self._browser.receive()
        except TimeoutError as error:
            raise BadFrame("no attach message within 5 s") from error
        if message.type is not WSMsgType.TEXT:
            raise BadFrame("the first message must be attach, as text")
        return read_hello(message.data)

    async def _who(self, hello: Hello) -> tuple[int, str]:
        """The user's id and name, by the sign-in cookie or, while its store is away, by a resume ticket."""
        try:
            found = await auth.signed_in(self._request)
            return found.id, found.name
        except (auth.NotSignedIn, Unavailable) as error:
            ticket = self._app[keys.TICKETS].read(hello.ticket) if hello.ticket else None
            if ticket is None or ticket.terminal != self._name:
                raise
            await self._check_revoked(ticket.user, ticket.made, error)
            self._by_ticket = True
            log.info("ticket_used")
            return ticket.user, ""

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
