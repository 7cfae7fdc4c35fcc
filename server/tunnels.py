"""Tunnels: the owner's side. Pages of our terminals' students whose sockets are on other instances, while none can claim."""

import asyncio
from typing import cast

import structlog

from server.channel import Channel
from server.closes import close
from server.far import Far
from server.hello import read_hello
from server.peer import GONE
from terminals.errors import Cut, NotFound, TerminalsError, Unavailable
from terminals.fleet.feeds import Feeds
from terminals.fleet.tunnel import Tunnel
from terminals.hub import UNKNOWN, Hub
from terminals.link.frames import BadFrame
from terminals.viewers.viewer import Viewer

log = structlog.get_logger(__name__)

DIAL = "dial"
MOST = 2_000
"""Tunnels at the same time: what a class of classes has open."""
CLOSE_S = 2.0


class Tunnels:
    """Each is a task; `close` awaits them."""

    def __init__(self, hub: Hub, feeds: Feeds) -> None:
        self._hub = hub
        self._feeds = feeds
        self._tasks: set[asyncio.Task[None]] = set()
        feeds.on(DIAL, self._dialled)

    async def close(self) -> None:
        """Those that end by themselves have 2 s."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _dialled(self, message: dict[str, object]) -> None:
        if len(self._tasks) >= MOST:
            log.warning("tunnel_refused", count=len(self._tasks))
            return  # the other end waits a moment, then says: try again
        task = asyncio.create_task(self._serve(message), name="tunnel")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, message: dict[str, object]) -> None:
        """One page, as `ws` serves one here."""
        far = Far()
        far.tunnel = Tunnel(self._feeds, str(message["tunnel"]), owner=True, take=far.heard)
        structlog.contextvars.bind_contextvars(terminal=message["terminal"], user=message["user"])
        try:
            await far.tunnel.open()
        except Unavailable as error:
            log.warning("tunnel_not_opened", reason=error.message)
            return
        running = asyncio.create_task(self._run(far), name="tunnel-run")
        try:
            await self._attach(far, message)
        except (BadFrame, TerminalsError) as error:
            await close(far, error)
        except GONE:
            far.abort()
        except Exception:
            log.exception("tunnel_failed")
            await close(far, Unavailable("Something went wrong here; connect again", code="internal"))
        finally:
            far.tunnel.finish()
            await asyncio.gather(running, return_exceptions=True)

    async def _attach(self, far: Far, message: dict[str, object]) -> None:
        hello, user = read_hello(str(message["hello"])), cast("int", message["user"])
        terminal = self._hub.owned(str(message["terminal"]))
        if terminal is None:
            raise Cut("This terminal has just moved. Connect again")
        if terminal.claim.user != user:
            raise NotFound(UNKNOWN)
        viewer = Viewer(user, hello.writer, hello.role, hello.size, str(message["name"]))
        log.info("tunnel_begun")
        await Channel(far, viewer, terminal).serve(hello, str(message["ticket"]))

    async def _run(self, far: Far) -> None:
        try:
            await far.tunnel.run()
        except (Cut, Unavailable) as error:
            log.warning("tunnel_broke", reason=error.message)
        finally:
            far.broke()
