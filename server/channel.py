"""Channel: the frames between one browser and one terminal (docs/protocol.md). No JSON on the hot path."""

import asyncio
import time

import structlog
from aiohttp import WSMsgType

from server.browser import CLOSE_TIMEOUT_S
from server.closes import BROKEN, close
from server.hello import Hello, read_json
from server.peer import GONE, Peer
from terminals.errors import TerminalsError, Unavailable
from terminals.link import frames
from terminals.link.flow import STEP as ACK_STEP
from terminals.link.frames import BadFrame
from terminals.terminal import Terminal
from terminals.viewers.viewer import Viewer

log = structlog.get_logger(__name__)

FRAMES_PER_S = 400
"""Sustained; a burst of as many is free, more are delayed."""


class Channel:
    """Attaches, and moves frames until either side ends."""

    def __init__(self, browser: Peer, viewer: Viewer, terminal: Terminal) -> None:
        self._browser = browser
        self._viewer = viewer
        self._terminal = terminal
        self._allowance = float(FRAMES_PER_S)
        self._filled = time.monotonic()
        self._pause: asyncio.Task[None] | None = None
        viewer.direct = browser.send_now

    async def serve(self, hello: Hello, ticket: str) -> None:
        """From the attach to the end, which it raises where it isn't the browser's own."""
        writing = asyncio.create_task(self.write(), name="viewer-writer")
        try:
            await self._attach(hello, ticket, writing)
            await self.read(writing)
        finally:
            self._terminal.detach(self._viewer)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def _attach(self, hello: Hello, ticket: str, writing: "asyncio.Task[None]") -> None:
        try:
            await self._terminal.attach(self._viewer, hello.birth, hello.offset, ticket)
        except TerminalsError as error:
            # What was told while it waited goes out before the close.
            self._viewer.close(error)
            await asyncio.wait([writing], timeout=CLOSE_TIMEOUT_S)
            raise
        log.info("viewer_attached", role=self._viewer.role, offset=hello.offset)

    # -- browser → terminal ------------------------------------------------------------------------------------------

    async def read(self, writing: "asyncio.Task[None]") -> None:
        """Until the browser goes, or `writing` ends; raises what ended that."""
        viewer = self._viewer
        self._browser.hand_to(self._take)
        try:
            while not writing.done() and viewer.closing is None:
                message = await self._browser.receive()
                if message.type is WSMsgType.TEXT:
                    await self._hear(read_json(message.data))
                elif message.type is WSMsgType.BINARY:
                    self._take(message.data)  # it came in fragments
                else:
                    break
                await asyncio.sleep(self._owed())
        finally:
            if self._pause is not None:
                self._pause.cancel()
        if viewer.closing is not None:
            # What is queued is still sent, then the socket is closed, by the writer.
            await asyncio.wait([writing], timeout=CLOSE_TIMEOUT_S)
        if writing.done():
            writing.result()

    async def _hear(self, message: dict[str, object]) -> None:
        """A control message; those that this version doesn't know mean nothing."""
        viewer, terminal = self._viewer, self._terminal
        match message.get("type"):
            case "take" if viewer.role == "observer":
                await terminal.take(viewer)
            case "ask" | "release" as kind if viewer.role != "driver":
                if terminal.audience.wish(viewer, to_type=kind == "ask"):
                    terminal.tell_watchers()
            case "grant":
                person, allow = message.get("id"), message.get("allow")
                if not isinstance(person, str) or not isinstance(allow, bool):
                    raise BadFrame("grant needs id, a text, and allow, true or false")
                terminal.audience.decide(viewer, person, allow=allow)
            case _:
                pass

    def _take(self, data: bytes) -> None:
        """One binary message, in the callback that read it: no task wakes for a key."""
        if self._viewer.closing is not None:
            return
        free = False
        try:
            free = self._handle(data)
        except (BadFrame, TerminalsError) as error:
            self._viewer.close(error)
        except Exception:
            log.exception("socket_failed")
            self._viewer.close(Unavailable(BROKEN, code="internal"))
        owed = 0.0 if free else self._owed()
        if (owed or self._terminal.path.congested) and (self._pause is None or self._pause.done()):
            self._browser.hold()
            self._pause = asyncio.create_task(self._wait(owed), name="channel-pause")

    def _handle(self, data: bytes) -> bool:
        """Whether it isn't rationed: acks of output come as often as there is output, and are bounded by it."""
        viewer, terminal = self._viewer, self._terminal
        match data[0] if data else 0:
            case frames.BROWSER_INPUT:
                if viewer.role != "observer":
                    terminal.write(viewer, *frames.read_browser_input(data))
            case frames.BROWSER_ACK:
                return terminal.ack(viewer, frames.read_browser_ack(data)) >= ACK_STEP
            case frames.BROWSER_PING:
                if len(data) != 5:
                    raise BadFrame(f"ping frame of {len(data)} bytes")
                viewer.reply(frames.pong(data[1:]))
                viewer.flush()
            case frames.BROWSER_RESIZE:
                terminal.resize(viewer, frames.read_browser_resize(data))
            case _:
                raise BadFrame("unknown frame type")
        return False

    def _owed(self) -> float:
        """Counts a frame; the seconds to wait for being too quick."""
        now = time.monotonic()
        self._allowance = min(self._allowance + (now - self._filled) * FRAMES_PER_S, FRAMES_PER_S) - 1
        self._filled = now
        return max(0.0, -self._allowance / FRAMES_PER_S)

    async def _wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._terminal.path.drain()
        self._pause = None
        self._browser.release()

    # -- terminal → browser ------------------------------------------------------------------------------------------

    async def write(self) -> None:
        """What couldn't be sent at once, as fast as the browser takes it; then the close."""
        try:
            await self._write()
        except GONE:
            # The reader waits on the same connection: it must hear of this.
            self._browser.abort()
            raise

    async def _write(self) -> None:
        viewer = self._viewer
        while True:
            messages = await viewer.next()
            await self._browser.send(messages)
            if not messages and viewer.closing is not None:
                await close(self._browser, viewer.closing)
                return
            if not messages and viewer.behind:
                await self._terminal.reset(viewer)
