"""Exec: holder frames over one LXD exec. The source of a terminal's output on the owning instance.

LXD ties a command to its sockets: the control socket's end is the bridge's SIGKILL, which only detaches the holder. Frames
travel as binary messages on the exec's stdin and stdout or, on one host, through a door; stderr is bounded and logged.
"""

import asyncio
from asyncio import FIRST_COMPLETED
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass

from terminals.errors import Cut, Lost, Refused, Taken, TerminalsError
from terminals.link import frames
from terminals.link.door import Door, Line, Opening
from terminals.link.frames import BadFrame, Decoder, Hello
from terminals.link.streams import Stream, close_all, connect_all
from terminals.lxd import Lxd

OPEN_TIMEOUT_S = 10
"""From the exec's start to the holder's hello: a busy machine forks a shell in between."""
DRAIN_TIMEOUT_S = 5
"""A holder that takes nothing for so long is stopped, or isn't ours."""
DOOR_TIMEOUT_S = 2
"""For the bridge to come through the door or say that it can't; then LXD's streams have to do."""
STDERR_LIMIT = 8_192
"""Bytes of the bridge's stderr that are kept for the log; the rest is read and dropped."""
STDERR_FLOOD = 1_048_576
"""Bytes of stderr after which it isn't our bridge that writes."""
EARLY_LIMIT = 2_097_152
"""Bytes that may come between the hello and the pump."""
OVERHEAD = 64
"""Bytes that a kept frame costs beside its own: many small ones must count too."""
TURN = 512
"""Frames that are handed on in one turn of the loop: one read may hold 20,000, and every terminal here shares the loop."""


@dataclass(frozen=True, slots=True)
class Attach:
    """With what an owner comes to a holder."""

    epoch: int
    birth: bytes
    """16 bytes; zeros when this pty was never seen."""
    offset: int
    size: tuple[int, int]
    """(0, 0) leaves the pty's."""
    window: int = frames.WINDOW_MIN
    forced: bool = True
    """Cuts an older owner off; else an owner that lives is left alone."""

    def frame(self) -> bytes:
        return frames.attach(
            epoch=self.epoch,
            birth=self.birth,
            offset=self.offset,
            window=self.window,
            size=self.size,
            forced=self.forced,
        )


class Exec:
    """An attached holder, until it breaks: then `pump` raises why. `close` must be awaited by who opened it."""

    def __init__(self, streams: dict[str, Stream]) -> None:
        self._streams = streams
        self._line: Line | Stream = streams["0"]
        """Where frames are posted."""
        self._source: Line | Stream = streams["1"]
        """Where they come from."""
        self._decoder = Decoder()
        self._early: list[bytes] = []
        self._early_bytes = 0
        self._take: Callable[[list[bytes]], None] = self._keep
        self._backlog: list[bytes] = []
        self._at_end = False
        """The stream has ended; what came before still counts."""
        self._stderr = bytearray()
        self._stderr_bytes = 0
        self._spoke = asyncio.Event()
        self._complained = asyncio.Event()
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.hello: Hello
        streams["2"].hand_to(self._complain)

    @classmethod
    async def open(  # noqa: PLR0913 - keywords, said once in the hub
        cls,
        lxd: Lxd,
        container: str,
        command: list[str],
        attach: Attach,
        *,
        more: bytes = b"",
        door: Door | None = None,
        gate: AbstractAsyncContextManager[object] | None = None,
    ) -> "Exec":
        """Runs the holder's bridge in `container` and attaches; `more` frames follow the attach at once.

        `gate` is held while LXD works, not while the holder is waited for: a hostile one could take its time.

        Raises:
            Taken: a newer epoch owns the terminal.
            Lost: no holder and no exit record.
            Refused: the holder or LXD says why.
            Cut: anything broke on the way; try again.
            Unavailable: LXD doesn't answer.
        """
        async with AsyncExitStack() as stack:
            opening = await stack.enter_async_context(door.ajar()) if door else None
            async with gate or nullcontext():
                started = await lxd.exec(container, command, opening.environment if opening else {})
                opened = cls(await connect_all(lxd.address, started))
            await opened._begin(lxd, started.operation, opening, attach, more)
        return opened

    async def _begin(self, lxd: Lxd, operation: str, opening: Opening | None, attach: Attach, more: bytes) -> None:
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await self._choose(opening)
                self.post(attach.frame() + more)
                await self._spoke.wait()
            self._greet(attach)
        except TimeoutError as error:
            await self.close()
            raise Cut("the holder didn't answer in time" + self._complaint()) from error
        except Cut as error:
            await self.close()
            if complaint := await lxd.complaint(operation):
                raise Refused(f"LXD couldn't run the holder: {complaint}") from error
            raise
        except BaseException:
            await self.close()
            raise

    async def _choose(self, opening: Opening | None) -> None:
        """The door, if the bridge comes through it; it says on stderr when it can't."""
        if opening is not None:
            accepting = asyncio.create_task(opening.accept())
            complaining = asyncio.create_task(self._complained.wait())
            try:
                await asyncio.wait((accepting, complaining), timeout=DOOR_TIMEOUT_S, return_when=FIRST_COMPLETED)
            finally:
                for task in (accepting, complaining):
                    task.cancel()
                came, _ = await asyncio.gather(accepting, complaining, return_exceptions=True)
                if isinstance(came, Line):  # also when we are being cancelled: `close` must know it
                    self._line = self._source = came
        self._source.hand_to(self._receive)

    async def pump(self, take: Callable[[list[bytes]], None]) -> None:
        """Hands the frame bodies to `take` as they arrive, those of one read together, until `finish`.

        Raises:
            Cut: the path broke, or what came isn't the protocol.
            Whatever `take` raised: that ends the path, too.
        """
        self._take = take
        early, self._early = self._early, []
        take(early)
        await self._ended

    def finish(self) -> None:
        """Nothing more is wanted: `pump` returns."""
        if not self._ended.done():
            self._ended.set_result(None)

    def post(self, data: bytes) -> None:
        """Sends whole frames without waiting. A path that doesn't take them is broken from here, too."""
        if self._ended.done():
            return
        try:
            self._line.post(data)
        except Cut as error:
            self.abort(error)

    @property
    def by_door(self) -> bool:
        """The frames don't pass through LXD."""
        return isinstance(self._line, Line)

    @property
    def congested(self) -> bool:
        """LXD doesn't take what was posted: who sends much must wait for `drain`."""
        return self._line.paused and not self._ended.done()

    async def drain(self) -> None:
        """Waits a little while LXD takes what was posted: who sends much must be held back."""
        if self.congested:
            try:
                async with asyncio.timeout(DRAIN_TIMEOUT_S):
                    await self._line.drain()
            except TimeoutError:  # an OSError too: it must come first
                self.abort(Cut("the holder takes no input"))
            except OSError:
                return  # it broke meanwhile: the pump says so

    def abort(self, reason: BaseException) -> None:
        """Breaks the path at once: `pump` raises `reason`."""
        if isinstance(reason, TerminalsError):
            # Foreseen. Its traceback would keep whole reads alive, for as long as nobody looks for cycles.
            reason.__traceback__ = None
        if not self._ended.done():
            self._ended.set_exception(reason)
            # Taken back by who pumps; nobody does while it is being opened.
            self._ended.exception()
        self._spoke.set()
        for stream in (self._line, *self._streams.values()):
            stream.transport.abort()

    async def close(self) -> None:
        """Closes every socket, the control socket too: any left open would keep the bridge alive."""
        self.finish()
        if isinstance(self._line, Line):
            self._line.transport.close()
        await close_all(self._streams.values())
        # What is left of the path may be part of a cycle, and wait long to be collected.
        self._early, self._backlog, self._decoder = [], [], Decoder()

    def _receive(self, data: bytes) -> None:
        if self._ended.done():
            return
        try:
            bodies = self._decoder.feed(data)
        except BadFrame as error:
            self.abort(Cut(f"the holder broke the protocol ({error})"))
            return
        self._at_end = self._at_end or not data
        if self._backlog:
            self._backlog += bodies
        elif len(bodies) > TURN:
            self._backlog = bodies
            self._turn()
        else:
            self._hand_on(bodies)

    def _turn(self) -> None:
        """Hands on some frames; what is left waits for the loop's next turn, and nothing more is read meanwhile."""
        turn, self._backlog = self._backlog[:TURN], self._backlog[TURN:]
        self._hand_on(turn)
        if self._ended.done():
            self._backlog = []
        elif self._backlog:
            if not self._source.transport.is_closing():
                self._source.transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._turn)
        elif not self._source.transport.is_closing():
            self._source.transport.resume_reading()

    def _hand_on(self, bodies: list[bytes]) -> None:
        try:
            if bodies:  # half a frame is nothing heard: a holder may drip for ever
                self._take(bodies)
        except BadFrame as error:
            self.abort(Cut(f"the holder broke the protocol ({error})"))
        except Exception as error:  # noqa: BLE001 - this is a callback of the transport: the pump's task raises it
            self.abort(error)
        if self._at_end and not self._backlog:
            self.abort(Cut("the holder closed the stream" + self._complaint()))

    def _keep(self, bodies: list[bytes]) -> None:
        """Before anybody pumps."""
        self._early_bytes += sum(map(len, bodies)) + OVERHEAD * len(bodies)
        if self._early_bytes > EARLY_LIMIT:
            raise Cut("the holder floods")
        known = [body for body in bodies if body[0] in frames.KNOWN]
        if known:
            self._early += known
            self._spoke.set()

    def _greet(self, attach: Attach) -> None:
        if not self._early:
            # It broke before it spoke.
            self._ended.result()
        first = self._early.pop(0)
        if first[0] == frames.ERROR:
            raise refusal(first)
        if first[0] != frames.HELLO:
            raise Cut(f"the holder began with {chr(first[0])}")
        self.hello = frames.read_hello(first)
        if self.hello.version != frames.VERSION:
            raise Refused(f"the holder speaks version {self.hello.version}", code="holder_version")
        if not self.hello.believable(attach.birth, attach.offset):
            raise Cut("the holder's hello can't be its own")

    def _complaint(self) -> str:
        text = "".join(c for c in self._stderr.decode("utf-8", "replace") if c.isprintable())
        return f" ({text[:300]})" if text else ""

    def _complain(self, data: bytes) -> None:
        """What the bridge says on stderr; its end is the bridge's."""
        self._complained.set()
        if not data and self.by_door:
            self.abort(Cut("the bridge ended" + self._complaint()))
        self._stderr += data[: STDERR_LIMIT - len(self._stderr)]
        self._stderr_bytes += len(data)
        if self._stderr_bytes > STDERR_FLOOD:
            self.abort(Cut("the bridge floods"))


def refusal(body: bytes) -> TerminalsError:
    """What an E body means."""
    try:
        code, epoch, text = frames.read_error(body)
    except BadFrame as error:
        return Cut(f"the holder broke the protocol ({error})")
    text = "".join(c for c in text if c.isprintable())
    match code:
        case 1 | 2 | 4:
            return Taken("another instance owns this terminal", epoch=epoch)
        case 3 | 5:
            return Lost(
                "your shell was lost: its container was restarted, or something killed it. "
                "Your files are still there: open a new terminal"
            )
        case 7:
            return Refused(f"the shell could not start: {text}", code="shell_failed")
        case _:
            return Cut(f"the holder refused: {text}")
