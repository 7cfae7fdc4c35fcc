"""Sinks: where a terminal's output goes: its viewers, those that still wait for the path, and which of them drives."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from terminals.errors import Conflict, Taken, TerminalsError
from terminals.fleet.relay import Relay
from terminals.link import messages
from terminals.link.messages import Message
from terminals.viewers.viewer import Viewer

log = structlog.get_logger(__name__)

MOST = 64
"""Pages on one terminal, waiting ones included."""
MOST_OF_ONE = 16
"""Of one person: each may hold a megabyte back."""


class Sinks:
    """Offers every chunk to every viewer and never waits for any."""

    def __init__(self) -> None:
        self.viewers: list[Viewer] = []
        self.driver: Viewer | None = None
        self.relay: Relay | None = None
        """While another instance watches."""
        self.alone_since = time.monotonic()
        self._waiting: list[Viewer] = []

    @property
    def lonely(self) -> bool:
        """Nobody looks or waits, here or elsewhere."""
        return not self.viewers and not self._waiting and self.relay is None

    def typist(self, writer: int) -> Viewer | None:
        """Who types here as this writer: the driver, or somebody who was let in."""
        if self.driver is not None and self.driver.writer == writer:
            return self.driver
        return next((each for each in self.viewers if each.writer == writer and each.role == "assistant"), None)

    def everybody(self) -> list[Viewer]:
        return self.viewers + self._waiting

    @contextmanager
    def arriving(self, viewer: Viewer) -> Iterator[None]:
        """While it is open the viewer counts as here, hears of progress, and gets no output: it has no place in it yet.

        Raises:
            Conflict: too many pages.
        """
        there = self.everybody()
        mine = sum(each.user == viewer.user for each in there)
        if len(there) >= MOST or mine >= MOST_OF_ONE:
            most = MOST_OF_ONE if mine >= MOST_OF_ONE else MOST
            raise Conflict(f"{most} pages have this terminal open: close one", code="too_many")
        self._waiting.append(viewer)
        try:
            yield
        finally:
            self._waiting.remove(viewer)
            self._note_alone()

    def join(self, viewer: Viewer) -> None:
        """From the next chunk on the viewer gets the output."""
        self.viewers.append(viewer)

    def leave(self, viewer: Viewer) -> bool:
        """Whether it drove."""
        if viewer in self.viewers:
            self.viewers.remove(viewer)
        self._note_alone()
        if viewer is not self.driver:
            return False
        self.driver = None
        return True

    def drive(self, viewer: Viewer, size: tuple[int, int], epoch: int) -> None:
        """The latest attach of the owning student drives; the former page is told and never takes back by itself."""
        former, self.driver = self.driver, viewer
        viewer.role = "driver"
        if former is None or former is viewer:
            return
        if former.writer == viewer.writer:
            # The same page on a new socket: the old one is dead and doesn't know it yet.
            former.close(Taken("this page is connected anew", epoch=epoch))
            return
        former.role = "observer"
        former.tell(messages.observer())
        former.tell(messages.size(*size))

    def offer(self, body: bytes) -> None:
        for viewer in self.viewers:
            viewer.offer(body)
        if self.relay is not None:
            self.relay.offer(body)

    def remove_relay(self) -> None:
        """Nobody watches elsewhere any more."""
        self.relay = None
        self._note_alone()

    def pass_on(self, body: bytes) -> None:
        """A frame that browsers get in other words, or not at all."""
        if self.relay is not None:
            self.relay.offer(body)
            self.relay.flush()

    def flush(self) -> None:
        """The end of a turn: what was offered goes out."""
        for viewer in self.viewers:
            viewer.flush()
        if self.relay is not None:
            self.relay.flush()

    def tell(self, message: Message) -> None:
        for viewer in self.viewers:
            viewer.tell(message)

    def tell_everybody(self, message: Message) -> None:
        """Those that wait, too."""
        for viewer in self.everybody():
            viewer.tell(message)

    def close(self, reason: TerminalsError) -> None:
        for viewer in self.everybody():
            viewer.close(reason)

    def _note_alone(self) -> None:
        if self.lonely:
            self.alone_since = time.monotonic()
