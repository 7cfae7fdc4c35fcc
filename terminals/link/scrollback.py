"""Scrollback: the newest output of one terminal, with absolute offsets. Pure; bounded in bytes."""

from collections import deque

from terminals.link.frames import OUTPUT_HEAD, offset_of, output

LIMIT = 1_048_576
"""Bytes kept: the holder's ring is as long, so a page that is behind by less needs nobody but this instance."""
MERGE = 4_096
"""Bodies below this grow in place: a megabyte of single echoed keys must not be a million objects."""


class Scrollback:
    """O bodies in order, contiguous from `base` to `end`."""

    def __init__(self, start: int, limit: int = LIMIT) -> None:
        self._bodies: deque[bytes] = deque()
        self._limit = limit
        self.base = start
        self.end = start

    def append(self, body: bytes) -> None:
        """Adds an O body that begins at `end`; the oldest go when the limit is passed."""
        if self._bodies and len(self._bodies[-1]) < MERGE:
            self._bodies[-1] += body[OUTPUT_HEAD:]
        else:
            self._bodies.append(body)
        self.end += len(body) - OUTPUT_HEAD
        while self.end - self.base > self._limit:
            self.base += len(self._bodies.popleft()) - OUTPUT_HEAD

    def skip(self, offset: int) -> None:
        """Begins anew at `offset`: what lies between is gone."""
        self._bodies.clear()
        self.base = self.end = offset

    def since(self, offset: int) -> list[bytes]:
        """The O bodies from `offset` on; the first is sliced. `offset` lies between base and end."""
        found: list[bytes] = []
        for body in reversed(self._bodies):
            start = offset_of(body)
            if start + len(body) - OUTPUT_HEAD <= offset:
                break
            if start < offset:
                body = output(offset, body[OUTPUT_HEAD + offset - start :])
            found.append(body)
        found.reverse()
        return found

    def tail(self, limit: int) -> tuple[int, bytes]:
        """(offset, bytes) of at most `limit` of the newest bytes.

        A cut tail begins after a newline where one is near, so that it doesn't start inside an escape sequence or a character.
        """
        start = max(self.base, self.end - limit)
        data = b"".join(body[OUTPUT_HEAD:] for body in self.since(start))
        if start == 0:
            return start, data
        newline = data.find(b"\n", 0, 8192)
        if newline < 0:
            return start, data
        return start + newline + 1, data[newline + 1 :]
