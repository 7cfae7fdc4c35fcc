"""The holder behind a real LXD exec, with nothing of ours in between but terminals.exec: its frames, cut as LXD cuts them."""

import asyncio
import errno
import os
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from terminals.holder import Holder
from terminals.labs.containers import Containers
from terminals.link import frames
from terminals.link.exec import Attach, Exec
from terminals.lxd import Lxd
from terminals.store.lessons import Needs

HOARD = """
import array, socket, time
held = []
try:
    while True:
        held.append(socket.socketpair())
        for _ in range(150):
            held[-1][0].sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * 250))])
except OSError as error:
    print(error.errno, flush=True)
time.sleep(100)
"""
"""Puts as many descriptors into messages as its user may."""
HOLDER = Holder.load(Path(os.environ["HOLDER_PATH"]))
SIZE = (80, 24)
WRITER = 7
TIMEOUT_S = 30.0
RAW = b"stty raw -echo -opost; printf re''ady; exec cat\n"


@pytest.fixture
async def container(lxd: Lxd) -> AsyncIterator[str]:
    name = f"holder-{secrets.token_hex(4)}"
    needs = Needs(image="lab", memory="256MiB", cpu="1", disk="1GiB", processes=100)

    async def say(step: str, done: int) -> None:
        pass

    try:
        await Containers(lxd, HOLDER, os.environ["LXD_POOL"], "holder-tests", {}).make(name, needs, {}, say)
        yield name
    finally:
        await lxd.delete(name)


class Owner:
    """An attached exec and what came over it; acknowledges what it reads."""

    def __init__(self, opened: Exec) -> None:
        self.exec = opened
        self.end = opened.hello.start
        self.output = bytearray()
        self.taken = 0
        self.exit: frames.Exit | None = None
        self._pump = asyncio.create_task(opened.pump(self._take))

    @classmethod
    async def attach(
        cls, lxd: Lxd, container: str, command: list[str], epoch: int = 1, offset: int = frames.FROM_BASE
    ) -> "Owner":
        ask = Attach(epoch, bytes(16), offset, SIZE, frames.WINDOW_MAX)
        return cls(await Exec.open(lxd, container, command, ask))

    def _take(self, bodies: list[bytes]) -> None:
        for body in bodies:
            self._one(body)

    def _one(self, body: bytes) -> None:
        if body[0] == frames.OUTPUT:
            assert frames.offset_of(body) == self.end, "output isn't contiguous"
            self.output += body[frames.OUTPUT_HEAD :]
            self.end += len(body) - frames.OUTPUT_HEAD
            self.exec.post(frames.ack(self.end, frames.WINDOW_MAX))
        elif body[0] == frames.TAKEN:
            writer, seq = frames.read_pair(body)
            assert writer == WRITER
            self.taken = max(self.taken, seq)
        elif body[0] == frames.EXIT:
            self.exit = frames.read_exit(body)
        assert body[0] != frames.ERROR, frames.read_error(body)
        assert body[0] not in {frames.NAK, frames.GAP}

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():
                if self._pump.done():
                    await self._pump
                await asyncio.sleep(0.005)

    async def expect(self, text: bytes) -> None:
        await self.until(lambda: text in self.output)

    async def more(self, size: int, last: bytes) -> None:
        """So much more output, or all up to `last`."""
        end = len(self.output) + size
        await self.until(lambda: len(self.output) > end or last in self.output)

    def type(self, seq: int, data: bytes) -> None:
        self.exec.post(frames.holder_input(WRITER, seq, data))

    async def cut(self) -> None:
        """As a server that is killed: the sockets are gone, LXD kills the bridge."""
        self.exec.abort(ConnectionResetError("cut by the test"))
        with pytest.raises(ConnectionResetError):
            await self._pump

    async def leave(self) -> None:
        await self.exec.close()
        await self._pump


async def test_attach_type_and_exit(lxd: Lxd, container: str) -> None:
    owner = await Owner.attach(lxd, container, HOLDER.start("t-1", SIZE))
    hello = owner.exec.hello
    assert (hello.base, hello.acked, hello.cols, hello.rows, hello.exited) == (0, 0, 80, 24, False)
    owner.type(1, b"id -un; stty size; exit 5\n")
    await owner.until(lambda: owner.exit)
    assert owner.exit is not None
    assert (owner.exit.code, owner.exit.offset) == (5, owner.end)
    assert b"student\r\n24 80\r\n" in owner.output
    await owner.leave()


async def test_frames_may_come_byte_by_byte(lxd: Lxd, container: str) -> None:
    owner = await Owner.attach(lxd, container, HOLDER.start("t-1", SIZE))
    stream = frames.holder_input(WRITER, 1, b"echo b''yte\n") + frames.frame(b"?", b"unknown") + frames.ping(9)
    # Without a pause: an acknowledgement that is sent meanwhile would tear the frame.
    for byte in stream:
        owner.exec.post(bytes([byte]))
    await owner.expect(b"byte\r\n")
    assert owner.taken == 1
    await owner.leave()


async def test_a_big_input_arrives_whole(lxd: Lxd, container: str) -> None:
    owner = await Owner.attach(lxd, container, HOLDER.start("t-1", SIZE))
    owner.type(1, RAW)
    await owner.expect(b"ready")
    sent, begin = bytes(range(256)) * 4_096, len(owner.output)
    for seq, at in enumerate(range(0, len(sent), 32_768), 2):
        owner.type(seq, sent[at : at + 32_768])
        # The queue holds 64 KiB: the next one goes when this one is through.
        await owner.until(lambda end=begin + at + 32_768: len(owner.output) >= end)
    assert bytes(owner.output[begin:]) == sent
    assert owner.taken == 33
    await owner.leave()


async def test_cuts_and_attaches_lose_and_double_nothing(lxd: Lxd, container: str) -> None:
    owner = await Owner.attach(lxd, container, HOLDER.start("t-1", SIZE))
    birth = owner.exec.hello.birth
    owner.type(1, b"stty -echo -opost; PS1=; echo be''gin; seq 1 600000; echo E''ND\n")
    await owner.expect(b"begin\n")
    whole, epoch = bytearray(), 1
    while b"END" not in whole + owner.output:
        await owner.more(150_000, b"END")
        await owner.cut()
        whole, offset, epoch = whole + owner.output, owner.end, epoch + 1
        owner = await Owner.attach(lxd, container, HOLDER.attach("t-1"), epoch, offset)
        assert (owner.exec.hello.start, owner.exec.hello.birth) == (offset, birth)
    assert epoch > 4
    text = bytes(whole + owner.output)
    lines = text[text.index(b"begin\n") + 6 : text.index(b"END")].split()
    assert [int(line) for line in lines] == list(range(1, 600_001))
    owner.type(1, b"echo dou''bled\n")
    owner.type(2, b"echo onc''e\n")
    await owner.expect(b"once")
    assert b"doubled" not in owner.output
    assert owner.taken == 2
    await owner.leave()


async def test_descriptors_in_flight_elsewhere_shut_nobody_out(lxd: Lxd, container: str) -> None:
    # Root of another container is the same user to the host's kernel: a lesson with sudo gives a student that.
    other = f"hoard-{secrets.token_hex(4)}"
    needs = Needs(image="lab", memory="256MiB", cpu="1", disk="1GiB", processes=100, root=False)

    async def say(step: str, done: int) -> None:
        pass

    try:
        await Containers(lxd, HOLDER, os.environ["LXD_POOL"], "holder-tests", {}).make(other, needs, {}, say)
        command = ["lxc", "--project", os.environ["LXD_PROJECT"], "exec", other, "--", "python3", "-c", HOARD]
        environment = {**os.environ, "LXD_DIR": str(Path(os.environ["LXD_URL"]).parent)}
        pipe = asyncio.subprocess.PIPE
        hoard = await asyncio.create_subprocess_exec(
            *command, env=environment, stdout=pipe, stdin=asyncio.subprocess.DEVNULL
        )
        assert hoard.stdout is not None
        async with asyncio.timeout(TIMEOUT_S):
            assert int(await hoard.stdout.readline()) == errno.ETOOMANYREFS
        owner = await Owner.attach(lxd, container, HOLDER.start("t-1", SIZE))
        owner.type(1, b"echo still op''en\n")
        await owner.expect(b"still open\r\n")
        await owner.leave()
    finally:
        await lxd.delete(other)
    await hoard.wait()
