"""A gigabyte taken home and a gigabyte brought in, through nginx: whole, and at nobody else's cost."""

import asyncio
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.balancer import Balancer
from tests.client import User
from tests.conftest import Server, container_of, free_port, lxc
from tests.e2e.test_homes import put
from tests.e2e.test_main_job import shell
from tests.hostile.lab import Neighbour
from tests.soak.scale import times

MIB = 1024 * 1024
SIZE = times(1024)
"""MiB."""
BLOCK = MIB
GROWTH = 12 * MIB
"""Of the server's own memory: buffers of both sides, whatever the file's size."""
SAMPLE_S = 0.1
FETCH = """
import shutil, sys, urllib.request
request = urllib.request.Request(sys.argv[1], headers={"Cookie": sys.argv[2]})
with urllib.request.urlopen(request) as answer, open(sys.argv[3], "wb") as file:
    shutil.copyfileobj(answer, file, 1 << 20)
"""

pytestmark = pytest.mark.timeout(120 + SIZE)


class Watched:
    """What moving a file costs: the server's memory, and the echo of somebody else's keys."""

    def __init__(self, server: Server, neighbour: Neighbour) -> None:
        self._server = server
        self._neighbour = neighbour
        self.highest = 0

    def pss(self) -> int:
        """The server's memory, and its part of what it shares."""
        assert self._server.process is not None
        rollup = Path(f"/proc/{self._server.process.pid}/smaps_rollup").read_text()
        return int(rollup.split("\nPss:")[1].split()[0]) * 1024

    @asynccontextmanager
    async def moving(self, what: str) -> AsyncIterator[None]:
        """Prints what it cost, and fails where that is more than it may be."""
        async with self._neighbour.typing():
            await asyncio.sleep(1)
        quiet = self._echo()
        before = self.highest = self.pss()
        sampling = asyncio.create_task(self._sample())
        began = time.monotonic()
        async with self._neighbour.typing():
            yield
        seconds = time.monotonic() - began
        busy = self._echo()
        sampling.cancel()
        with suppress(asyncio.CancelledError):
            await sampling
        print(
            f"\n{what}: {SIZE} MiB in {seconds:.1f} s, {SIZE / seconds:.1f} MiB/s; server's PSS {before / MIB:.1f} before, "
            f"{self.highest / MIB:.1f} at most, {self.pss() / MIB:.1f} MiB after; a neighbour's echo p50/p95 "
            f"{busy}, before {quiet} ms"
        )
        assert self.highest - before < GROWTH

    def _echo(self) -> str:
        return f"{self._neighbour.quantile(0.5):.1f}/{self._neighbour.quantile(0.95):.1f}"

    async def _sample(self) -> None:
        while True:
            self.highest = max(self.highest, self.pss())
            await asyncio.sleep(SAMPLE_S)


async def test_a_large_home_and_a_large_file_come_whole_through_nginx_and_cost_nobody_anything(
    make_server: Callable[..., Server], make_user: Callable[..., Any], tmp_path: Path
) -> None:
    port = free_port()
    with Balancer(tmp_path / "nginx", [port]) as balancer:
        settings = {"PORT": str(port), "PUBLIC_URL": balancer.url, "UPLOAD_MOST": str(SIZE), "LIMIT_DISK": "8GiB"}
        server = make_server(**settings)
        server.start()
        student: User = await make_user(balancer.url)
        session = await student.start("first-steps")
        container = container_of(session)
        _, beside = await shell(await make_user(balancer.url), "tiny-system")
        watched = Watched(server, Neighbour(beside))
        archive = tmp_path / "home"
        async with watched.moving("upload"):
            digest = await brought(student, session)
        assert inside(container, "sha256sum < uploads/large").split()[0] == digest
        async with watched.moving("download"):
            await fetched(student, session, archive)
        assert await asyncio.to_thread(digest_of, archive, "student/uploads/large") == digest
        await beside.leave()
        assert '"level": "error"' not in server.log.read_text()


async def brought(student: User, session: str) -> str:
    """Its SHA-256. Not to be compressed: the archive is as large as the home."""
    found = hashlib.sha256()

    async def blocks() -> AsyncIterator[bytes]:
        for _ in range(SIZE):
            block = await asyncio.to_thread(os.urandom, BLOCK)
            await asyncio.to_thread(found.update, block)
            yield block

    size = {"Content-Length": str(SIZE * MIB)}
    assert await put(student, session, "large", blocks(), **size) == (201, {"name": "large", "folder": "uploads"})
    return found.hexdigest()


async def fetched(student: User, session: str, to: Path) -> None:
    """By a process of its own, as a browser is one: here it would share a loop with the neighbour whose echo is measured."""
    url = f"{student.url}/api/sessions/{session}/home.tar.gz"
    cookies = "; ".join(f"{each.key}={each.value}" for each in student.http.cookie_jar)
    done = await asyncio.create_subprocess_exec(sys.executable, "-c", FETCH, url, cookies, str(to))
    assert await done.wait() == 0


def digest_of(archive: Path, name: str) -> str:
    command = f"set -o pipefail; tar -xOf '{archive}' '{name}' | sha256sum"
    done = subprocess.run(["bash", "-c", command], check=True, capture_output=True, text=True, timeout=300)
    return done.stdout.split()[0]


def inside(container: str, command: str) -> str:
    return lxc("exec", container, "--cwd", "/home/student", "--", "sh", "-c", command)
