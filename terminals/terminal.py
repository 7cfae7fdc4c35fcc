"""Terminal: the live object of one pty on the instance that owns it: one source, one scrollback, many sinks."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from terminals.errors import Cut, Lost, Refused, TerminalsError, Unavailable
from terminals.fleet.presence import Facts
from terminals.fleet.relay import Relay
from terminals.link import frames, messages
from terminals.link.exec import Attach, refusal
from terminals.link.flow import STEP, Flow
from terminals.link.frames import BadFrame, Exit, Hello, Status
from terminals.link.valve import Valve
from terminals.path import Path, Source
from terminals.screens.history import History
from terminals.screens.screen import Screens
from terminals.screens.screening import Picture
from terminals.store.terminals import Claim
from terminals.viewers.answers import TIMEOUT_S, Answers
from terminals.viewers.audience import Audience
from terminals.viewers.sinks import Sinks
from terminals.viewers.viewer import Viewer

log = structlog.get_logger(__name__)

READY_TIMEOUT_S = 30
"""A viewer waits so long for the path to the container before it is told to try again."""
CONTROLS = 2_000
"""Control frames between two ticks (2 s): an honest holder sends fewer than its owner's frames, and those are limited."""
STATUS_S = 0.5
FULL_SCREEN = b"\x1b[?1049h"
"""How programs that fill the screen begin."""

Opener = Callable[[Attach, bytes], Awaitable[Source]]


@dataclass(frozen=True, slots=True)
class Legacy:
    """What a mirrored terminal leaves to an owned one: the holder's ring may have less, and says more slowly what runs."""

    picture: Picture | None
    status: Status | None
    status_body: bytes


class Terminal:
    """The hub runs its `path`; viewers come by `attach` and go by `detach`."""

    def __init__(
        self,
        claim: Claim,
        open_exec: Opener,
        size: tuple[int, int],
        screens: Screens | None = None,
        legacy: Legacy | None = None,
    ) -> None:
        self.claim = claim
        self.birth = claim.birth
        self.size = size
        self.sinks = Sinks()
        self.exit: Exit | None = None
        self._exit_body = b""
        self.over: TerminalsError | None = None
        """Why no exec will be opened any more: taken, lost, ended, closed."""
        self.attaches = 0
        self.path = Path(claim.terminal, self)
        self._open_exec = open_exec
        self._was_mirrored = False
        """When it was attached last."""
        self._scrollback = History(screens, claim.terminal, legacy.picture if legacy else None)
        self._valve = Valve(0, time.monotonic())
        self._flow = Flow(0, time.monotonic(), self._valve)
        self._status, self._status_body = (legacy.status, legacy.status_body) if legacy else (None, b"")
        self._status_told = 0.0
        self._ready = asyncio.Event()
        self._ended = asyncio.Event()
        self._caught_up_at = 0
        self._base = 0
        """Where the holder's ring began when we attached."""
        self._head = 0
        """What the pty had printed when we attached: what comes of it is old."""
        self._controls = 0
        self._typed_at = self._printed_at = 0.0
        """By the monotonic clock; 0: never."""
        self._answers = Answers(lambda writer: self.path.post(frames.ask_writer(writer)), self.path.abort)
        self.audience = Audience(claim.user, self.sinks, self._answers.of)
        self.prompted: Callable[[float], None] = lambda _: None
        """Is told, once, how many seconds it took until there was something to show."""
        self._asked_at: float | None = time.monotonic()
        self._rejoining: asyncio.Task[None] | None = None
        self._valve_timer: asyncio.TimerHandle | None = None

    @property
    def attached(self) -> bool:
        """There is a path to the holder."""
        return self.path.source is not None

    @property
    def done(self) -> bool:
        """The shell or the ownership is over."""
        return self.over is not None or self.exit is not None

    def facts(self, monotonic: float, unix: float) -> Facts:
        """What it does right now, as the clocks stand: for people who may know that, without what is on it."""
        status = self._status
        # Rounded: two clocks read one after the other never give the same twice.
        typed, printed = (round(unix - (monotonic - at)) if at else None for at in (self._typed_at, self._printed_at))
        command, shell = (status.command, status.shell) if status else (None, True)
        return Facts(command, shell, len(self.audience.own), typed, printed)

    @property
    def used(self) -> bool:
        """A page of the student's is here, somebody else types, or a program that they began is in the foreground."""
        program = self.attached and self._status is not None and not self._status.shell
        return bool(self.audience.own) or program or any(person.types for person in self.audience.people())

    @property
    def mirrored(self) -> bool:
        """Another instance owns it; here it is only watched."""
        return self.path.mirrored

    # -- viewers -----------------------------------------------------------------------------------------------------

    async def attach(self, viewer: Viewer, birth: bytes | None, offset: int, ticket: str) -> None:
        """Size, then replay since `offset` or reset and tail, then join, with no await from replay to join.

        Raises:
            Cut: no path to the container in time.
            Conflict: too many viewers.
            Taken, Lost, Ended …: what `over` says.
        """
        with self.sinks.arriving(viewer):
            last_seq = await self._prepare(viewer, drives=viewer.role == "driver")
            picture = await self._picture(viewer, birth, offset)
            if self.over is not None:
                raise self.over
            if viewer.role == "driver":
                self._drive(viewer)
            else:
                self._coast()
            self._welcome(viewer, last_seq, ticket)
            self._replay(viewer, birth, offset, picture)
            self.sinks.join(viewer)
            viewer.flush()
        self.tell_watchers()

    def detach(self, viewer: Viewer) -> None:
        """The socket is gone."""
        if self.sinks.leave(viewer):
            self._flow.leave(time.monotonic())
        self.tell_watchers()

    async def take(self, viewer: Viewer) -> None:
        """Continue here: the viewer, if it is the student's, becomes the driver."""
        if viewer is self.sinks.driver or viewer not in self.sinks.viewers or viewer.user != self.claim.user:
            return
        if self.mirrored:
            viewer.close(Unavailable("Another server drives this terminal: attach as its driver", code="released"))
            return
        last_seq = await self._prepare(viewer, drives=True)
        if viewer in self.sinks.viewers:
            self._drive(viewer)
            self._welcome(viewer, last_seq, None)

    async def reset(self, viewer: Viewer) -> None:
        """The viewer was behind and has drained: it begins again from what stands."""
        picture = await self._picture(viewer, None, 0)
        viewer.behind = False
        self._replay(viewer, None, 0, picture)
        viewer.flush()

    def write(self, viewer: Viewer, seq: int, data: bytes) -> None:
        """Input of the driver or an assistant. With the path cut it is dropped: the page keeps it until K and sends it again."""
        if not self._ready.is_set():
            return
        if viewer is self.sinks.driver:
            self._typed_at = time.monotonic()
            self.path.post(frames.holder_input(viewer.writer, seq, data))
        elif viewer.role == "assistant":
            self.assist(viewer.writer, seq, data)

    def assist(self, writer: int, seq: int, data: bytes) -> None:
        """Input of somebody else, if they were let in; on a mirror the owner decides that."""
        if self.mirrored or self.audience.may_type(writer, seq, len(data)):
            self.path.post(frames.holder_input(writer, seq, data))

    def ack(self, viewer: Viewer, offset: int) -> int:
        """The driver has rendered up to `offset`: so many bytes more."""
        if viewer is not self.sinks.driver:
            return 0
        before = self._flow.rendered
        self._flow.ack(offset, self._scrollback.end, time.monotonic())
        self._release()
        return self._flow.rendered - before

    def resize(self, viewer: Viewer, size: tuple[int, int]) -> None:
        """The page's size; the pty's too when it drives."""
        viewer.size = size
        if viewer is self.sinks.driver:
            self._resize(size)

    def tell_watchers(self) -> None:
        """Who watches, or wants to type, has changed, perhaps."""
        if not self.mirrored:
            self.audience.review()
        elif self.audience.moved():
            self.path.post(frames.ping(0))  # the owner tells the student

    def add_relay(self, relay: Relay) -> None:
        """Another instance watches. With watchers only, nothing is held back."""
        self.sinks.relay = relay
        self._coast()

    async def begin_relay(self) -> None:
        """What stands now, as a holder would tell it to an owner."""
        picture = await self._scrollback.picture(self.size, self._status)
        relay, scrollback = self.sinks.relay, self._scrollback
        if relay is None or self.birth is None or not self.attaches:
            return
        start, bodies = scrollback.handed_on(picture)
        hello = Hello(
            version=frames.VERSION,
            exited=self.exit is not None,
            epoch=self.claim.epoch,
            birth=self.birth,
            base=start,
            acked=max(start, self._flow.rendered),
            head=scrollback.end,
            cols=self.size[0],
            rows=self.size[1],
            start=start,
        )
        relay.begin([hello.body(), *bodies, *filter(None, (self._status_body, self._exit_body))])

    async def leave(self) -> Legacy:
        """What it knows, for the one that takes its place here."""
        return Legacy(await self._scrollback.seed(self.size, self._status), self._status, self._status_body)

    async def hang_up(self) -> bool:
        """Ends the shell and what runs in it. Whether it is known to be over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(TIMEOUT_S):
                await self._ready.wait()
                # The exit comes after the last byte of output, which a page that doesn't read would hold up.
                self._flow.ending = True
                self._release(least=1)
                self.path.post(frames.frame(frames.HANGUP))
                await self._ended.wait()
        return self.exit is not None or isinstance(self.over, Lost)

    def look_again(self) -> None:
        """Whoever owned this terminal doesn't any more."""
        if self.mirrored:
            self.path.abort(Cut("its owner has let it go"))

    def close(self, reason: TerminalsError) -> None:
        """Sends everybody away with `reason`; the caller ends the path's `run`."""
        self._finish(reason)
        self._scrollback.close()
        self.sinks.close(reason)

    # -- the source --------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Every 2 s: keeps the ownership, lets go what nobody renders, and notices a path that died silently."""
        now = time.monotonic()
        if not self.path.alive(now):
            return
        self._controls = 0
        self._tell_status(now)
        self.tell_watchers()
        if self.audience.others or self.sinks.relay is not None or (self._status and self._status.alternate):
            self._scrollback.want(self.size, self._status)
        self._scrollback.tick(now)
        if self.sinks.relay is not None:
            self.sinks.relay.beat()
        self._flow.tick(self._scrollback.end, now)
        self.path.ping()
        self._release(least=1)

    async def reach(self) -> Source:
        """Where it left off."""
        again = self.attaches > 0
        flow, offset = self._flow, self._scrollback.end if again else frames.FROM_BASE
        window = flow.granted if again else frames.WINDOW_MAX
        attach = Attach(self.claim.epoch, self.birth or bytes(16), offset, self.size, window)
        # What was acked while the path was dead never reached the holder.
        return await self._open_exec(attach, frames.ack(flow.released, window) if again else b"")

    def reached(self, source: Source) -> None:
        """What its hello says; those who were cut off go on."""
        hello, mirrored = source.hello, self.mirrored
        if not self.attaches:
            self.birth = hello.birth
            self._scrollback.skip(hello.start)
            self._flow = Flow(hello.acked, self.path.heard_at, self._valve)
            if not self.size[0]:
                self.size = (hello.cols, hello.rows)
            # Replays must find what the ring has, or a page's offset would lie beyond our end.
            self._caught_up_at = min(hello.head, max(hello.acked, hello.start) + frames.WINDOW_MAX)
        elif self._was_mirrored and not mirrored:
            self._flow.skip(hello.acked)  # what the student has rendered through the owner before us
        # Whoever only watches has no say in how fast it goes.
        self._valve.rate = 0 if mirrored else self.claim.output
        self.attaches += 1
        self._was_mirrored = mirrored
        self._base, self._head, self._controls = hello.base, hello.head, 0
        log.info(
            "terminal_attached",
            terminal=self.claim.terminal,
            epoch=self.claim.epoch,
            offset=hello.start,
            head=hello.head,
            by_door=source.by_door,
        )
        self._become_ready()
        self.sinks.flush()  # a relay that waited for this begins
        if self.attaches > 1:
            self._rejoining = asyncio.create_task(self._rejoin(), name="terminal-rejoin")

    def hear(self, bodies: list[bytes]) -> None:
        """No task wakes on the way to the browser."""
        heard_at = self.path.heard_at = time.monotonic()
        try:
            for body in bodies:
                if self.exit is not None:
                    break  # nothing can come behind an exit
                if body[0] == frames.OUTPUT:
                    self._output(body)
                else:
                    self._control(body)
        finally:
            self.sinks.flush()
        if self._asked_at is not None and self._scrollback.end:
            self.prompted(heard_at - self._asked_at)
            self._asked_at = None
        if self._flow.coasting or self._flow.ending:
            self._release()
        if not self._ready.is_set():
            self._become_ready()

    def _output(self, body: bytes) -> None:
        scrollback = self._scrollback
        size = len(body) - frames.OUTPUT_HEAD
        if size <= 0 or frames.offset_of(body) != scrollback.end or self._flow.excess(scrollback.end + size):
            raise Cut("the holder sent output that can't be its own")
        scrollback.append(body)
        if FULL_SCREEN in body:
            # The holder says so within a second: by then it may have been drawn and its bytes gone.
            scrollback.want(self.size, self._status)
        self._flow.produced(self.path.heard_at)
        if scrollback.end > self._head:
            self._printed_at = self.path.heard_at
        self.sinks.offer(body)

    def _control(self, body: bytes) -> None:
        self._controls += 1
        if self._controls > CONTROLS:
            raise Cut("the holder floods")
        match body[0]:
            case frames.TAKEN:
                self._taken(body)
            case frames.NAK:
                writer, expected, reason = frames.read_nak(body)
                viewer = self.sinks.typist(writer)
                if viewer is not None:
                    viewer.tell(messages.nak(expected, reason))
                else:
                    self.sinks.pass_on(body)
            case frames.GAP:
                self._gap(*frames.read_pair(body))
            case frames.STATUS:
                self._show(body)
                self.sinks.pass_on(body)
            case frames.EXIT:
                self._exited(frames.read_exit(body))
                self._exit_body = body
                self.sinks.pass_on(body)
            case frames.ERROR:
                raise refusal(body)
            case kind if kind == frames.PICTURE[0] and self.mirrored:
                self._show_picture(body)
            case _:
                pass  # pongs, and what a newer holder may say: that something came is all that we hear

    def _taken(self, body: bytes) -> None:
        writer, seq = frames.read_pair(body)
        if self._answers.take(writer, seq):
            return
        viewer = self.sinks.typist(writer)
        if viewer is not None:
            viewer.reply(frames.taken(seq))
        else:
            self.sinks.pass_on(body)  # of somebody who types on another instance

    def _show(self, body: bytes) -> None:
        try:
            self._status = frames.read_status(body)
        except BadFrame as error:
            raise Cut(f"the holder broke the protocol ({error})") from error
        self._status_body = body
        if self._status.alternate:
            self._scrollback.want(self.size, self._status)
        self._tell_status(time.monotonic())

    def _tell_status(self, now: float) -> None:
        """On change, at most twice a second; what falls between is told at the next tick."""
        status = self._status
        if status is None or now - self._status_told < STATUS_S:
            return
        self._status_told = now
        for viewer in self.sinks.viewers:
            viewer.show(messages.status(status))

    def _gap(self, start: int, stop: int) -> None:
        # Only right behind a hello, up to its base: at any other time a gap would be a way around the window.
        if start != self._scrollback.end or not start < stop == self._base:
            raise Cut("the holder sent a gap that can't be")
        self._scrollback.skip(stop)
        self._flow.skip(stop)
        self.sinks.offer(frames.gap(start, stop))

    # -- how it ends, and how a cut is mended ------------------------------------------------------------------------

    def tell_progress(self, step: str) -> None:
        """To all who wait for the path, or look at what stood before it broke."""
        self.sinks.tell_everybody(messages.progress(step))

    def failed(self, error: TerminalsError, *, last: bool) -> None:
        """Those who wait are told; what is refused to the last is over."""
        log.warning("attach_failed", terminal=self.claim.terminal, code=error.code, reason=error.message)
        if isinstance(error, Refused) and last:
            self.close(error)
            return
        step = "The lab host can't do it just now; trying again" if isinstance(error, Refused) else error.message
        self.tell_progress(step)

    def cut(self, error: Cut) -> None:
        """Those who look on are told."""
        log.warning("exec_cut", terminal=self.claim.terminal, reason=error.message)
        self._ready.clear()
        self._answers.fail()
        self.sinks.tell(messages.detached())

    def _exited(self, ended: Exit) -> None:
        self.exit = ended
        self._answers.fail()
        self._ended.set()
        self.path.finish()
        log.info("shell_exited", terminal=self.claim.terminal, status=ended.code)
        self.sinks.tell(messages.exit_(ended))

    def lose(self, error: Lost) -> None:
        """The shell is gone, and with it this terminal."""
        log.info("shell_lost", terminal=self.claim.terminal)
        self.sinks.tell_everybody(messages.lost(error.message))
        self._finish(error)

    def _finish(self, reason: TerminalsError) -> None:
        if self.over is None:
            self.over = reason
            log.info("terminal_over", terminal=self.claim.terminal, code=reason.code)
        self._answers.fail()
        self.left()
        if self._valve_timer is not None:
            self._valve_timer.cancel()
            self._valve_timer = None
        self._ready.set()
        self._ended.set()

    async def _rejoin(self) -> None:
        """After a cut: observers go on, the driver learns which of its keys arrived."""
        for viewer in self.sinks.viewers:
            if viewer is not self.sinks.driver:
                self._welcome(viewer, 0, None)
        driver = self.sinks.driver
        if driver is not None:
            with suppress(Cut):
                last_seq = await self._answers.of(driver.writer)
                # Another page may drive by now: this one was told `detached`, too, and must hear that it is over.
                if driver in self.sinks.viewers:
                    self._welcome(driver, last_seq, None)

    def left(self) -> None:
        """Nobody can rejoin on it any more."""
        if self._rejoining is not None:
            self._rejoining.cancel()
            self._rejoining = None

    # -- small steps -------------------------------------------------------------------------------------------------

    async def _prepare(self, viewer: Viewer, *, drives: bool) -> int:
        """Waits for the path; for a driver also for its last seq and the size, all on one and the same path."""
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                while True:
                    await self._ready.wait()
                    if self.over is not None:
                        raise self.over
                    path = self.path.source
                    if not drives or path is None or self.exit is not None:
                        return 0
                    with suppress(Cut):
                        last_seq = await self._answers.of(viewer.writer)
                        self._resize(viewer.size)
                        if self.path.source is path:
                            return last_seq
        except TimeoutError as error:
            raise Cut("Your container can't be reached. Your programs keep running; trying again") from error

    def _drive(self, viewer: Viewer) -> None:
        self.sinks.drive(viewer, self.size, self.claim.epoch)
        self._flow.begin(time.monotonic())

    def _welcome(self, viewer: Viewer, last_seq: int, ticket: str | None) -> None:
        message = messages.attached(self.birth, self._flow.rendered, last_seq, viewer.role, self.size)
        if ticket is not None:
            message["ticket"] = ticket
        viewer.tell(message)
        if self._status is not None:
            viewer.show(messages.status(self._status))
        self.audience.welcome(viewer)

    def _coast(self) -> None:
        if self.sinks.driver is None and not self._flow.driven:
            self._flow.coasting = True

    async def _picture(self, viewer: Viewer, birth: bytes | None, offset: int) -> Picture | None:
        """What stands, for who can't go on from `offset`; for the student's own pages only of a full screen."""
        if birth == self.birth and self._scrollback.serves(offset):
            return None
        if viewer.user == self.claim.user and not (self._status and self._status.alternate):
            return None
        return await self._scrollback.picture(self.size, self._status)

    def _show_picture(self, body: bytes) -> None:
        """The owner's, of what stands where our output begins: who looks on from before it begins anew."""
        if self._scrollback.take(body):
            self._scrollback.want(self.size, self._status)
            for viewer in self.sinks.viewers:
                viewer.fall_behind()

    def _replay(self, viewer: Viewer, birth: bytes | None, offset: int, picture: Picture | None) -> None:
        scrollback, drives = self._scrollback, viewer is self.sinks.driver
        if birth == self.birth and scrollback.serves(offset):
            for body in scrollback.since(offset):
                viewer.offer(body)
            if drives:
                self._flow.ack(offset, scrollback.end, time.monotonic())
        else:
            live = self._flow.rendered
            if drives and picture is not None and picture.offset > live:
                picture = None  # it has swallowed queries that nobody has answered
            for message in scrollback.beginning(picture, live, self.size, self._status):
                viewer.offer(message)
        if self.exit is not None:
            viewer.tell(messages.exit_(self.exit))

    def _become_ready(self) -> None:
        if self.attached and (self._scrollback.end >= self._caught_up_at or self.exit is not None):
            self._ready.set()

    def follow(self, size: tuple[int, int]) -> None:
        """The driver, on another instance, has this size now."""
        self.size = size
        self._scrollback.resize(size)
        for viewer in self.sinks.viewers:
            viewer.tell(messages.size(*size))

    def _resize(self, size: tuple[int, int]) -> None:
        if size == self.size:
            return
        self.size = size
        self._scrollback.resize(size)
        resize = frames.resize(*size)
        self.path.post(resize)
        self.sinks.pass_on(resize[3:])
        for viewer in self.sinks.viewers:
            if viewer is not self.sinks.driver:
                viewer.tell(messages.size(*size))

    def _release(self, least: int = STEP) -> None:
        flow = self._flow
        due = flow.due(self._scrollback.end, time.monotonic(), least=least)
        if due is not None:
            self.path.post(frames.ack(*due))
        if flow.held and self._valve_timer is None:
            self._valve_timer = asyncio.get_running_loop().call_later(flow.valve.wait(STEP), self._release_held)

    def _release_held(self) -> None:
        self._valve_timer = None
        if self.attached:
            self._release()
