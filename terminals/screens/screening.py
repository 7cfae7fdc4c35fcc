"""Screening: a terminal's screen, kept where no tail of bytes brings it back: while it is watched, or a program fills it."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from terminals.errors import Unavailable
from terminals.link import frames
from terminals.link.frames import OUTPUT_HEAD
from terminals.link.scrollback import Scrollback
from terminals.screens.screen import Screen, Screens

log = structlog.get_logger(__name__)

LINGER_S = 60.0
"""A screen that nobody wants is kept for so long: who watches reloads, and programs come and go."""
ALTERNATES = {47, 1047, 1049}
"""Modes in which the alternate screen is shown."""
PART = 49_152
"""Bytes of a picture in one frame between instances."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A fresh emulator of this size that gets `data` shows what the terminal showed at `offset`."""

    offset: int
    size: tuple[int, int]
    data: bytes

    def parts(self) -> Iterable[bytes]:
        """As frame bodies for another instance."""
        for at in range(0, max(1, len(self.data)), PART):
            piece, last = self.data[at : at + PART], at + PART >= len(self.data)
            yield frames.picture(self.offset, self.size, piece, first=at == 0, last=last)


class Screening:
    """Of one terminal. It begins from another owner's picture, or from the oldest output that is known and its modes."""

    def __init__(self, screens: Screens | None, name: str, seed: Picture | None) -> None:
        self._screens = screens
        self._name = name
        self._screen: Screen | None = None
        self._start = 0
        """The offset of the screen's first byte, all that was written to it counted."""
        self._wanted_at = 0.0
        self._seed = seed
        self._parts: list[bytes] = []

    def want(self, scrollback: Scrollback, size: tuple[int, int], modes: Iterable[int]) -> None:
        """It is needed now; one that was lost is made anew."""
        self._wanted_at = time.monotonic()
        if self._screens is None or not size[0] or (self._screen is not None and not self._screen.lost):
            return
        self.close()
        if self._seed is not None and self._seed.offset > scrollback.end:
            return  # what leads to it is still coming
        if self._seed is not None and self._seed.offset < scrollback.base:
            self._seed = None
        seed = self._seed or Picture(scrollback.base, size, _modes(scrollback, modes))
        begin = seed.offset
        screen = self._screen = self._screens.open(self._name, seed.size)
        self._start = begin - len(seed.data)
        screen.write(seed.data)
        if seed.size != size:
            screen.resize(size)
        for body in scrollback.since(begin):
            screen.write(body[OUTPUT_HEAD:])

    def output(self, body: bytes) -> None:
        """An O body, right behind the last one."""
        if self._screen is not None:
            self._screen.write(body[OUTPUT_HEAD:])

    def resize(self, size: tuple[int, int]) -> None:
        """From here on the terminal has this size."""
        if self._screen is not None:
            self._screen.resize(size)

    def tick(self, now: float) -> None:
        """What nobody wants any more goes."""
        if self._screen is not None and now - self._wanted_at > LINGER_S:
            self.close()

    async def picture(self) -> Picture | None:
        """What stands, at an offset that the caller must still have the output of; None: a tail must do."""
        screen = self._screen
        if screen is None or screen.lost:
            return None
        start = self._start
        try:
            found = await screen.snapshot()
        except Unavailable as error:
            log.warning("picture_missing", terminal=self._name, reason=error.message)
            return None
        return Picture(start + found.written, found.size, found.data)

    def take(self, body: bytes) -> bool:
        """A part of the owner's picture; whether it is whole now."""
        offset, size, piece, first, last = frames.read_picture(body)
        if first:
            self._parts.clear()  # of one whose rest never came
        self._parts.append(piece)
        if not last:
            return False
        self.close()
        self._seed, self._parts = Picture(offset, size, b"".join(self._parts)), []
        return True

    def close(self) -> None:
        """Keeps it no longer."""
        if self._screen is not None:
            self._screen.close()
            self._screen = None


def set_modes(modes: Iterable[int], data: bytes) -> bytes:
    """The sequences that set these DEC private modes, of now, where `data` begins: in the middle, it doesn't hold them.

    A screen to which `data` itself changes isn't set: what stands beneath it would be drawn onto it.
    """
    return b"".join(b"\x1b[?%dh" % mode for mode in modes if mode not in ALTERNATES or not _enters(data, mode))


def _enters(data: bytes, mode: int) -> bool:
    """It comes to this screen from the other one."""
    enters, leaves = (data.find(b"\x1b[?%d%c" % (mode, end)) for end in b"hl")
    return enters >= 0 and (leaves < 0 or enters < leaves)


def _modes(scrollback: Scrollback, modes: Iterable[int]) -> bytes:
    if not scrollback.base:
        return b""  # it begins where the terminal did
    return set_modes(modes, b"".join(body[OUTPUT_HEAD:] for body in scrollback.since(scrollback.base)))
