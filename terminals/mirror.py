"""Mirror: a source. A terminal's frames as its owner, another instance, relays them: what an Exec is to the owner."""

import asyncio
import base64
from collections.abc import Callable
from dataclasses import asdict

from terminals.errors import Cut
from terminals.fleet.feeds import Feeds
from terminals.fleet.relay import stream
from terminals.link import frames
from terminals.link.exec import Attach
from terminals.link.frames import BadFrame, Decoder, Hello
from terminals.person import Person

OPEN_TIMEOUT_S = 5.0
"""From the request to the owner's first entry."""

People = Callable[[], list[Person]]
"""Who watches through this mirror."""


class Mirror:
    """Until it breaks: then `pump` raises why. `close` must be awaited by who opened it. Only input goes on to the owner."""

    by_door = False
    congested = False

    def __init__(self, feeds: Feeds, terminal: str, owner: str, instance: str, people: People) -> None:
        self._feeds = feeds
        self._terminal = terminal
        self._owner = owner
        self._instance = instance
        self._people = people
        self._end: int | None = None
        """The next byte that is wanted; None before the hello."""
        self._greeted = False
        """The frame before was our hello, or a picture behind it."""
        self._early: list[bytes] = []
        self._take: Callable[[list[bytes]], None] = self._early.extend
        self._spoke = asyncio.Event()
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._attach: Attach
        self.hello: Hello
        self.resized: Callable[[tuple[int, int]], None] = lambda _: None

    async def open(self, attach: Attach) -> None:
        """Asks the owner, and waits for what stands now.

        Raises:
            Cut: the owner doesn't answer, or has let the terminal go.
            Unavailable: Redis doesn't answer.
        """
        self._attach = attach
        await self._feeds.follow(stream(self._terminal), self._receive)
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                self._ask(fresh=True)
                await self._spoke.wait()
            if self._ended.done():
                self._ended.result()
            self.resized((self.hello.cols, self.hello.rows))
        except TimeoutError as error:
            await self.close()
            raise Cut("Whoever has this terminal doesn't answer") from error
        except BaseException:
            await self.close()
            raise

    async def pump(self, take: Callable[[list[bytes]], None]) -> None:
        """Hands the frame bodies to `take` as they arrive, until `finish`.

        Raises:
            Cut: bytes are missing, or the owner has let the terminal go: open it anew.
            Whatever `take` raised.
        """
        early = list(self._early)
        self._take = take
        take(early)
        await self._ended

    def finish(self) -> None:
        """Nothing more is wanted: `pump` returns."""
        if not self._ended.done():
            self._ended.set_result(None)

    def post(self, data: bytes) -> None:
        """The beat of the owner's ping says that somebody still watches; all else but input is the owner's to say."""
        if self._ended.done():
            return
        if data[3:4] == frames.PING:
            self._ask(fresh=False)
        elif data[3:4] == frames.INPUT:
            frame = base64.b64encode(data[3:]).decode()
            self._feeds.tell(self._owner, "input", terminal=self._terminal, epoch=self.hello.epoch, frame=frame)

    async def drain(self) -> None:
        """There is nothing to wait for."""

    def abort(self, reason: BaseException) -> None:
        """Breaks it at once: `pump` raises `reason`."""
        if not self._ended.done():
            self._ended.set_exception(reason)
            # Taken back by who pumps; nobody does while it is being opened.
            self._ended.exception()
        self._spoke.set()

    async def close(self) -> None:
        """Watches no more."""
        self.finish()
        self._feeds.unfollow(stream(self._terminal))
        self._feeds.tell(self._owner, "unwatch", terminal=self._terminal, instance=self._instance)

    def _ask(self, *, fresh: bool) -> None:
        people = [asdict(person) for person in self._people()]
        said = {"terminal": self._terminal, "instance": self._instance, "people": people, "fresh": fresh}
        self._feeds.tell(self._owner, "watch", **said)

    def _receive(self, entry: bytes) -> None:
        if self._ended.done():
            return
        try:
            bodies = [found for body in Decoder().feed(entry) for found in self._wanted(body)]
            if bodies:
                self._take(bodies)
        except BadFrame as error:
            self.abort(Cut(f"the relay broke the protocol ({error})"))
        except Exception as error:  # noqa: BLE001 - the pump's task raises it
            self.abort(error)

    def _wanted(self, body: bytes) -> list[bytes]:
        """What of a frame is news here. Others' beginnings come by, too: overlaps are cut away."""
        kind = body[0]
        if kind == frames.HELLO:
            return self._greet(frames.read_hello(body))
        if kind == frames.LEAVE[0]:
            raise Cut("the terminal is handed over")
        if self._end is None:
            return []  # of somebody else's beginning
        if kind == frames.PICTURE[0]:
            return [body] if self._greeted else []
        self._greeted = False
        if kind == frames.RESIZE[0]:
            self.resized(frames.read_browser_resize(body))
            return []
        if kind == frames.GAP:
            raise Cut("output is missing")  # the hello that follows says from where it goes on
        if kind != frames.OUTPUT:
            return [body]
        offset = frames.offset_of(body)
        stop = offset + len(body) - frames.OUTPUT_HEAD
        if offset > self._end:
            raise Cut("an entry was missed")
        if stop <= self._end:
            return []
        skipped, self._end = self._end - offset, stop
        return [body if not skipped else frames.output(offset + skipped, body[frames.OUTPUT_HEAD + skipped :])]

    def _greet(self, hello: Hello) -> list[bytes]:
        if self._end is not None:
            if hello.birth != self.hello.birth or hello.base > self._end:
                raise Cut("an entry was missed")
            return []
        wanted = self._attach.offset
        start = wanted if hello.base <= wanted <= hello.head else hello.base
        self.hello = Hello(
            hello.version,
            hello.exited,
            hello.epoch,
            hello.birth,
            hello.base,
            max(hello.acked, start),
            hello.head,
            hello.cols,
            hello.rows,
            start,
        )
        self._end = start
        # What its owner shows at `start`, where output is missing before it.
        self._greeted = start == hello.base
        self._spoke.set()
        missing = wanted != frames.FROM_BASE and wanted < start
        return [frames.gap(wanted, start)] if missing else []
