"""The balancer of production's configuration: who is gone is left at once, who is back is used again, nothing is sent twice."""

import asyncio
import io
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from terminals.store import Store
from tests.balancer import MARK, PROGRAM, Balancer
from tests.client import User
from tests.conftest import Server, free_port, lxc

QUICK_S = 0.5


@pytest.fixture
def two(make_server: Callable[..., Server], tmp_path: Path) -> Iterator[tuple[Balancer, list[Server]]]:
    ports = [free_port(), free_port()]
    with Balancer(tmp_path / "nginx", ports) as balancer:
        yield balancer, [make_server(PORT=str(port), PUBLIC_URL=balancer.url) for port in ports]


async def start(servers: list[Server]) -> None:
    await asyncio.gather(*(asyncio.to_thread(server.start) for server in servers))


async def reached(balancer: Balancer, times: int) -> tuple[set[int], float]:
    """The statuses, and the longest that one took."""
    statuses, longest = set(), 0.0
    async with aiohttp.ClientSession() as http:
        for _ in range(times):
            began = time.monotonic()
            async with http.get(f"{balancer.url}/healthz") as answer:
                statuses.add(answer.status)
            longest = max(longest, time.monotonic() - began)
    return statuses, longest


def used(folder: Path) -> list[str]:
    """Whom each request reached at last."""
    return re.findall(r'"upstream":"(?:[^"]*, )?([^",]+)"', (folder / "nginx" / "access.log").read_text())


async def test_an_instance_that_was_killed_is_left_at_once_and_used_again_when_it_is_back(
    two: tuple[Balancer, list[Server]], tmp_path: Path
) -> None:
    balancer, servers = two
    await start(servers)
    assert (await reached(balancer, 10))[0] == {200}
    assert set(used(tmp_path)) == {f"127.0.0.1:{server.port}" for server in servers}
    await asyncio.to_thread(servers[0].kill)
    statuses, longest = await reached(balancer, 20)
    assert statuses == {200}
    assert longest < QUICK_S
    assert set(used(tmp_path)[-20:]) == {f"127.0.0.1:{servers[1].port}"}
    await asyncio.to_thread(servers[0].start)
    await reached(balancer, 2)
    assert f"127.0.0.1:{servers[0].port}" in used(tmp_path)[-2:]


async def test_metrics_and_readiness_stay_inside(two: tuple[Balancer, list[Server]]) -> None:
    balancer, servers = two
    await start(servers)
    async with aiohttp.ClientSession() as http:
        for path in ("/metrics", "/readyz"):
            async with http.get(balancer.url + path) as answer:
                assert answer.status == 404


def test_what_a_killed_test_run_left_is_ended_by_the_next(tmp_path: Path) -> None:
    left = """
import os, signal, sys
from pathlib import Path
from tests.balancer import Balancer
balancer = Balancer(Path(sys.argv[1]), [1])
balancer.__enter__()
print(balancer._process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    command = [sys.executable, "-c", left, str(tmp_path / "killed")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == -signal.SIGKILL, done.stderr
    pid = int(done.stdout)
    assert Path(f"/proc/{pid}/exe").readlink() == Path(PROGRAM)
    assert MARK.encode() in Path(f"/proc/{pid}/environ").read_bytes()
    with Balancer(tmp_path / "next", [1]):
        stat = Path(f"/proc/{pid}/stat")
        assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


async def test_files_pass_whole_and_one_that_breaks_off_is_seen_to(
    two: tuple[Balancer, list[Server]], make_user: Callable[..., Any], store: Store
) -> None:
    balancer, servers = two
    await start(servers)
    student: User = await make_user(balancer.url)
    session = await student.start("first-steps")
    container = str(await store.containers.of_session(session))
    data = os.urandom(20 * 1024 * 1024)
    async with student.http.put(f"/api/sessions/{session}/files/data", data=io.BytesIO(data)) as answer:
        assert answer.status == 201, await answer.text()
    path = f"/api/sessions/{session}/home.tar.gz"
    async with student.http.get(path) as answer:
        with tarfile.open(fileobj=io.BytesIO(await answer.read())) as archive:
            assert archive.extractfile("student/uploads/data").read() == data  # type: ignore[union-attr]
    async with student.http.get(path) as answer:
        await answer.content.readexactly(65_536)
        lxc("exec", container, "--", "pkill", "-KILL", "-x", "tar")
        with pytest.raises(aiohttp.ClientError):
            await answer.read()
    async with student.http.put(
        f"/api/sessions/{session}/files/large", data=io.BytesIO(bytes(51 * 1024 * 1024))
    ) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (413, "too_large")
