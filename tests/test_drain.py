"""`python -m server drain`, as operators run it: instances go one by one, and their pages go on elsewhere."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from terminals.fleet.presence import ALIVE_S
from tests.client import User
from tests.conftest import ROOT, Server
from tests.e2e.test_main_job import ask, shell

WAIT_S = 20.0


async def command(server: Server, *words: str) -> "subprocess.CompletedProcess[str]":
    def run() -> "subprocess.CompletedProcess[str]":
        line = [sys.executable, "-m", "server", "drain", *words]
        environment = {**server.settings, "PORT": "8000"}
        return subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)

    return await asyncio.to_thread(run)


async def name(server: Server) -> str:
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}/readyz") as answer:
        found: str = (await answer.json())["instance"]
        return found


async def listed(server: Server, wanted: str) -> str:
    """The line of an instance in the list, which a fresh one enters within 2 s."""
    async with asyncio.timeout(WAIT_S):
        while True:
            found = await command(server, "--list")
            assert found.returncode == 0, found.stderr
            for line in found.stdout.splitlines():
                if line.startswith(f"{wanted}\t"):
                    return line
            await asyncio.sleep(0.2)


@pytest.fixture
async def pair(make_server: Callable[..., Server]) -> tuple[Server, Server]:
    first = make_server(INSTANCE="first")
    second = make_server(INSTANCE="second", PUBLIC_URL=first.url)
    await asyncio.gather(*(asyncio.to_thread(server.start) for server in (first, second)))
    return first, second


async def test_a_drained_instance_is_gone_and_its_page_goes_on_in_another(
    pair: tuple[Server, Server], make_user: Any
) -> None:
    first, second = pair
    student: User = await make_user(first.url)
    _, page = await shell(student, "tiny-system")
    pid = await ask(page, "echo $$")
    going, staying = await name(first), await name(second)
    await listed(first, going)
    await listed(first, staying)
    ending = asyncio.create_task(page.closed())
    done = await command(second, going)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{going} is drained, after ")
    assert (await ending).code == 1012
    assert first.process is not None
    assert await asyncio.to_thread(first.process.wait, WAIT_S) == 0
    assert len(first.logged("drain_asked")) >= 1
    page.url = second.url
    await page.connect()
    assert await ask(page, "echo $$") == pid
    assert going not in (await command(second, "--list")).stdout
    assert second.logged("server_draining") == [], "only the named one goes"
    async with asyncio.timeout(WAIT_S):
        while not (await listed(second, staying)).endswith("1 terminal"):
            await asyncio.sleep(0.2)
    await page.leave()


async def test_the_heartbeat_is_gone_as_soon_as_a_drain_is_done_so_that_watchers_need_not_wait(
    pair: tuple[Server, Server], redis: Any
) -> None:
    first, _ = pair
    key = f"educenter:instance:{await name(first)}"
    await listed(first, await name(first))
    assert await asyncio.to_thread(first.stop) < ALIVE_S - 2
    assert await redis.exists(key) == 0


async def test_an_unknown_instance_is_said_and_nobody_is_asked(pair: tuple[Server, Server]) -> None:
    first, _ = pair
    there = await name(first)
    await listed(first, there)
    done = await command(first, there, "nobody-000000")
    assert done.returncode == 1
    assert "There is no instance nobody-000000." in done.stderr
    assert there in done.stderr
    assert "Traceback" not in done.stderr
    assert await name(first) == there
    assert first.logged("drain_asked") == []


async def test_an_instance_that_does_not_go_in_time_is_said(pair: tuple[Server, Server]) -> None:
    first, second = pair
    there = await name(first)
    await listed(first, there)
    assert first.process is not None
    os.kill(first.process.pid, signal.SIGSTOP)
    try:
        done = await command(second, there, "--timeout", "1")
    finally:
        os.kill(first.process.pid, signal.SIGCONT)
    assert done.returncode == 1
    assert f"{there} still lives after 1 s" in done.stderr
    # Awake again it hears the notice, and goes.
    assert await asyncio.to_thread(first.process.wait, WAIT_S) == 0


async def test_nothing_named_and_no_redis_are_said_in_words(pair: tuple[Server, Server], tmp_path: Path) -> None:
    first, _ = pair
    assert "required" in (await command(first)).stderr
    first.settings["REDIS_URL"] = f"unix://{tmp_path}/none.sock"
    done = await command(first, "--all")
    assert done.returncode == 1
    assert "Redis doesn't answer" in done.stderr
    assert "Traceback" not in done.stderr
