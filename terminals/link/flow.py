"""Flow: how far the holder may go. Pure; the caller says what time it is.

Un-acked output is bounded in time, not bytes: what the page rendered in its last 100 ms, so that Ctrl-C is felt at once.
"""

from terminals.link.frames import WINDOW_MAX, WINDOW_MIN
from terminals.link.valve import Valve

HORIZON_S = 0.1
STALL_S = 30.0
"""A vanished or silent driver holds the output back for so long; then the owner acks what it has read itself, because a
phone in a pocket must not stop `make` for hours."""
STEP = 32_768
"""Bytes of progress that are worth a frame to the holder at once; less waits for the next tick."""


class Flow:
    """The acks of one terminal: `rendered` by the driver, `released` to the holder, and the window beyond."""

    def __init__(self, acked: int, now: float, valve: Valve | None = None) -> None:
        self.rendered = acked
        self.released = acked
        self.window = WINDOW_MIN
        self.coasting = False
        """Nobody renders: the owner acks what it has read."""
        self.ending = False
        """It is being closed: nobody is waited for any more."""
        self.valve = valve or Valve(0, now)
        """Of output that goes on for ever: acks wait for it, so nothing is lost and the program is held up."""
        self.held = False
        """It holds an ack back."""
        self.driven = False
        """There was a driver at some time. With watchers only, nothing is held back."""
        self._rate = 0.0
        self._measured_at = now
        self._waiting_since: float | None = now

    def begin(self, now: float) -> None:
        """A driver is there (again)."""
        self.driven = True
        self.coasting = False
        self._measured_at = now
        self._waiting_since = now

    def leave(self, now: float) -> None:
        """The driver is gone; the output is held back for a while."""
        self._waiting_since = now

    def skip(self, offset: int) -> None:
        """What lies below `offset` is gone."""
        self.released = max(self.released, offset)
        self.rendered = max(self.rendered, offset)

    @property
    def granted(self) -> int:
        """The window that the holder has now."""
        window = WINDOW_MAX if self.coasting or self.ending else self.window
        if not self.held:
            return window
        # What lies in the window comes at the valve's rate, and Ctrl-C is felt behind it.
        return min(window, max(int(self.valve.rate * HORIZON_S), WINDOW_MIN))

    def ack(self, offset: int, end: int, now: float) -> None:
        """The driver has rendered up to `offset` of `end`. Old and impossible acks change nothing."""
        if not self.rendered <= offset <= end:
            return
        if offset == end:
            self._waiting_since = None
        if offset == self.rendered:
            return
        seconds = max(now - self._measured_at, 1e-4)
        # While everything is rendered at once the time between acks is the program's, not the page's.
        if end - self.rendered >= STEP:
            rate = (offset - self.rendered) / seconds
            self._rate = rate if not self._rate else 0.7 * self._rate + 0.3 * rate
            self.window = int(min(max(self._rate * HORIZON_S, WINDOW_MIN), WINDOW_MAX))
        self.rendered = offset
        self.coasting = False
        self._measured_at = now
        self._waiting_since = now if offset < end else None

    def produced(self, now: float) -> None:
        """Output came: from now on somebody is waited for."""
        if self._waiting_since is None:
            self._waiting_since = self._measured_at = now

    def tick(self, end: int, now: float) -> None:
        """Gives up waiting for a driver that renders nothing."""
        if self._waiting_since is not None and end > self.rendered and now - self._waiting_since > STALL_S:
            self.coasting = True

    def due(self, end: int, now: float, *, least: int = STEP) -> tuple[int, int] | None:
        """(offset, window) to ack to the holder, if that is `least` bytes of progress."""
        target = end if self.coasting or self.ending else self.rendered
        room = None if self.ending else self.valve.room(now)
        self.held = room is not None and target - self.released > room
        if room is not None and self.held:
            # In few frames: it may go on for hours.
            target, least = self.released + room, STEP
        if target - self.released < least:
            return None
        self.valve.take(target - self.released)
        self.released = target
        return target, self.granted

    def excess(self, end: int) -> bool:
        """Whether the holder sent more than it ever may: then it is not ours."""
        return end - self.released > 2 * WINDOW_MAX
