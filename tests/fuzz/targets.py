"""What is fuzzed: all that takes bytes from a container or a browser. Any end in frames or in a refusal, nothing else."""

import asyncio
import logging
from collections.abc import Callable
from typing import cast

import structlog

from server.channel import Channel
from server.hello import read_hello, read_json
from server.tickets import Tickets
from terminals import terminal
from terminals.errors import Lost, TerminalsError
from terminals.link import exec as exec_
from terminals.link import frames, scrollback
from terminals.link.exec import Attach, Exec
from terminals.link.frames import BadFrame, Decoder
from terminals.link.scrollback import Scrollback
from terminals.link.streams import Stream
from terminals.link.wire import Cutter
from terminals.store.terminals import Claim
from terminals.terminal import Terminal
from terminals.viewers import viewer
from terminals.viewers.viewer import Viewer

READERS: dict[int, Callable[[bytes], object]] = {
    frames.HELLO: frames.read_hello,
    frames.GAP: frames.read_pair,
    frames.TAKEN: frames.read_pair,
    frames.NAK: frames.read_nak,
    frames.EXIT: frames.read_exit,
    frames.STATUS: frames.read_status,
    frames.ERROR: frames.read_error,
}
SIZE = (80, 24)
WRITER = 7

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
loop = asyncio.new_event_loop()


def chunks(data: bytes) -> list[tuple[int, bytes]]:
    """(choice, bytes): the input says itself where it is cut, two bytes before each piece."""
    found = []
    while len(data) >= 2:
        size = data[1]
        found.append((data[0], data[2 : 2 + size]))
        data = data[2 + size :]
    return found


# -- from a container -------------------------------------------------------------------------------------------------


def decoder(data: bytes) -> None:
    """Any split of a stream gives the same bodies, or the same refusal."""
    parts = [part for _, part in chunks(data)]
    whole = _decoded([b"".join(parts)])
    assert _decoded(parts) == whole
    for body in whole or ():
        try:
            READERS.get(body[0], len)(body)
        except BadFrame:
            continue


def _decoded(parts: list[bytes]) -> list[bytes] | None:
    decoding, bodies = Decoder(), []
    try:
        for part in parts:
            bodies += decoding.feed(part)
            assert len(decoding._rest) < frames.MAX_BODY + 4
    except BadFrame:
        return None
    return bodies


class Still(asyncio.Transport):
    """A stream's socket without a peer."""

    state = 0
    paused = False

    def __init__(self) -> None:
        super().__init__()
        self.transport = self

    def hand_to(self, taker: Callable[[bytes], None]) -> None:
        self.taker = taker

    def post(self, data: bytes) -> None:
        pass

    async def close(self) -> None:  # type: ignore[override] # as a stream closes
        pass

    def abort(self) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Page:
    """Checks what a browser would get: contiguous, and nothing behind the exit."""

    def __init__(self) -> None:
        self.viewer = Viewer(1, WRITER, "driver", SIZE)
        self.offset = 0
        self.exited = False

    async def read(self) -> None:
        while self.viewer._queue:
            for message in await self.viewer.next():
                if isinstance(message, str):
                    self.exited |= '"exit"' in message
                elif message[0] == frames.OUTPUT:
                    assert frames.offset_of(message) == self.offset
                    assert not self.exited
                    self.offset += len(message) - frames.OUTPUT_HEAD
                elif message[0] == frames.GAP:
                    start, stop = frames.read_pair(message)
                    assert start == self.offset < stop
                    self.offset = stop


def holder(data: bytes) -> None:
    """A holder that says anything, to a terminal with a driver: the path ends in words, or all that is kept stays right."""
    loop.run_until_complete(_holder(data))


async def _holder(data: bytes) -> None:
    streams = {name: Still() for name in ("0", "1", "2", "control")}
    opened = Exec(cast("dict[str, Stream]", streams))
    opened._source.hand_to(opened._receive)
    parts = chunks(data)
    attach = Attach(1, bytes(16), frames.FROM_BASE, SIZE)
    while parts and not opened._spoke.is_set():
        opened._receive(parts.pop(0)[1])
    if not opened._spoke.is_set():
        return
    try:
        opened._greet(attach)
    except TerminalsError:
        return

    async def open_exec(_attach: Attach, _more: bytes) -> Exec:
        if owner.attaches:
            raise Lost("one path is enough")
        return opened

    owner = Terminal(Claim("t", "s", 1, "c", 1, None), open_exec, SIZE)
    page = Page()
    running = asyncio.ensure_future(owner.path.run())
    await asyncio.sleep(0)
    for choice, part in parts:
        if owner.sinks.driver is None and owner._ready.is_set() and owner.exit is None:
            page.offset = owner._scrollback.end
            owner._drive(page.viewer)
            owner.sinks.join(page.viewer)
        if choice & 3 == 1:
            owner.tick()
        elif choice & 3 == 2:
            owner.ack(page.viewer, owner._scrollback.end)
        streams["2" if choice & 4 else "1"].taker(part)
        await asyncio.sleep(0)
        await page.read()
        _check(owner, opened, page.viewer)
    opened.finish()
    await running


def _check(owner: Terminal, opened: Exec, watching: Viewer) -> None:
    kept = owner._scrollback
    _check_contiguous(kept)
    assert kept.end - kept.base <= scrollback.LIMIT
    assert kept.end < 2 * frames.OFFSET_LIMIT
    if owner._ready.is_set() and owner.exit is None:
        # Before, a claim has yet to read what the holder says was acked.
        assert owner._flow.released <= kept.end
        assert owner._flow.rendered <= kept.end
    assert owner._controls <= terminal.CONTROLS + 1
    assert watching._bytes <= 2 * viewer.LIMIT
    assert opened._early_bytes <= exec_.EARLY_LIMIT + frames.MAX_BODY + exec_.OVERHEAD
    assert len(opened._stderr) <= exec_.STDERR_LIMIT


def _check_contiguous(kept: Scrollback) -> None:
    at = kept.base
    for body in kept.since(kept.base):
        assert frames.offset_of(body) == at
        at += len(body) - frames.OUTPUT_HEAD
    assert at == kept.end


# -- from a browser ---------------------------------------------------------------------------------------------------


def browser(data: bytes) -> None:
    """Binary messages of a driver, the attach, other JSON."""
    loop.run_until_complete(_browser(data))


async def _browser(data: bytes) -> None:
    async def open_exec(_attach: Attach, _more: bytes) -> Exec:
        raise AssertionError

    owner = Terminal(Claim("t", "s", 1, "c", 1, bytes(16)), open_exec, SIZE)
    owner._scrollback.append(frames.output(0, bytes(1000)))
    page = Viewer(1, WRITER, "driver", SIZE)
    owner._drive(page)
    owner.sinks.join(page)
    # Without a browser: this method needs nothing but these two.
    channel = object.__new__(Channel)
    channel._viewer, channel._terminal = page, owner
    for choice, part in chunks(data):
        try:
            if choice & 1:
                channel._handle(part)
            else:
                text = part.decode("utf-8", "replace")
                read_json(text)
                found = read_hello(text)
                assert found.writer
                assert 0 <= found.offset < 2**63
        except BadFrame:
            continue
    assert 0 <= owner._flow.rendered <= 1000
    assert 2 <= owner.size[0] <= frames.MOST_CELLS


TICKETS = Tickets("k" * 44)


def wire(data: bytes) -> None:
    """Any split of a socket's bytes gives the same messages and the same rest for the library, and loses nothing."""
    parts = [part for _, part in chunks(data)]
    assert _cut(parts) == _cut([b"".join(parts)])


def _cut(parts: list[bytes]) -> tuple[list[bytes], bytes]:
    others: list[bytes] = []
    taken: list[bytes] = []
    cutter = Cutter(others.append, 300, masked=True)
    cutter.take = taken.append
    for part in parts:
        cutter.feed(part)
        assert cutter.waiting < 300 + 14
    return taken, b"".join(others)


def tickets(data: bytes) -> None:
    """A ticket that we didn't sign admits nobody."""
    text = data.decode("utf-8", "replace")
    assert TICKETS.read(text) is None


TARGETS: dict[str, Callable[[bytes], None]] = {
    "decoder": decoder,
    "holder": holder,
    "browser": browser,
    "wire": wire,
    "tickets": tickets,
}
