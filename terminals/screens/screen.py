"""Screen: what a terminal shows now, kept by the screen helper: a snapshot is bytes that bring a fresh emulator to it.

A screen is a copy that may be lost at any time (the helper died, the terminal floods faster than anything parses): whoever
has one looks at `lost` and makes another from the scrollback.
"""

import asyncio
import contextlib
import struct
import time
from dataclasses import dataclass
from pathlib import Path

import structlog

from terminals.errors import Unavailable
from terminals.screens.helper import Helper

log = structlog.get_logger(__name__)

SCREEN_LIMIT = 4_194_304
"""Bytes of one terminal that may be unparsed: a fifth of a second of the helper's work."""
LIMIT = 67_108_864
"""Bytes of all."""
MOST = 500
"""Screens: about 1 MB each where the scrollback is full."""
SNAPSHOT_LIMIT = 524_288
"""Bytes, half of what may wait for a page. Beyond it the oldest rows are left out."""
SNAPSHOT_S = 2.0
REST_S = 0.25
"""After the helper died; doubled each time, up to REST_MOST_S, until it has lived for STEADY_S."""
REST_MOST_S = 30.0
STEADY_S = 10.0
_SIZE = struct.Struct(">HH")
_REQUEST = struct.Struct(">II")
_SNAPSHOT = struct.Struct(">IHHQ")
_U64, _U32 = struct.Struct(">Q"), struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A fresh emulator of this size that gets `data` shows what the first `written` bytes have made."""

    size: tuple[int, int]
    data: bytes
    written: int
    """An unfinished escape sequence or character isn't among them, though it was written: it comes again, whole."""


class Screens:
    """The helper and its screens. It is started at the first `open`; `close` at the end, in the loop that opened."""

    def __init__(self, node: Path | None, script: Path) -> None:
        self._node = node
        self._script = script
        self._helper: Helper | None = None
        self._running: asyncio.Task[None] | None = None
        self._resting_until = 0.0
        self._rest = REST_S
        self._screens: dict[int, Screen] = {}
        self._last = 0
        self._pending = 0
        self._closed = False
        self._told = False

    @property
    def pending(self) -> int:
        """Bytes of all screens that the helper hasn't parsed."""
        return self._pending

    def __len__(self) -> int:
        return len(self._screens)

    def open(self, name: str, size: tuple[int, int]) -> "Screen":
        """An empty screen; `name` is for the log. Lost at once where there can't be one."""
        self._last += 1
        helper = self._ready()
        screen = Screen(self, self._last, name, helper)
        if helper is None or len(self._screens) >= MOST:
            screen.lose("there is no helper" if helper is None else f"there are {MOST} already")
            return screen
        self._screens[self._last] = screen
        helper.post(ord("o"), self._last, _SIZE.pack(*size))
        return screen

    async def close(self) -> None:
        """Ends the helper: within 2 s, for then it is killed."""
        self._closed = True
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running

    def _ready(self) -> Helper | None:
        """The helper that runs, or is being started. None where it can't be, or has died a moment ago."""
        if self._helper is None and not self._closed and self._possible() and time.monotonic() >= self._resting_until:
            self._helper = Helper(self._take, busy=self._busy)
            self._running = asyncio.create_task(self._run(self._helper, self._node or Path()))
        return self._helper

    def _possible(self) -> bool:
        if self._node is not None and self._script.is_file():
            return True
        if not self._told:
            missing = "NODE" if self._node is None else "SCREEN_SCRIPT"
            log.warning("screen_helper_missing", setting=missing, script=str(self._script))
            self._told = True
        return False

    async def _run(self, helper: Helper, node: Path) -> None:
        began = time.monotonic()
        reason = "failed"
        log.info("screen_helper_started")
        try:
            reason = await helper.run(node, self._script)
        except OSError as error:
            reason = str(error)
        finally:
            if time.monotonic() - began > STEADY_S:
                self._rest = REST_S
            self._resting_until = time.monotonic() + self._rest
            self._rest = min(REST_MOST_S, 2 * self._rest)
            self._helper = None
            if self._closed:
                reason = "closed"
                log.info("screen_helper_ended")
            else:
                log.warning("screen_helper_ended", reason=reason, screens=len(self._screens))
            for screen in list(self._screens.values()):
                screen.lose(reason)

    def _busy(self) -> bool:
        return self._pending > 0 or any(screen.asked for screen in self._screens.values())

    def _take(self, kind: int, number: int, payload: bytes) -> None:
        screen = self._screens.get(number)
        if screen is None:
            return  # closed, while this was on its way
        if kind == ord("d"):
            screen.parsed(_U64.unpack(payload)[0])
        elif kind == ord("S"):
            nonce, cols, rows, written = _SNAPSHOT.unpack_from(payload)
            screen.answered(nonce, Snapshot((cols, rows), payload[_SNAPSHOT.size :], written))
        elif kind == ord("N"):
            screen.answered(_U32.unpack_from(payload)[0], Unavailable(payload[_U32.size :].decode(errors="replace")))
        elif kind == ord("E"):
            screen.lose(payload.decode(errors="replace"))

    def admit(self, size: int) -> bool:
        """Whether so many bytes more may be under way; counted until they are parsed."""
        if self._pending + size > LIMIT or self._helper is None or self._helper.waiting > LIMIT:
            return False
        self._pending += size
        return True

    def settle(self, size: int) -> None:
        """They are no longer."""
        self._pending -= size

    def forget(self, number: int) -> None:
        """A screen is lost or closed."""
        self._screens.pop(number, None)


class Screen:
    """One terminal's. `write` and `resize` never wait; on a lost screen they do nothing."""

    def __init__(self, screens: Screens, number: int, name: str, helper: Helper | None) -> None:
        self.lost = False
        self.written = 0
        """Bytes, in total."""
        self._screens = screens
        self._number = number
        self._name = name
        self._helper = helper
        self._parsed = 0
        self._nonce = 0
        self._snapshot: asyncio.Future[Snapshot] | None = None

    @property
    def pending(self) -> int:
        """Bytes that the helper hasn't parsed."""
        return self.written - self._parsed

    @property
    def asked(self) -> bool:
        """Whether a snapshot is being waited for."""
        return self._snapshot is not None

    def write(self, data: bytes) -> None:
        """The terminal's next output. Beyond the bounds the screen is lost: nobody waits for it."""
        if self.lost or not data:
            return
        if self.pending + len(data) > SCREEN_LIMIT or not self._screens.admit(len(data)):
            self.lose("more output than can be parsed")
            return
        self.written += len(data)
        self._post("w", data)

    def resize(self, size: tuple[int, int]) -> None:
        """What was written before is parsed at the former size."""
        self._post("r", _SIZE.pack(*size))

    async def snapshot(self, within: float = SNAPSHOT_S) -> Snapshot:
        """What the screen shows, with all or nearly all of what was written by now.

        Who asks while somebody waits gets the same one.

        Raises:
            Unavailable: the screen is lost, or it takes too long.
        """
        if self.lost:
            raise Unavailable("The screen is lost")
        if self._snapshot is None:
            self._snapshot = asyncio.get_running_loop().create_future()
            self._nonce = (self._nonce + 1) & 0xFFFF_FFFF
            self._post("s", _REQUEST.pack(self._nonce, SNAPSHOT_LIMIT))
        try:
            async with asyncio.timeout(within):
                return await asyncio.shield(self._snapshot)
        except TimeoutError:
            raise Unavailable(f"The screen helper didn't answer within {within:g} s") from None

    def close(self) -> None:
        """Nobody needs it any more."""
        self.lose("closed")

    def parsed(self, total: int) -> None:
        """The helper has parsed so many bytes; it can't have more than were written."""
        total = min(total, self.written)
        self._screens.settle(max(0, total - self._parsed))
        self._parsed = max(total, self._parsed)

    def answered(self, nonce: int, answer: Snapshot | Unavailable) -> None:
        """To the snapshot that was asked for."""
        waiting = self._snapshot
        if waiting is None or nonce != self._nonce:
            return
        self._snapshot = None
        self._resolve(waiting, answer)

    def lose(self, reason: str) -> None:
        """Drops it here and in the helper."""
        if self.lost:
            return
        if reason != "closed":
            log.info("screen_lost", terminal=self._name, reason=reason)
        self._post("x", b"")
        self.lost = True
        self._screens.forget(self._number)
        self.parsed(self.written)
        if self._snapshot is not None:
            waiting, self._snapshot = self._snapshot, None
            self._resolve(waiting, Unavailable(f"The screen is lost: {reason}"))

    def _post(self, kind: str, payload: bytes) -> None:
        if self._helper is not None and not self.lost:
            self._helper.post(ord(kind), self._number, payload)

    @staticmethod
    def _resolve(waiting: "asyncio.Future[Snapshot]", answer: Snapshot | Unavailable) -> None:
        if isinstance(answer, Snapshot):
            waiting.set_result(answer)
        else:
            waiting.set_exception(answer)
            waiting.exception()  # seen, even if everybody who waited has gone
