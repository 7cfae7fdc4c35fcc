"""History: what one terminal has put out, and how somebody who comes is brought to where it stands."""

from collections.abc import Iterable

from terminals.link import frames
from terminals.link.frames import Status
from terminals.link.scrollback import Scrollback
from terminals.screens.screen import Screens
from terminals.screens.screening import Picture, Screening, set_modes
from terminals.viewers.viewer import TAIL

RELAYED = TAIL // 2
"""Bytes behind a picture for another instance, at most: both must fit the stream."""


class History(Scrollback):
    """The scrollback, and the screen where a tail of it isn't enough."""

    def __init__(self, screens: Screens | None, name: str, seed: Picture | None = None) -> None:
        super().__init__(0)
        self._screening = Screening(screens, name, seed)

    @property
    def cut(self) -> bool:
        """A tail isn't all that the terminal has put out."""
        return self.base > 0 or self.end > TAIL

    def append(self, body: bytes) -> None:
        super().append(body)
        self._screening.output(body)

    def skip(self, offset: int) -> None:
        super().skip(offset)
        self._screening.close()

    def resize(self, size: tuple[int, int]) -> None:
        """The terminal has this size from here on."""
        self._screening.resize(size)

    def take(self, body: bytes) -> bool:
        """A part of the owner's picture of where this history begins; whether it is whole now."""
        return self._screening.take(body)

    def want(self, size: tuple[int, int], status: Status | None) -> None:
        """Somebody watches, or a program fills the screen: it is kept from now on."""
        self._screening.want(self, size, status.modes if status else ())

    def tick(self, now: float) -> None:
        """Keeps nothing that nobody wants."""
        self._screening.tick(now)

    def close(self) -> None:
        """Over."""
        self._screening.close()

    # -- to bring somebody here --------------------------------------------------------------------------------------

    def serves(self, offset: int) -> bool:
        """Who has all before `offset` needs nothing but what comes then."""
        return self.base <= offset <= self.end and self.end - offset <= TAIL

    async def picture(self, size: tuple[int, int], status: Status | None) -> Picture | None:
        """What stands, where no tail is enough."""
        return await self.seed(size, status) if self.cut else None

    async def seed(self, size: tuple[int, int], status: Status | None) -> Picture | None:
        """What stands, for a history that begins from the holder's ring: by then that may have less than this one."""
        self.want(size, status)
        return await self._screening.picture()

    def fits(self, picture: Picture, most: int = TAIL) -> bool:
        """Output goes on where the picture ends, and isn't much."""
        return self.base <= picture.offset and self.end - picture.offset <= most

    def beginning(
        self, picture: Picture | None, live: int, size: tuple[int, int], status: Status | None
    ) -> Iterable[bytes]:
        """The messages that bring a fresh page here: from the picture, where it is of use, or a tail and its modes."""
        if picture is not None and self.fits(picture):
            yield frames.snapshot(picture.offset, live, picture.size, picture.data)
            yield from self.since(picture.offset)
            return
        start, tail = self.tail(TAIL)
        if start > 0 and status is not None:
            tail = set_modes(status.modes, tail) + tail
        yield frames.snapshot(self.end, live, size, tail)

    def handed_on(self, picture: Picture | None) -> tuple[int, list[bytes]]:
        """(offset where it begins, bodies) that bring another instance here."""
        if picture is not None and self.fits(picture, RELAYED):
            return picture.offset, [*picture.parts(), *self.since(picture.offset)]
        start = max(self.base, self.end - TAIL)
        return start, self.since(start)
