"""Valve: how much of a terminal's output may pass, over time: a bucket that holds a burst. Pure; the caller has the time."""

BURST = 16 << 20
"""Bytes that pass as fast as they come: no honest program puts out more at once for somebody to read."""


class Valve:
    """`rate` bytes per second for long; 0: no limit."""

    def __init__(self, rate: int, now: float) -> None:
        self.rate = rate
        self._left = float(BURST)
        self._at = now

    def room(self, now: float) -> int | None:
        """Bytes that may pass now; None: all."""
        if not self.rate:
            return None
        self._left = min(BURST, self._left + (now - self._at) * self.rate)
        self._at = now
        return int(self._left)

    def take(self, size: int) -> None:
        """So many have passed."""
        if self.rate:
            self._left -= size

    def wait(self, size: int) -> float:
        """Seconds until `size` bytes may pass."""
        return max(0.0, size - self._left) / self.rate if self.rate else 0.0
