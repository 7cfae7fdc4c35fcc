"""Exec and its streams against a holder and an LXD that say anything, byte for byte."""

import asyncio
import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request

from terminals import terminal
from terminals.errors import Cut, Refused, TerminalsError
from terminals.link import exec as exec_
from terminals.link import frames, streams
from terminals.link.exec import Attach, Exec
from terminals.lxd import Lxd
from terminals.store.terminals import Claim
from terminals.terminal import Terminal
from terminals.viewers import answers
from terminals.viewers.viewer import Viewer
from tests.fake_lxd import Attached, FakeLxd, Script, attach, hello, playing

WAIT_S = 10
OUTPUT = frames.frame(b"O", bytes(8) + b"abc")


def says(*messages: bytes | str | list[bytes]) -> Script:
    """A hello, then these messages (a list: one in fragments), then silence."""

    async def play(path: Attached) -> None:
        await path.hello()
        for message in messages:
            await path.sockets["1"].send(message)
        await asyncio.sleep(WAIT_S)

    return play


def asked(*messages: bytes) -> Script:
    """The same, once the server has sent something: by then it pumps."""

    async def play(path: Attached) -> None:
        await path.hello()
        await path.read()
        for message in messages:
            await path.send(message)
        await asyncio.sleep(WAIT_S)

    return play


async def pumped(opened: Exec, enough: Callable[[list[bytes]], bool] = lambda _: False) -> tuple[list[bytes], str]:
    """The bodies until there are enough, and why it ended otherwise."""
    taken: list[bytes] = []

    def take(bodies: list[bytes]) -> None:
        taken.extend(bodies)
        if enough(taken):
            opened.finish()

    try:
        async with asyncio.timeout(WAIT_S):
            await opened.pump(take)
    except Cut as error:
        return taken, error.message
    finally:
        await opened.close()
    return taken, ""


async def test_frames_come_whole_however_the_messages_cut_them(tmp_path: Path) -> None:
    stream = OUTPUT + frames.frame(b"O", (3).to_bytes(8) + bytes(60_000)) + frames.frame(b"P", bytes(4))
    for size in (1000, 7, len(stream)):
        parts = [stream[at : at + size] for at in range(0, len(stream), size)]
        for messages in ([*parts], [parts]):
            async with playing(tmp_path, says(*messages)) as fake:
                taken, why = await pumped(await attach(fake), lambda taken: len(taken) == 3)
            assert (len(taken), why) == (3, "")
            assert taken[1] == frames.output(3, bytes(60_000))
            (tmp_path / "lxd.sock").unlink()


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([OUTPUT, ""], "closed the stream"),
        ([OUTPUT, "words"], "closed the stream"),
        ([OUTPUT[:-1], ""], "closed the stream"),
        ([OUTPUT, bytes(streams.MESSAGE_LIMIT + 1)], "closed the stream"),
        ([OUTPUT, b"\0\0\0O"], "broke the protocol"),
        ([OUTPUT, b"\xff\xff\xffO"], "broke the protocol"),
        ([OUTPUT, frames.frame(b"K", b"short")], "broke the protocol"),
    ],
)
async def test_what_is_not_the_protocol_cuts_with_a_reason(
    tmp_path: Path, messages: list[bytes | str], reason: str
) -> None:
    async with playing(tmp_path, says(*messages)) as fake:
        taken, why = await pumped(await attach(fake))
    assert taken in ([frames.output(0, b"abc")], [])
    assert reason in why


async def test_a_socket_that_dies_in_a_frame_cuts(tmp_path: Path) -> None:
    async def play(path: Attached) -> None:
        await path.hello()
        await path.send(OUTPUT + OUTPUT[:5])
        path.sockets["1"].transport.abort()

    async with playing(tmp_path, play) as fake:
        taken, why = await pumped(await attach(fake))
    assert len(taken) == 1
    assert "closed the stream" in why


async def test_a_foreseen_end_keeps_no_read_alive(tmp_path: Path) -> None:
    """The traceback of a refused frame holds the whole read; in a cycle that waits for the collector, a flood grows so."""

    pumping = asyncio.Event()

    def refuse(bodies: list[bytes]) -> None:
        pumping.set()
        if bodies:
            raise Cut("not its own")

    async def play(path: Attached) -> None:
        await path.hello()
        await pumping.wait()
        await path.send(OUTPUT * 1000)
        await asyncio.sleep(WAIT_S)

    async with playing(tmp_path, play) as fake:
        opened = await attach(fake)
        with pytest.raises(Cut) as caught:
            async with asyncio.timeout(WAIT_S):
                await opened.pump(refuse)
        await opened.close()
    names = {entry.name for entry in caught.traceback}
    assert not names & {"refuse", "_hand_on", "_receive", "_take"}, names


async def test_pings_of_the_websocket_disturb_nothing(tmp_path: Path) -> None:
    async def play(path: Attached) -> None:
        await path.hello()
        for _ in range(2000):
            _pong = await path.sockets["1"].ping()
        await path.send(OUTPUT)
        await asyncio.sleep(WAIT_S)

    async with playing(tmp_path, play) as fake:
        taken, why = await pumped(await attach(fake), lambda taken: len(taken) == 1)
    assert (taken, why) == ([frames.output(0, b"abc")], "")


@pytest.mark.parametrize(("size", "opens"), [(0, True), (40_000, True), (streams.EARLY_LIMIT, False)])
async def test_what_comes_before_all_sockets_are_open_is_kept_up_to_a_bound(
    tmp_path: Path, size: int, opens: bool
) -> None:
    gate = asyncio.Event()

    async def opening(_: ServerConnection, request: Request) -> None:
        if "secret=control" in request.path:
            async with asyncio.timeout(WAIT_S):
                await gate.wait()

    async with playing(tmp_path, says()) as fake:
        fake.opening = opening
        task = asyncio.create_task(attach(fake))
        async with asyncio.timeout(WAIT_S):
            while not fake.paths or "1" not in fake.paths[0].sockets:
                await asyncio.sleep(0.01)
        early = hello() + frames.frame(b"O", bytes(8) + bytes(size))[: size and None]
        for at in range(0, len(early), 16_384):
            await fake.paths[0].send(early[at : at + 16_384])
        gate.set()
        if opens:
            opened = await task
            assert opened.hello.head == 0
            await opened.close()
        else:
            with pytest.raises(Cut):
                await task


async def test_tiny_frames_before_the_pump_are_bounded_by_what_they_cost(tmp_path: Path) -> None:
    """Two bytes each: counted by their length alone, a million of them would pass."""
    flood = frames.frame(b"T", b"x") * 16_000
    async with playing(tmp_path, says(*[flood] * 40)) as fake:
        opened = await attach(fake)
        async with asyncio.timeout(WAIT_S):
            while not opened._ended.done():
                await asyncio.sleep(0.01)
        assert len(opened._early) * exec_.OVERHEAD <= exec_.EARLY_LIMIT
        _, why = await pumped(opened)
    assert "floods" in why


async def test_a_read_full_of_crumbs_leaves_the_loop_its_turns(tmp_path: Path) -> None:
    count = 40_000
    stream = b"".join(frames.frame(b"O", at.to_bytes(8) + b"x") for at in range(count))
    turns = [0]

    async def turn() -> None:
        while True:
            turns.append(0)
            await asyncio.sleep(0)

    def take(bodies: list[bytes]) -> None:
        for body in bodies:
            assert frames.offset_of(body) == sum(turns)
            turns[-1] += 1
        if sum(turns) == count:
            opened.finish()

    async with playing(tmp_path, asked(*(stream[at : at + 65_536] for at in range(0, len(stream), 65_536)))) as fake:
        opened = await attach(fake)
        opened.post(frames.ping(1))
        turning = asyncio.create_task(turn())
        async with asyncio.timeout(WAIT_S):
            await opened.pump(take)
        turning.cancel()
        await opened.close()
    assert sum(turns) == count
    assert max(turns[1:]) <= 1_024


async def test_what_came_before_a_sudden_end_still_counts(tmp_path: Path) -> None:
    count = 3_000

    async def play(path: Attached) -> None:
        await path.hello()
        await path.read()
        await path.send(b"".join(frames.frame(b"O", at.to_bytes(8) + b"x") for at in range(count)))
        path.sockets["1"].transport.close()
        await asyncio.sleep(WAIT_S)

    async with playing(tmp_path, play) as fake:
        opened = await attach(fake)
        opened.post(frames.ping(1))
        taken, why = await pumped(opened)
    assert len(taken) == count
    assert "closed the stream" in why


async def test_nothing_is_taken_behind_an_exit() -> None:
    async def open_exec(_attach: Attach, _more: bytes) -> Exec:
        raise AssertionError

    owner = Terminal(Claim("t", "s", 1, "c", 1, None), open_exec, (80, 24))
    owner.hear([b"X" + bytes(20), b"O" + bytes(8) + b"abc", b"\xff"])
    assert owner.exit is not None
    assert owner._scrollback.end == 0


async def test_stderr_is_kept_a_little_and_ends_the_path_when_it_floods(tmp_path: Path) -> None:
    async def play(path: Attached) -> None:
        await path.hello()
        for _ in range(2 * exec_.STDERR_FLOOD // 65_536):
            await path.send(b"\x1b[2J" + bytes(65_532), "2")

    async with playing(tmp_path, play) as fake:
        opened = await attach(fake)
        _, why = await pumped(opened)
    assert "floods" in why
    assert len(opened._stderr) == exec_.STDERR_LIMIT


async def test_posts_that_lxd_does_not_take_end_the_path_at_the_bound(tmp_path: Path) -> None:
    async def play(path: Attached) -> None:
        await path.hello()
        path.sockets["0"].transport.pause_reading()
        await asyncio.sleep(WAIT_S)

    async with playing(tmp_path, play) as fake:
        opened = await attach(fake)
        frame = frames.holder_input(1, 1, bytes(16_384))
        highest = 0
        for _ in range(1000):
            opened.post(frame)
            highest = max(highest, opened._line.transport.get_write_buffer_size())
            await asyncio.sleep(0)
        assert highest <= streams.POST_LIMIT + 2 * len(frame)
        _, why = await pumped(opened)
    assert "doesn't take input" in why


async def test_a_writer_waits_only_so_long_for_a_holder_that_does_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exec_, "DRAIN_TIMEOUT_S", 0.2)

    async def play(path: Attached) -> None:
        await path.hello()
        path.sockets["0"].transport.pause_reading()
        await asyncio.sleep(WAIT_S)

    async with playing(tmp_path, play) as fake:
        opened = await attach(fake)
        while not opened._line.paused:
            opened.post(frames.holder_input(1, 1, bytes(16_384)))
        await opened.drain()
        _, why = await pumped(opened)
    assert "takes no input" in why


@pytest.mark.parametrize(
    ("first", "error"),
    [
        (hello(version=2), Refused),
        (hello(head=frames.RING + 1), Cut),
        (hello(base=2**63, acked=2**63, head=2**63, start=2**63), Cut),
        (hello(acked=5), Cut),
        (hello(start=7), Cut),
        (hello(start=frames.FROM_BASE), Cut),
        (OUTPUT, Cut),
        (frames.frame(b"E", b"\1"), Cut),
        (frames.frame(b"E", b"\xff" + bytes(8) + b"\xff\xfe"), Cut),
    ],
)
async def test_a_hello_that_no_honest_holder_says_is_refused(
    tmp_path: Path, first: bytes, error: type[TerminalsError]
) -> None:
    async def play(path: Attached) -> None:
        await path.send(first)
        await asyncio.sleep(WAIT_S)

    async with playing(tmp_path, play) as fake:
        with pytest.raises(error):
            await attach(fake)


async def test_unknown_frames_before_the_hello_are_passed_over(tmp_path: Path) -> None:
    async def play(path: Attached) -> None:
        await path.send(frames.frame(b"?", b"from the future"))
        await path.hello()
        await asyncio.sleep(WAIT_S)

    async with playing(tmp_path, play) as fake:
        opened = await attach(fake)
        await opened.close()


async def test_a_holder_that_says_nothing_keeps_nobody_else_from_attaching(tmp_path: Path) -> None:
    async def mute(_: Attached) -> None:
        await asyncio.sleep(WAIT_S)

    gate = asyncio.Semaphore(1)
    async with playing(tmp_path, mute, says()) as fake:
        waiting = asyncio.create_task(attach(fake, gate=gate))
        async with asyncio.timeout(WAIT_S):
            while not fake.paths:
                await asyncio.sleep(0)
        async with asyncio.timeout(2):
            opened = await attach(fake, gate=gate)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await opened.close()


# -- a terminal on top ------------------------------------------------------------------------------------------------


class Owner:
    """A terminal over a fake LXD, as the hub runs one."""

    def __init__(self, fake: FakeLxd) -> None:
        claim = Claim("terminal", "session", 1, "container", 1, None)
        self.terminal = Terminal(claim, partial(self._open, fake), (80, 24))
        self.task = asyncio.create_task(self.terminal.path.run())

    async def _open(self, fake: FakeLxd, wanted: Attach, more: bytes) -> Exec:
        return await Exec.open(cast("Lxd", fake), "container", ["holder"], wanted, more=more)

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def told(viewer: Viewer, word: str) -> None:
    """Reads what the browser would get until a message holds the word."""
    async with asyncio.timeout(WAIT_S):
        while True:
            for message in await viewer.next():
                if isinstance(message, str) and word in message:
                    return


async def test_a_holder_that_does_not_say_the_last_seq_is_attached_to_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "TIMEOUT_S", 0.3)

    async def first(path: Attached) -> None:
        await path.hello()
        while (await path.read())[:1] != frames.WRITER:
            pass
        await path.send(frames.frame(b"K", (7).to_bytes(8) + bytes(8)))
        await asyncio.sleep(0.1)
        await path.sockets["1"].send("")

    async def deaf(path: Attached) -> None:
        await path.hello()
        await asyncio.sleep(WAIT_S)

    async def honest(path: Attached) -> None:
        await path.hello()
        await path.answer()

    async with playing(tmp_path, first, deaf, honest) as fake:
        owner = Owner(fake)
        viewer = Viewer(1, 7, "driver", (80, 24))
        await owner.terminal.attach(viewer, None, 0, "ticket")
        await told(viewer, '"attached"')
        await told(viewer, '"detached"')
        await told(viewer, '"attached"')
        assert len(fake.paths) == 3
        assert not owner.terminal._answers
        await owner.end()


@pytest.mark.parametrize("kind", [b"?", b"K", b"N", b"P", b"H", b"T"])
async def test_control_frames_are_counted_whatever_their_type(tmp_path: Path, kind: bytes) -> None:
    size = frames._SIZES.get(kind[0], 14)
    flood = frames.frame(kind, bytes(size)) * (terminal.CONTROLS // 2)
    pumping = asyncio.Event()

    async def play(path: Attached) -> None:
        await path.hello()
        await pumping.wait()
        for _ in range(10):
            await path.send(flood)

    async with playing(tmp_path, play) as fake:
        owner = Owner(fake)
        async with asyncio.timeout(WAIT_S):
            while not owner.terminal.attached:
                await asyncio.sleep(0.01)
        pumping.set()
        async with asyncio.timeout(WAIT_S):
            while len(fake.paths) < 2:
                await asyncio.sleep(0.01)
        assert owner.terminal._controls <= terminal.CONTROLS + 1
        await owner.end()


async def test_a_gap_is_believed_only_right_behind_a_hello(tmp_path: Path) -> None:
    gaps = (frames.frame(frames.gap(at, at + 1)[:1], frames.gap(at, at + 1)[1:]) for at in itertools.count())
    async with playing(tmp_path, says(next(gaps))) as fake:
        owner = Owner(fake)
        async with asyncio.timeout(WAIT_S):
            while len(fake.paths) < 2:
                await asyncio.sleep(0.01)
        assert owner.terminal._scrollback.end == 0
        await owner.end()
