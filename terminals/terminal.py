"""Terminal: the live object of one pty on the instance that owns it: one source, one scrollback, many sinks."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from terminals import frames
from terminals.errors import Conflict, Cut, Lost, Refused, Taken, TerminalsError, Unavailable
from terminals.exec import Attach, Exec
from terminals.flow import Flow
from terminals.frames import BadFrame, Exit, Status
from terminals.scrollback import Scrollback
from terminals.store.terminals import Claim
from terminals.viewer import TAIL, Viewer

log = structlog.get_logger(__name__)

READY_TIMEOUT_S = 30
"""A viewer waits so long for the path to the container before it is told to try again."""
ANSWER_TIMEOUT_S = 5
SILENCE_S = 10
"""The holder answers every ping; nothing heard for so long means that the path is dead without saying so."""
YIELD_BYTES = 65_536
"""Of output at most between two turns of the loop: one terminal's flood must not delay another's echo."""
BACKOFF_S = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
STABLE_S = 5
"""A path that held for so long wasn't made in vain: the next try doesn't wait."""
MOST_VIEWERS = 16

Opener = Callable[[Attach, bytes], Awaitable[Exec]]


class Terminal:
    """Its `run` is a task of the hub's; viewers come by `attach` and go by `detach`."""

    def __init__(self, claim: Claim, open_exec: Opener, size: tuple[int, int]) -> None:
        self.claim = claim
        self.birth = claim.birth
        self.size = size
        self.viewers: list[Viewer] = []
        self._waiting: list[Viewer] = []
        """Those that wait for the path: they hear of its progress and get no output yet."""
        self.driver: Viewer | None = None
        self.exit: Exit | None = None
        self.over: TerminalsError | None = None
        """Why no exec will be opened any more: taken, lost, ended, closed."""
        self.status: Status | None = None
        self.alone_since = time.monotonic()
        self.output_bytes = 0
        self.attaches = 0
        self._open_exec = open_exec
        self._exec: Exec | None = None
        self._scrollback = Scrollback(0)
        self._flow = Flow(0, time.monotonic())
        self._ready = asyncio.Event()
        self._ended = asyncio.Event()
        self._caught_up_at = 0
        self._heard_at = 0.0
        self._nonce = 0
        self._answers: dict[int, asyncio.Future[int]] = {}
        """Writer → who waits to hear its last seq."""

    # -- viewers -----------------------------------------------------------------------------------------------------

    async def attach(self, viewer: Viewer, birth: bytes | None, offset: int, ticket: str) -> None:
        """Size, then replay since `offset` or reset and tail, then join the sinks, with no await from replay to join.

        Raises:
            Cut: no path to the container in time.
            Conflict: too many viewers.
            Taken, Lost, Ended …: what `over` says.
        """
        if len(self.viewers) >= MOST_VIEWERS:
            raise Conflict(f"{MOST_VIEWERS} pages have this terminal open: close one", code="too_many")
        await self._until_ready(viewer)
        last_seq = 0
        if viewer.role == "driver":
            last_seq = await self._last_seq(viewer.writer)
            await self._resize(viewer.size)
            self._make_driver(viewer)
        self._welcome(viewer, last_seq, ticket)
        self._replay(viewer, birth, offset)
        self.viewers.append(viewer)

    @property
    def attached(self) -> bool:
        """There is a path to the holder."""
        return self._exec is not None

    @property
    def lonely(self) -> bool:
        """Nobody looks at it or waits for it."""
        return not self.viewers and not self._waiting

    def detach(self, viewer: Viewer) -> None:
        """The socket is gone."""
        if viewer in self.viewers:
            self.viewers.remove(viewer)
        if viewer is self.driver:
            self.driver = None
            self._flow.leave(time.monotonic())
        if not self.viewers:
            self.alone_since = time.monotonic()

    async def take(self, viewer: Viewer) -> None:
        """Continue here: the viewer becomes the driver."""
        if viewer is self.driver or viewer not in self.viewers:
            return
        last_seq = await self._last_seq(viewer.writer)
        await self._resize(viewer.size)
        if viewer in self.viewers:
            viewer.role = "driver"
            self._make_driver(viewer)
            self._welcome(viewer, last_seq, None)

    def reset(self, viewer: Viewer) -> None:
        """The viewer was behind and has drained: it begins again from the tail."""
        viewer.behind = False
        self._replay(viewer, None, 0)

    async def write(self, viewer: Viewer, seq: int, data: bytes) -> None:
        """Input of the driver. With the path cut it is dropped: the page keeps it until K and sends it again."""
        if viewer is self.driver and self._exec is not None and self._ready.is_set():
            await self._send(frames.holder_input(viewer.writer, seq, data))

    async def ack(self, viewer: Viewer, offset: int) -> None:
        """The driver has rendered up to `offset`."""
        if viewer is not self.driver:
            return
        self._flow.ack(offset, self._scrollback.end, time.monotonic())
        await self._release()

    async def resize(self, viewer: Viewer, size: tuple[int, int]) -> None:
        """The page's size; the pty's too when it drives."""
        viewer.size = size
        if viewer is self.driver:
            await self._resize(size)

    async def hang_up(self) -> None:
        """Ends the shell and what runs in it."""
        with suppress(Cut, TimeoutError):
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await self._ready.wait()
                await self._send(frames.frame(frames.HANGUP))
                await self._ended.wait()

    def close(self, reason: TerminalsError) -> None:
        """Sends everybody away with `reason`; the caller ends `run`."""
        if self.over is None:
            self.over = reason
        self._ready.set()
        self._ended.set()
        for viewer in self.viewers:
            viewer.close(reason)

    # -- the source --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Attaches and pumps, and attaches again when the path is cut, until the shell or the ownership is over."""
        failures = 0
        while self.over is None and self.exit is None:
            await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
            failures += 1
            try:
                opened = await self._open()
            except (Cut, Unavailable, Refused) as error:
                log.warning("attach_failed", terminal=self.claim.terminal, reason=error.message)
                self._tell({"type": "progress", "step": error.message})
                if isinstance(error, Refused) and failures >= len(BACKOFF_S):
                    self.close(error)
                continue
            except TerminalsError as error:
                self._finish(error)
                return
            began = time.monotonic()
            try:
                await self._pump(opened)
            except TerminalsError as error:
                self._cut(error)
            finally:
                self._exec = None
                await opened.close()
            if time.monotonic() - began > STABLE_S:
                failures = 0

    async def tick(self) -> None:
        """Every 2 s: keeps the ownership, lets go what nobody renders, and notices a path that died silently."""
        now = time.monotonic()
        opened = self._exec
        if opened is None:
            return
        if now - self._heard_at > SILENCE_S:
            log.warning("holder_silent", terminal=self.claim.terminal)
            await opened.close()
            return
        self._flow.tick(self._scrollback.end, now)
        self._nonce = (self._nonce + 1) & 0xFFFFFFFF
        with suppress(Cut):
            await opened.send(frames.ping(self._nonce))
            await self._release(least=1)

    async def _open(self) -> Exec:
        again = self.attaches > 0
        writer = self.driver.writer if self.driver else 0
        offset = self._scrollback.end if again else frames.FROM_BASE
        attach = Attach(
            self.claim.epoch,
            self.birth or bytes(16),
            offset,
            self.size,
            frames.WINDOW_MAX if not again else self._flow.window,
        )
        opened = await self._open_exec(attach, frames.ask_writer(writer) if writer else b"")
        hello, now = opened.hello, time.monotonic()
        self.birth, self._heard_at, self._exec = hello.birth, now, opened
        if not again:
            self._scrollback = Scrollback(hello.start)
            self._flow = Flow(hello.acked, now)
            self.size = (hello.cols, hello.rows)
            # Replays must find what the ring has, or a page's offset would lie beyond our end.
            self._caught_up_at = min(hello.head, max(hello.acked, hello.start) + frames.WINDOW_MAX)
        self.attaches += 1
        log.info(
            "terminal_attached",
            terminal=self.claim.terminal,
            epoch=self.claim.epoch,
            offset=hello.start,
            head=hello.head,
        )
        self._become_ready()
        return opened

    async def _pump(self, opened: Exec) -> None:
        """Hands on what the holder sends until the path is cut."""
        if self.attaches > 1:
            self._rejoin()
        unyielded = 0
        while True:
            for body in await opened.read():
                if body[0] == frames.OUTPUT:
                    self._output(body)
                    unyielded += len(body)
                else:
                    self._control(opened, body)
            self._heard_at = time.monotonic()
            self._become_ready()
            if self.exit is not None:
                return
            if self._flow.coasting:
                await self._release()
            if unyielded >= YIELD_BYTES:
                unyielded = 0
                await asyncio.sleep(0)

    def _output(self, body: bytes) -> None:
        scrollback = self._scrollback
        size = len(body) - frames.OUTPUT_HEAD
        if size <= 0 or frames.offset_of(body) != scrollback.end or self._flow.excess(scrollback.end + size):
            raise Cut("the holder sent output that can't be its own")
        scrollback.append(body)
        self.output_bytes += size
        self._flow.produced(self._heard_at)
        for viewer in self.viewers:
            viewer.offer(body)

    def _control(self, opened: Exec, body: bytes) -> None:
        match body[0]:
            case frames.TAKEN:
                self._taken(*frames.read_pair(body))
            case frames.NAK:
                self._nak(*frames.read_nak(body))
            case frames.GAP:
                start, stop = frames.read_pair(body)
                if start != self._scrollback.end or stop <= start:
                    raise Cut("the holder sent a gap that can't be")
                self._lose(start, stop)
            case frames.STATUS:
                self._show(body)
            case frames.EXIT:
                self.exit = frames.read_exit(body)
                self._ended.set()
                log.info("shell_exited", terminal=self.claim.terminal, code=self.exit.code)
                self._tell(self._exit_message(self.exit))
            case frames.ERROR:
                raise opened.refusal(body)
            case _:
                pass  # pongs: that something came is all they say

    def _taken(self, writer: int, seq: int) -> None:
        answer = self._answers.pop(writer, None)
        if answer is not None and not answer.done():
            answer.set_result(seq)
        elif self.driver is not None and self.driver.writer == writer:
            self.driver.reply(frames.taken(seq))

    def _nak(self, writer: int, expected: int, reason: int) -> None:
        if self.driver is not None and self.driver.writer == writer:
            why = {1: "order", 2: "unknown", 3: "full"}.get(reason, "order")
            self.driver.tell({"type": "nak", "expected": expected, "reason": why})

    def _show(self, body: bytes) -> None:
        try:
            status = frames.read_status(body)
        except BadFrame as error:
            raise Cut(f"the holder broke the protocol ({error})") from error
        before, self.status = self.status, status
        if before is None or _status_message(before) != _status_message(status):
            self._tell(_status_message(status))

    def _lose(self, start: int, stop: int) -> None:
        self._scrollback.skip(stop)
        self._flow.released = max(self._flow.released, stop)
        self._flow.rendered = max(self._flow.rendered, stop)
        for viewer in self.viewers:
            viewer.offer(frames.gap(start, stop))

    # -- how viewers learn what happens ------------------------------------------------------------------------------

    def _welcome(self, viewer: Viewer, last_seq: int, ticket: str | None) -> None:
        message: dict[str, object] = {
            "type": "attached",
            "birth": (self.birth or b"").hex(),
            "live": self._flow.rendered,
            "last_seq": last_seq,
            "role": viewer.role,
            "cols": self.size[0],
            "rows": self.size[1],
        }
        if ticket is not None:
            message["ticket"] = ticket
        viewer.tell(message)
        if self.status is not None:
            viewer.tell(_status_message(self.status))

    def _replay(self, viewer: Viewer, birth: bytes | None, offset: int) -> None:
        scrollback = self._scrollback
        if birth == self.birth and scrollback.base <= offset <= scrollback.end and scrollback.end - offset <= TAIL:
            for body in scrollback.since(offset):
                viewer.offer(body)
            if viewer is self.driver:
                self._flow.ack(offset, scrollback.end, time.monotonic())
        else:
            start, tail = scrollback.tail(TAIL)
            if start > 0 and self.status is not None:
                # A tail that begins in the middle doesn't hold the sequences that set the terminal's modes.
                tail = b"".join(b"\x1b[?%dh" % mode for mode in self.status.modes) + tail
            viewer.offer(frames.snapshot(scrollback.end, self._flow.rendered, self.size, tail))
        if self.exit is not None:
            viewer.tell(self._exit_message(self.exit))

    def _rejoin(self) -> None:
        """After the path was cut: observers go on, the driver learns which keys arrived."""
        for viewer in self.viewers:
            if viewer is not self.driver:
                self._welcome(viewer, 0, None)
        driver = self.driver
        if driver is None:
            return
        answer = self._expect(driver.writer)

        def welcome(done: asyncio.Future[int]) -> None:
            if not done.cancelled() and driver is self.driver:
                self._welcome(driver, done.result(), None)

        answer.add_done_callback(welcome)

    def _make_driver(self, viewer: Viewer) -> None:
        former = self.driver
        self.driver = viewer
        self._flow.begin(time.monotonic())
        if former is None or former is viewer:
            return
        if former.writer == viewer.writer:
            # The same page on a new socket: the old one is dead and doesn't know it yet.
            former.close(Taken("this page is connected anew", epoch=self.claim.epoch))
            return
        former.role = "observer"
        former.tell({"type": "role", "role": "observer", "reason": "elsewhere"})
        former.tell({"type": "size", "cols": self.size[0], "rows": self.size[1]})
        log.info("driver_changed", terminal=self.claim.terminal)

    def _cut(self, error: TerminalsError) -> None:
        self._exec = None
        self._ready.clear()
        for answer in self._answers.values():
            answer.cancel()
        self._answers.clear()
        if isinstance(error, Cut):
            log.warning("exec_cut", terminal=self.claim.terminal, reason=error.message)
            self._tell(
                {
                    "type": "detached",
                    "message": "The path to your container is being made again; your programs keep running.",
                }
            )
        else:
            self._finish(error)

    def _finish(self, error: TerminalsError) -> None:
        log.info("terminal_over", terminal=self.claim.terminal, code=error.code)
        if isinstance(error, Lost):
            self._tell({"type": "lost", "message": error.message})
            self.over = error
            self._ready.set()
        else:
            self.close(error)

    def _tell(self, message: dict[str, object]) -> None:
        for viewer in self.viewers + self._waiting:
            viewer.tell(message)

    def _exit_message(self, ended: Exit) -> dict[str, object]:
        return {"type": "exit", "code": ended.code, "offset": ended.offset}

    # -- small steps -------------------------------------------------------------------------------------------------

    def _become_ready(self) -> None:
        if self._exec is not None and (self._scrollback.end >= self._caught_up_at or self.exit is not None):
            self._ready.set()

    async def _until_ready(self, viewer: Viewer) -> None:
        if not self._ready.is_set():
            self._waiting.append(viewer)
            try:
                async with asyncio.timeout(READY_TIMEOUT_S):
                    await self._ready.wait()
            except TimeoutError as error:
                raise Cut("Your container can't be reached. Your programs keep running; trying again") from error
            finally:
                self._waiting.remove(viewer)
        if self.over is not None:
            raise self.over

    async def _last_seq(self, writer: int) -> int:
        """The last seq that the holder took of `writer`; 0 once the shell has exited."""
        if self.exit is not None or self._exec is None:
            return 0
        answer = self._expect(writer)
        await self._send(frames.ask_writer(writer))
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await asyncio.shield(answer)
        except (TimeoutError, asyncio.CancelledError) as error:
            if answer.cancelled() or isinstance(error, TimeoutError):
                raise Cut("the holder doesn't answer") from error
            raise

    def _expect(self, writer: int) -> asyncio.Future[int]:
        answer = self._answers.get(writer)
        if answer is None:
            answer = self._answers[writer] = asyncio.get_running_loop().create_future()
        return answer

    async def _resize(self, size: tuple[int, int]) -> None:
        if size == self.size:
            return
        self.size = size
        await self._send(frames.resize(*size))
        for viewer in self.viewers:
            if viewer is not self.driver:
                viewer.tell({"type": "size", "cols": size[0], "rows": size[1]})

    async def _release(self, least: int | None = None) -> None:
        due = (
            self._flow.due(self._scrollback.end) if least is None else self._flow.due(self._scrollback.end, least=least)
        )
        if due is not None:
            await self._send(frames.ack(*due))

    async def _send(self, data: bytes) -> None:
        """Sends if there is a path; when it breaks, the pump sees it too and makes it anew."""
        opened = self._exec
        if opened is not None:
            with suppress(Cut):
                await opened.send(data)


def _status_message(status: Status) -> dict[str, object]:
    return {
        "type": "status",
        "shell": status.shell,
        "command": status.command,
        "alternate": status.alternate,
        "bracketed_paste": status.bracketed_paste,
        "echo": status.echo,
        "others": status.others,
    }
