"""The frames of both protocols (docs/protocol.md), pure: bytes in, bytes out. No sockets, no state but the decoder's own rest.

A frame's *body* is its type byte and its payload. A holder's `O` body is byte for byte the browser's `O` message, so output
passes through the server without being packed again. All integers are big-endian.
"""

import struct
from dataclasses import dataclass

VERSION = 1
# LXD hands stdout on in messages of at most 64 KiB, so a frame and its 3-byte length fit one of them.
MAX_BODY = 65_532
MAX_INPUT = 16_384
"""Bytes of input in one browser frame."""
FROM_BASE = 2**64 - 1
"""As an attach offset: all that the ring still has."""
OFFSET_LIMIT = 2**62
"""More bytes than any pty puts out: offsets beyond it are forged."""
RING = 1_048_576
"""Bytes of a holder's ring."""
WINDOW_MIN = 65_536
WINDOW_MAX = 524_288
MOST_CELLS = 1_000
"""Columns or rows of a terminal."""
OUTPUT_HEAD = 9
"""Bytes before the output in an O body: the type and the offset."""
INPUT_HEAD = 17
"""Bytes before the input in an I body: the type, the writer and the seq."""

ATTACH, INPUT, WRITER, ACK, RESIZE, PING, HANGUP = b"A", b"I", b"W", b"C", b"R", b"P", b"Z"
# Types as integers, as indexing a body gives them.
HELLO, OUTPUT, GAP, TAKEN, NAK, STATUS, EXIT, PONG, ERROR = b"HOGKNTXPE"
BROWSER_INPUT, BROWSER_ACK, BROWSER_RESIZE, BROWSER_PING = b"IARP"

# Only between instances (relay, mirror): the owner lives; the owner lets go; a part of what its terminal shows.
BEAT, LEAVE, PICTURE = b"b", b"z", b"v"

_PAIR = struct.Struct(">QQ")
_HELLO = struct.Struct(">BBQ16sQQQHHQ")
_ATTACH = struct.Struct(">BBQ16sQIHH")
_NAK = struct.Struct(">QQB")
_EXIT = struct.Struct(">iQQ")
_STATUS = struct.Struct(">HIIH")
_SIZE = struct.Struct(">HH")
_U64 = struct.Struct(">Q")
_U32 = struct.Struct(">I")
_ACK = struct.Struct(">QI")
_SNAPSHOT = struct.Struct(">QQHH")
_PICTURE = struct.Struct(">??QHH")

# Payload sizes of the fixed-size types; O, T and E are checked where they are read.
_SIZES = {HELLO: _HELLO.size, GAP: 16, TAKEN: 16, NAK: _NAK.size, EXIT: _EXIT.size, PONG: 4}
KNOWN = frozenset(b"HOGKNTXPE")
"""Types that a holder of this version sends."""


class BadFrame(ValueError):
    """The other side broke the protocol; the message says how."""


class Decoder:
    """Cuts a holder's byte stream into bodies. What comes from a container is hostile: anything odd raises `BadFrame`."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The complete bodies in `data` after what was left over, unknown types too: who takes them counts. Keeps < 64 KiB.

        Raises:
            BadFrame: a length of 0 or beyond the bound, or a known type with a wrong size.
        """
        if self._rest:
            data = self._rest + data
        bodies: list[bytes] = []
        position, end = 0, len(data)
        while end - position >= 4:
            length = int.from_bytes(data[position : position + 3])
            if not 1 <= length <= MAX_BODY:
                raise BadFrame(f"frame length {length}")
            stop = position + 3 + length
            if stop > end:
                break
            kind = data[position + 3]
            if _SIZES.get(kind, length - 1) != length - 1:
                raise BadFrame(f"frame {chr(kind)} of {length - 1} bytes")
            bodies.append(data[position + 3 : stop])
            position = stop
        self._rest = data[position:] if position else data
        return bodies


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    """A holder frame: length u24, type, payload."""
    return (((len(payload) + 1) << 8) | kind[0]).to_bytes(4) + payload


def packed(body: bytes) -> bytes:
    """A body as a frame."""
    return len(body).to_bytes(3) + body


@dataclass(frozen=True, slots=True)
class Hello:
    """What a holder says of its pty when an owner attaches."""

    version: int
    exited: bool
    epoch: int
    birth: bytes
    base: int
    acked: int
    head: int
    cols: int
    rows: int
    start: int
    """The offset that output follows from."""

    def body(self) -> bytes:
        """As an H body."""
        flags = int(self.exited)
        return b"H" + _HELLO.pack(
            self.version,
            flags,
            self.epoch,
            self.birth,
            self.base,
            self.acked,
            self.head,
            self.cols,
            self.rows,
            self.start,
        )

    def believable(self, birth: bytes, offset: int) -> bool:
        """Whether an honest holder could say this to who attached with `birth` (zeros: any) and at `offset`."""
        return (
            self.base <= self.acked <= self.head < OFFSET_LIMIT
            and self.head - self.base <= RING
            and self.start in (offset, self.base)
            and self.start <= self.head
            and birth in (bytes(16), self.birth)
        )


@dataclass(frozen=True, slots=True)
class Status:
    """What runs in the terminal, as the holder claims."""

    shell: bool
    alternate: bool
    bracketed_paste: bool
    echo: bool
    canonical: bool
    since_input: int
    since_output: int
    others: int
    command: str
    modes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Exit:
    """How the shell ended: its status, or 128 + the signal."""

    code: int
    offset: int
    time: int


def attach(*, epoch: int, birth: bytes, offset: int, window: int, size: tuple[int, int], forced: bool = True) -> bytes:
    """The first frame to a holder. `birth`: 16 bytes, zeros for any; `size`: (cols, rows), zeros to leave it."""
    return frame(ATTACH, _ATTACH.pack(VERSION, int(forced), epoch, birth, offset, window, *size))


def holder_input(writer: int, seq: int, data: bytes) -> bytes:
    """Input of one writer."""
    return frame(INPUT, _PAIR.pack(writer, seq) + data)


def ask_writer(writer: int) -> bytes:
    """Asks for the last seq that was taken of `writer`."""
    return frame(WRITER, _U64.pack(writer))


def ack(offset: int, window: int) -> bytes:
    """The holder may forget what is below `offset` and send up to `offset + window`."""
    return frame(ACK, _ACK.pack(offset, window))


def resize(cols: int, rows: int) -> bytes:
    """The pty's size."""
    return frame(RESIZE, _SIZE.pack(cols, rows))


def ping(nonce: int) -> bytes:
    """Keeps an owner an owner."""
    return frame(PING, _U32.pack(nonce))


def read_hello(body: bytes) -> Hello:
    """An H body (its size was checked by the decoder)."""
    version, flags, epoch, birth, base, acked, head, cols, rows, start = _HELLO.unpack_from(body, 1)
    # Any program in the terminal may have set any size (stty cols 60000): no reason to distrust its holder.
    cols, rows = min(cols, MOST_CELLS), min(rows, MOST_CELLS)
    return Hello(version, bool(flags & 1), epoch, birth, base, acked, head, cols, rows, start)


def read_pair(body: bytes) -> tuple[int, int]:
    """The two u64 of a G (from, to) or K (writer, seq) body."""
    first, second = _PAIR.unpack_from(body, 1)
    return first, second


def read_nak(body: bytes) -> tuple[int, int, int]:
    """(writer, expected, reason) of an N body."""
    writer, expected, reason = _NAK.unpack_from(body, 1)
    return writer, expected, reason


def read_exit(body: bytes) -> Exit:
    """An X body."""
    return Exit(*_EXIT.unpack_from(body, 1))


def read_error(body: bytes) -> tuple[int, int, str]:
    """(code, epoch, text) of an E body.

    Raises:
        BadFrame: too short.
    """
    if len(body) < 10:
        raise BadFrame("frame E too short")
    return body[1], _U64.unpack_from(body, 2)[0], body[10:510].decode("utf-8", "replace")


def read_status(body: bytes) -> Status:
    """A T body. The command is cleaned of control characters: it is the student's text.

    Raises:
        BadFrame: too short for what it says it holds.
    """
    try:
        flags, since_input, since_output, others = _STATUS.unpack_from(body, 1)
        at = 1 + _STATUS.size
        size = body[at]
        command = body[at + 1 : at + 1 + size].decode("utf-8", "replace")
        count = body[at + 1 + size]
        modes = struct.unpack_from(f">{count}H", body, at + 2 + size)
    except (struct.error, IndexError) as error:
        raise BadFrame("frame T too short") from error
    clean = "".join(c for c in command if c.isprintable())[:64]
    return Status(
        shell=bool(flags & 1),
        alternate=bool(flags & 2),
        bracketed_paste=bool(flags & 4),
        echo=bool(flags & 8),
        canonical=bool(flags & 16),
        since_input=since_input,
        since_output=since_output,
        others=others,
        command=clean,
        modes=modes,
    )


def offset_of(body: bytes) -> int:
    """The offset of an O body."""
    return int.from_bytes(body[1:OUTPUT_HEAD])


def output(offset: int, data: bytes) -> bytes:
    """An O body."""
    return b"O" + _U64.pack(offset) + data


def snapshot(offset: int, live: int, size: tuple[int, int], data: bytes) -> bytes:
    """A browser's S message: reset, show `data`, go on at `offset`."""
    return b"S" + _SNAPSHOT.pack(offset, live, *size) + data


def picture(offset: int, size: tuple[int, int], data: bytes, *, first: bool, last: bool) -> bytes:
    """A part of a picture, from instance to instance."""
    return PICTURE + _PICTURE.pack(first, last, offset, *size) + data


def read_picture(body: bytes) -> tuple[int, tuple[int, int], bytes, bool, bool]:
    """(offset, size, bytes, whether it is the first part, whether it is the last).

    Raises:
        BadFrame: too short.
    """
    if len(body) < 1 + _PICTURE.size:
        raise BadFrame("frame v too short")
    first, last, offset, cols, rows = _PICTURE.unpack_from(body, 1)
    return offset, (cols, rows), body[1 + _PICTURE.size :], first, last


def gap(start: int, stop: int) -> bytes:
    """A browser's G message."""
    return b"G" + _PAIR.pack(start, stop)


def taken(seq: int) -> bytes:
    """A browser's K message."""
    return b"K" + _U64.pack(seq)


def pong(payload: bytes) -> bytes:
    """A browser's P message; `payload` is the nonce as it came."""
    return b"P" + payload


def read_browser_input(message: bytes) -> tuple[int, bytes]:
    """(seq, bytes) of a browser's I message.

    Raises:
        BadFrame: wrong size, or seq 0.
    """
    if not 10 <= len(message) <= 9 + MAX_INPUT:
        raise BadFrame(f"input frame of {len(message)} bytes")
    seq = _U64.unpack_from(message, 1)[0]
    if seq == 0:
        raise BadFrame("input seq 0")
    return seq, message[9:]


def read_browser_ack(message: bytes) -> int:
    """The offset of a browser's A message."""
    if len(message) != 9:
        raise BadFrame(f"ack frame of {len(message)} bytes")
    offset: int = _U64.unpack_from(message, 1)[0]
    return offset


def read_browser_resize(message: bytes) -> tuple[int, int]:
    """(cols, rows) of a browser's R message."""
    if len(message) != 5:
        raise BadFrame(f"resize frame of {len(message)} bytes")
    cols, rows = _SIZE.unpack_from(message, 1)
    return check_size(cols, rows)


def check_size(cols: int, rows: int) -> tuple[int, int]:
    """The size, if a terminal can have it: 2–1000 columns, 1–1000 rows.

    Raises:
        BadFrame: it can't.
    """
    if not (2 <= cols <= MOST_CELLS and 1 <= rows <= MOST_CELLS):
        raise BadFrame(f"size {cols}×{rows}")
    return cols, rows
