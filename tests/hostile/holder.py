#!/usr/bin/python3
"""A holder that lies. A student with sudo can put such a program in the real one's place; the tests do, and see who suffers.

It runs in the container, so it needs nothing but Python. The page's columns choose what it does: 100 + the behaviour's place in
`BEHAVIOURS`. On a first attach most behave until the first input, so that a page is there to see it; attached again, they begin
at once.
"""

import hashlib
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

FIRST_COLUMN = 100
FROM_BASE = 2**64 - 1
CHUNK = 65_536
RING = 1_048_576


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    return (len(payload) + 1).to_bytes(3, "big") + kind + payload


def put(data: bytes, descriptor: int = 1) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def flood(unit: bytes, descriptor: int = 1) -> None:
    """As fast as the pipe takes it."""
    block = unit * max(1, CHUNK // len(unit))
    while True:
        put(block, descriptor)


def sleep() -> None:
    while True:
        time.sleep(60)


def get(size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = os.read(0, size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


class Attack:
    """One attach."""

    def __init__(self, terminal: str) -> None:
        _, body = self.read()
        _, _, self.epoch, birth, offset, _, self.cols, self.rows = struct.unpack(">BBQ16sQIHH", body)
        self.first = offset == FROM_BASE
        self.offset = 0 if self.first else offset
        self.birth = birth if any(birth) else hashlib.sha256(terminal.encode()).digest()[:16]
        self.writer = 0

    def read(self) -> tuple[bytes, bytes]:
        size = int.from_bytes(get(3), "big")
        data = get(size)
        return data[:1], data[1:]

    def hello(self, *, version: int = 1, ahead: int = 0, **changes: "int | bytes") -> None:
        at = self.offset
        fields = {"epoch": self.epoch, "birth": self.birth, "base": at, "acked": at, "head": at + ahead}
        fields |= {"cols": self.cols, "rows": self.rows, "start": at} | changes
        put(frame(b"H", struct.pack(">BBQ16sQQQHHQ", version, 0, *fields.values())))

    def output(self, data: bytes) -> None:
        put(frame(b"O", self.offset.to_bytes(8, "big") + data))
        self.offset += len(data)

    def answer(self, *, until_input: bool = False) -> None:
        """As the real one would, with K for everything."""
        while True:
            kind, body = self.read()
            if kind == b"W":
                put(frame(b"K", body + bytes(8)))
            elif kind == b"P":
                put(frame(b"P", body))
            elif kind == b"I":
                self.writer = int.from_bytes(body[:8], "big")
                put(frame(b"K", body[:16]))
                if until_input:
                    return

    def begin(self) -> None:
        self.hello()
        if self.first:
            self.answer(until_input=True)


def _floods(kind: bytes, payload: bytes) -> Callable[[Attack], None]:
    def behave(attack: Attack) -> None:
        attack.begin()
        flood(frame(kind, payload))

    return behave


def _output_beyond_window(attack: Attack) -> None:
    attack.begin()
    while True:
        attack.output(b"x" * 32_768)


def _gaps(attack: Attack) -> None:
    """Each one voids the window: behind it a whole ring of output can come."""
    attack.begin()
    while True:
        put(frame(b"G", struct.pack(">QQ", attack.offset, attack.offset + 1)))
        attack.offset += 1
        for _ in range(16):
            attack.output(b"x" * 32_768)


def _slivers(attack: Attack) -> None:
    attack.begin()
    for _ in range(3000):
        for byte in frame(b"O", attack.offset.to_bytes(8, "big") + b"x"):
            put(bytes([byte]))
        attack.offset += 1
    attack.answer()


def _crumbs(attack: Attack) -> None:
    """All that is allowed, in the dearest way: a frame for each byte, as far as the acks let it."""
    attack.begin()
    acked, window = 0, CHUNK
    while True:
        end = min(acked + window, attack.offset + CHUNK // 4)
        put(b"".join(b"\0\0\x0aO" + at.to_bytes(8, "big") + b"x" for at in range(attack.offset, end)))
        attack.offset = end
        while select.select([0], [], [], 0 if end < acked + window else None)[0]:
            kind, body = attack.read()
            if kind == b"C":
                acked, window = struct.unpack(">QI", body)
            elif kind == b"P":
                put(frame(b"P", body))


def _jumps(change: Callable[[int], int]) -> Callable[[Attack], None]:
    """Ten bytes where they belong, then ten at another offset."""

    def behave(attack: Attack) -> None:
        attack.begin()
        attack.output(b"0123456789")
        put(frame(b"O", change(attack.offset).to_bytes(8, "big") + b"0123456789"))
        sleep()

    return behave


def _says(*parts: bytes) -> Callable[[Attack], None]:
    """These bytes, and then it does what a holder does."""

    def behave(attack: Attack) -> None:
        attack.begin()
        put(b"".join(parts))
        attack.answer()

    return behave


def _dies_saying(data: bytes) -> Callable[[Attack], None]:
    def behave(attack: Attack) -> None:
        attack.begin()
        put(data)

    return behave


def _greets(**changes: "int | bytes") -> Callable[[Attack], None]:
    def behave(attack: Attack) -> None:
        attack.hello(**changes)  # type: ignore[arg-type]  # which field it is, the caller knows
        attack.answer()

    return behave


def _other_birth(attack: Attack) -> None:
    attack.birth = os.urandom(16)
    attack.hello()
    if attack.first:
        attack.answer(until_input=True)


def _output_before_hello(attack: Attack) -> None:
    attack.output(b"early")
    attack.answer()


def _refuses(code: int, ahead: int, text: bytes = b"") -> Callable[[Attack], None]:
    """Instead of a hello."""

    def behave(attack: Attack) -> None:
        put(frame(b"E", bytes([code]) + (attack.epoch + ahead).to_bytes(8, "big") + text))
        sleep()

    return behave


def _cuts_off(code: int) -> Callable[[Attack], None]:
    def behave(attack: Attack) -> None:
        attack.begin()
        put(frame(b"E", bytes([code]) + (attack.epoch + 1).to_bytes(8, "big") + b"\x1b[2Jforged"))
        sleep()

    return behave


def _exits_and_goes_on(attack: Attack) -> None:
    attack.begin()
    attack.output(b"before")
    after = frame(b"O", attack.offset.to_bytes(8, "big") + b"after the end")
    # One write: what follows the exit is in the same message.
    put(frame(b"X", struct.pack(">iQQ", -(2**31), attack.offset, 0)) + after * 100)
    sleep()


def _takes_what_was_not_sent(attack: Attack) -> None:
    attack.begin()
    for writer in (1, 2**64 - 1, attack.writer):
        put(frame(b"K", struct.pack(">QQ", writer, 2**63)))
    attack.answer()


def _never_says_hello(_: Attack) -> None:
    sleep()


def _goes_deaf(attack: Attack) -> None:
    attack.begin()
    while True:
        put(frame(b"P", bytes(4)))
        time.sleep(1)


def _answers_pings_only(attack: Attack) -> None:
    attack.hello()
    while True:
        kind, body = attack.read()
        if kind == b"P":
            put(frame(b"P", body))


def _promises_more(attack: Attack) -> None:
    """Replays wait for output that never comes."""
    attack.hello(ahead=RING)
    attack.answer()


def _writes_to_stderr(attack: Attack) -> None:
    attack.begin()
    flood(b"\x1b[2Jno\n", 2)


def _closes(descriptor: int) -> Callable[[Attack], None]:
    def behave(attack: Attack) -> None:
        attack.begin()
        os.close(descriptor)
        while descriptor == 0:
            put(frame(b"P", bytes(4)))
            time.sleep(1)
        attack.answer()

    return behave


def _slow_loris(attack: Attack) -> None:
    attack.begin()
    for byte in frame(b"O", attack.offset.to_bytes(8, "big") + b"x" * 60_000):
        put(bytes([byte]))
        time.sleep(1)


def _leaves_somebody_behind(attack: Attack) -> None:
    """The attach ends, a grandchild keeps its pipes."""
    attack.begin()
    if os.fork() == 0:
        os.setsid()
        sleep()
    put(b"\0\0\0?")


def _status(command: bytes) -> bytes:
    return frame(b"T", struct.pack(">HIIH", 1, 0, 0, 0) + bytes([len(command)]) + command + b"\0")


BEHAVIOURS: dict[str, Callable[[Attack], None]] = {
    "output beyond the window": _output_beyond_window,
    "a flood of K": _floods(b"K", bytes(16)),
    "a flood of N": _floods(b"N", bytes(17)),
    "a flood of T": _floods(b"T", _status(b"sh")[4:]),
    "a flood of P": _floods(b"P", bytes(4)),
    "a flood of H": _floods(b"H", bytes(82)),
    "a flood of unknown types": _floods(b"?", b""),
    "gaps that void the window": _gaps,
    "a byte at a time": _slivers,
    "output from the future": _jumps(lambda at: at + 1),
    "output again": _jumps(lambda at: at - 10),
    "output that overlaps": _jumps(lambda at: at - 5),
    "output at the last offset": _jumps(lambda _: 2**64 - 1),
    "output of nothing": _says(frame(b"O", bytes(8))),
    "a forged gap": _says(frame(b"G", struct.pack(">QQ", 0, 2**61))),
    "a gap to nowhere": _says(frame(b"G", struct.pack(">QQ", 0, 2**64 - 1))),
    "another epoch": _greets(epoch=2**64 - 1),
    "another birth each time": _other_birth,
    "more than a ring": _greets(ahead=RING + 1),
    "version 2": _greets(version=2),
    "a size of 65535": _greets(cols=65_535, rows=65_535),
    "a start beyond its head": _greets(start=2**63),
    "output before hello": _output_before_hello,
    "stale by a million": _refuses(1, 10**6),
    "stale by five": _refuses(1, 5),
    "busy": _refuses(2, 0),
    "lost": _refuses(5, 0),
    "could not start": _refuses(7, 0, b"\x1b[31mcommand not found"),
    "an unknown refusal": _refuses(99, 0, b"\xff\xfe\0"),
    "a refusal of one byte": lambda _: put(frame(b"E", b"\1")),
    "fenced": _cuts_off(4),
    "lost in the middle": _cuts_off(5),
    "exit and more output": _exits_and_goes_on,
    "crumbs within the window": _crumbs,
    "K for what was not sent": _takes_what_was_not_sent,
    "a frame of length 0": _says(b"\0\0\0O"),
    "a frame of length 65533": _says((65_533).to_bytes(3, "big") + b"O" + bytes(65_532)),
    "a frame of 16 MiB": _says(b"\xff\xff\xffO"),
    "death in a frame": _dies_saying(frame(b"O", bytes(1000))[:500]),
    "a short status": _says(frame(b"T", b"\0")),
    "a dirty status": _says(_status(b"\x1b]0;a\7\x9b\xff\xfe\r\nb\xe2\x80\xae")),
    "never a hello": _never_says_hello,
    "deafness": _goes_deaf,
    "pongs only": _answers_pings_only,
    "promises": _promises_more,
    "endless stderr": _writes_to_stderr,
    "no stdout": _closes(1),
    "no stdin": _closes(0),
    "a byte a second": _slow_loris,
    "pipes kept by a grandchild": _leaves_somebody_behind,
}


def size(behaviour: str, way: str = "") -> tuple[int, int]:
    """The (columns, rows) of a page that wants to meet it, `door` or `LXD`: else one or the other by its place in the list."""
    place = list(BEHAVIOURS).index(behaviour)
    by_lxd = way == "LXD" or (not way and (place % 2 == 1 or behaviour in OF_PIPES))
    return FIRST_COLUMN + place, 25 if by_lxd else 24


OF_PIPES = ("endless stderr", "no stdout", "no stdin", "pipes kept by a grandchild")
"""A door is one socket, so these mean something only on LXD's pipes."""


def choose_way() -> None:
    """Through the server's door, or with an odd number of rows through LXD, also when it is attached to again."""
    by_lxd = Path(f"/tmp/{sys.argv[2]}.lxd")
    if sys.argv[1] == "start" and int(sys.argv[4]) % 2:
        by_lxd.touch()
    door = os.environ.get("EDUCENTER_DOOR")
    if door is None or by_lxd.exists():
        put(b"no door\n", 2)
        return
    line = socket.socket(socket.AF_UNIX)
    line.connect(door)
    for descriptor in (0, 1):
        os.dup2(line.fileno(), descriptor)
    line.close()


def main() -> None:
    with suppress(OSError, EOFError):
        choose_way()
        attack = Attack(sys.argv[2])
        list(BEHAVIOURS.values())[attack.cols - FIRST_COLUMN](attack)


if __name__ == "__main__":
    main()
