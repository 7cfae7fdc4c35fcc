"""Connection: one socket from its first message to its end: who comes, to which terminal, by which way."""

import asyncio
import time

import structlog
from aiohttp import WSMsgType, web

from server import auth, keys
from server.browser import Browser
from server.channel import Channel
from server.forward import Forward
from server.hello import Hello, read_hello
from terminals.errors import Unavailable
from terminals.link.frames import BadFrame
from terminals.terminal import Terminal
from terminals.viewers.viewer import Viewer

log = structlog.get_logger(__name__)

ATTACH_TIMEOUT_S = 5
PATIENCE_S = 1.0
"""For a database that neither answers nor refuses, where there is another way."""
AWAY = ("unavailable", "database")
"""Codes of an Unavailable that the database is to blame for."""


class Connection:
    """`serve` it, and say in the end that it has `left`."""

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
        text = await self._first()
        hello = read_hello(text)
        user, name = await self._who(hello)
        structlog.contextvars.bind_contextvars(user=user)
        viewer = self._viewer = Viewer(user, hello.writer, hello.role, hello.size, name)
        self._app[keys.METRICS].viewers.inc()
        ticket = self._ticket(user, hello)
        terminal = await self._open(user, hello)
        if isinstance(terminal, Terminal):
            await Channel(self._browser, viewer, terminal).serve(hello, ticket)
        else:
            said = {"terminal": self._name, "user": user, "name": name, "hello": text, "ticket": ticket}
            await Forward(self._app[keys.FEEDS], self._browser).serve(terminal, self._can_claim, **said)

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

    async def _first(self) -> str:
        try:
            async with asyncio.timeout(ATTACH_TIMEOUT_S):
                message = await self._browser.receive()
        except TimeoutError as error:
            raise BadFrame("no attach message within 5 s") from error
        if message.type is not WSMsgType.TEXT:
            raise BadFrame("the first message must be attach, as text")
        return str(message.data)

    # -- which way ---------------------------------------------------------------------------------------------------

    async def _open(self, user: int, hello: Hello) -> Terminal | str:
        """The terminal here or, for its student while it can't be claimed, the instance that owns it."""
        opening = asyncio.create_task(
            self._app[keys.HUB].open(self._name, user, hello.size, drives=hello.role == "driver"), name="open"
        )
        try:
            await asyncio.wait([opening], timeout=PATIENCE_S)
            if not opening.done() or _away(opening):
                owner = await self._owner() if hello.role == "driver" else None
                if owner is not None and (not opening.done() or _away(opening)):
                    return owner
            return await opening
        finally:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)

    async def _owner(self) -> str | None:
        """Another instance that lives and has it."""
        try:
            owner = await self._app[keys.PRESENCE].owner(self._name)
        except Unavailable as error:
            log.warning("owner_not_known", reason=error.message)
            return None
        return owner if owner != self._app[keys.SETTINGS].instance else None

    async def _can_claim(self) -> bool:
        """Whether the database answers again."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._app[keys.STORE].users.by_id(0)
        except (Unavailable, TimeoutError):
            return False
        return True

    # -- who -----------------------------------------------------------------------------------------------------------

    async def _who(self, hello: Hello) -> tuple[int, str]:
        """The user's id and name, by the sign-in cookie or, while its store is away, by a resume ticket."""
        try:
            async with asyncio.timeout(PATIENCE_S if hello.ticket else None):
                found = await auth.signed_in(self._request)
            return found.id, found.name
        except (auth.NotSignedIn, Unavailable, TimeoutError) as error:
            ticket = self._app[keys.TICKETS].read(hello.ticket) if hello.ticket else None
            if ticket is None or ticket.terminal != self._name:
                if isinstance(error, TimeoutError):
                    raise Unavailable("Sign-in takes too long just now. Try again in a moment") from error
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

    async def _check_revoked(self, user: int, made: int, why: Exception) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                found = await self._app[keys.STORE].users.by_id(user)
        except (Unavailable, TimeoutError):
            # Sign-in store and database both away: the signature and its 12 hours have to do.
            return
        if found is None or auth.revoked(found, made):
            raise auth.NotSignedIn("Your sign-in was ended: sign in again") from why


def _away(opening: "asyncio.Task[Terminal]") -> bool:
    error = opening.exception()
    return isinstance(error, Unavailable) and error.code in AWAY
