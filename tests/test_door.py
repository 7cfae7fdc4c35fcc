"""The door without a container: a socket for one bridge, bounded both ways. Through a container: tests/e2e."""

import asyncio
import os
import socket
import stat
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from terminals.errors import Cut
from terminals.link.door import EARLY_LIMIT, MOUNTED, POST_LIMIT, VARIABLE, Door, Line, Opening


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def path_of(opening: Opening, folder: Path) -> Path:
    """Where the host has what the container is told."""
    return folder / Path(opening.environment[VARIABLE]).relative_to(MOUNTED)


@asynccontextmanager
async def connected(door: Door, folder: Path) -> AsyncIterator[tuple[Line, socket.socket]]:
    """A line, and the bridge's end of it."""
    with socket.socket(socket.AF_UNIX) as bridge:
        async with door.ajar() as opening:
            bridge.connect(str(path_of(opening, folder)))
            async with asyncio.timeout(5):
                line = await opening.accept()
        bridge.setblocking(False)
        yield line, bridge
        line.transport.abort()


async def told(got: list[bytes], count: int) -> None:
    async with asyncio.timeout(5):
        while len(got) < count:
            await asyncio.sleep(0.005)


async def flood(bridge: socket.socket) -> None:
    async with asyncio.timeout(5):
        while True:
            await asyncio.get_running_loop().sock_sendall(bridge, bytes(EARLY_LIMIT))


def overfill(line: Line) -> None:
    for _ in range(1000):
        line.post(bytes(65_536))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_frames_pass_both_ways_and_the_end_is_told(door: Door, tmp_path: Path) -> None:
    async with connected(door, tmp_path) as (line, bridge):
        got: list[bytes] = []
        line.hand_to(got.append)
        line.post(b"to the holder")
        async with asyncio.timeout(5):
            assert await asyncio.get_running_loop().sock_recv(bridge, 100) == b"to the holder"
        bridge.send(b"from it")
        await told(got, 1)
        bridge.close()
        await told(got, 2)
        assert got == [b"from it", b""]
        with pytest.raises(Cut):
            line.post(b"more")


async def test_what_comes_before_anybody_takes_it_is_kept_up_to_a_bound(door: Door, tmp_path: Path) -> None:
    async with connected(door, tmp_path) as (line, bridge):
        bridge.send(b"early")
        await asyncio.sleep(0.05)
        got: list[bytes] = []
        line.hand_to(got.append)
        assert got == [b"early"]
    async with connected(door, tmp_path) as (line, bridge):
        with pytest.raises(ConnectionError):
            await flood(bridge)
        assert len(line._early) <= EARLY_LIMIT


async def test_a_holder_that_takes_nothing_is_noticed_and_costs_a_bound(door: Door, tmp_path: Path) -> None:
    async with connected(door, tmp_path) as (line, _):
        taken: list[bytes] = []
        line.hand_to(taken.append)
        with pytest.raises(Cut):
            overfill(line)
        assert line.paused
        assert line.transport.get_write_buffer_size() <= POST_LIMIT + 65_536


async def test_only_the_first_comes_in_and_nothing_is_left(door: Door, tmp_path: Path) -> None:
    async with door.ajar() as opening:
        path = path_of(opening, tmp_path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
        with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
            first.connect(str(path))
            second.connect(str(path))
            line = await opening.accept()
            first.send(b"first")
            got: list[bytes] = []
            line.hand_to(got.append)
            await told(got, 1)
            assert got == [b"first"]
            line.transport.abort()
    assert names(tmp_path) == []


async def test_each_opening_has_a_name_of_its_own(door: Door) -> None:
    async with door.ajar() as one, door.ajar() as other:
        assert one.environment != other.environment


def test_what_killed_servers_left_is_swept_and_nothing_else(door: Door, tmp_path: Path) -> None:
    for name, age in (("old", 120), ("new", 0)):
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(tmp_path / name))
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    (tmp_path / "file").touch()
    os.utime(tmp_path / "file", (0, 0))
    door.sweep()
    assert names(tmp_path) == ["file", "new"]
