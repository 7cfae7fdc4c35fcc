"""Wire: WebSocket frames at the least cost, pure. Plain binary messages are cut out and made here; all else is the library's.

A library parses every frame with generators, objects and queues, which is most of what a keystroke costs on a server. So
the bytes pass through a `Cutter` first: it takes the plain messages out, and hands every other frame, whole, on to the
library (control frames, text, fragments, what breaks RFC 6455), which stays the authority for them.
"""

import os
from collections.abc import Callable

BINARY, TEXT = 0x82, 0x81
"""First bytes of whole messages: FIN, no extension, opcode."""
_FIN, _MASKED, _CONTROL = 0x80, 0x80, 0x08
_LENGTH, _U16, _U64 = 0x7F, 126, 127

Taker = Callable[[bytes], None]


class Cutter:
    """Cuts one direction of a socket into frames; `take` gets the payload of plain binary messages, `other` whole frames.

    `limit` bounds a payload in bytes: from a larger frame on the library gets everything, for it knows how to refuse it.
    """

    def __init__(self, other: Taker, limit: int, *, masked: bool) -> None:
        self.take: Taker | None = None
        """None: the library gets the binary messages, too."""
        self.held = False
        """Nothing more is handed out until `feed` is called with this unset; what is there waits."""
        self._other = other
        self._limit = limit
        self._masked = _MASKED if masked else 0
        self._rest = b""
        self._fragments = False
        self._given_up = False

    @property
    def waiting(self) -> int:
        """Bytes that wait for the rest of their frame, or because of `held`."""
        return len(self._rest)

    def feed(self, data: bytes) -> None:
        """Hands out all whole frames; keeps less than one frame, unless `held`."""
        if self._given_up:
            self._other(data)
            return
        if self._rest:
            data, self._rest = self._rest + data, b""
        at = 0
        while not self.held and (found := _measure(data, at)) is not None:
            start, size = found
            if size > self._limit:
                self._given_up = True
                self._other(data[at:])
                return
            stop = start + size
            if stop > len(data):
                break
            if data[at] == BINARY and data[at + 1] & _MASKED == self._masked and self.take and not self._fragments:
                self.take(unmasked(data[start:stop], data[start - 4 : start]) if self._masked else data[start:stop])
            else:
                self._pass_on(data[at:stop])
            at = stop
        self._rest = data[at:] if at else data

    def _pass_on(self, frame: bytes) -> None:
        if not frame[0] & _CONTROL:
            self._fragments = not frame[0] & _FIN
        self._other(frame)


def _measure(data: bytes, at: int) -> tuple[int, int] | None:
    """(where the payload begins, its size) of the frame at `at`; None while its head isn't whole."""
    start = at + 2
    if len(data) < start:
        return None
    second = data[at + 1]
    size = second & _LENGTH
    if size == _U16:
        size, start = int.from_bytes(data[start : start + 2]), start + 2
    elif size == _U64:
        size, start = int.from_bytes(data[start : start + 8]), start + 8
    if second & _MASKED:
        start += 4
    return (start, size) if start <= len(data) else None


def head(kind: int, size: int) -> bytes:
    """What stands before a server's message of `size` bytes."""
    if size < _U16:
        return bytes((kind, size))
    if size < 1 << 16:
        return bytes((kind, _U16, size >> 8, size & 0xFF))
    return bytes((kind, _U64)) + size.to_bytes(8)


def masked(payload: bytes) -> bytes:
    """A client's binary message. The mask is random, as RFC 6455 (5.3) wants it."""
    key = os.urandom(4)
    plain = head(BINARY, len(payload))
    return plain[:1] + bytes((plain[1] | _MASKED,)) + plain[2:] + key + unmasked(payload, key)


def unmasked(payload: bytes, key: bytes) -> bytes:
    """XORs with the repeated key: the same both ways."""
    size = len(payload)
    return (int.from_bytes(payload) ^ int.from_bytes((key * (size // 4 + 1))[:size])).to_bytes(size)
