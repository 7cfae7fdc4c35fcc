"""Workers, as operators run them: several instances on one port, and the parent that keeps their number."""

import asyncio
import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server.workers import PAUSES_S
from tests.client import User
from tests.conftest import Server
from tests.e2e.test_main_job import ask, shell

COUNT = 3
WAIT_S = 20.0


@pytest.fixture
def crew(make_server: Callable[..., Server]) -> Server:
    server = make_server(workers=COUNT)
    server.start()
    return server


async def until(holds: Callable[[], bool], why: str) -> None:
    try:
        async with asyncio.timeout(WAIT_S):
            while not holds():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(why) from None


def answers(server: Server) -> bool:
    try:
        with urllib.request.urlopen(f"{server.url}/healthz", timeout=3) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


async def test_each_worker_is_an_instance_and_a_killed_one_is_replaced_while_the_others_serve(crew: Server) -> None:
    before = crew.worker_pids()
    assert len(before) == COUNT
    await until(lambda: len(crew.logged("server_started")) == COUNT, "not all workers became instances")
    os.kill(before[0], signal.SIGKILL)
    for _ in range(50):
        assert answers(crew), "the others serve on"
    await until(lambda: len(set(crew.worker_pids()) - {before[0]}) == COUNT, "the killed one wasn't replaced")
    assert set(before[1:]) <= set(crew.worker_pids()), "only the killed one was started anew"
    (line,) = crew.logged("worker_ended")
    assert '"status": -9' in line


async def test_a_student_goes_on_in_another_worker_when_theirs_is_killed(crew: Server, make_user: Any) -> None:
    student: User = await make_user(crew.url)
    _, page = await shell(student, "tiny-system")
    pid = await ask(page, "echo $$")
    for worker in crew.worker_pids():
        os.kill(worker, signal.SIGKILL)
    await page.closed()
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                await page.connect()
                break
            except OSError:
                await asyncio.sleep(0.1)
    assert await ask(page, "echo $$") == pid
    await page.leave()


async def test_sigterm_drains_every_worker_and_a_second_one_cuts_nothing_off(crew: Server, make_user: Any) -> None:
    student: User = await make_user(crew.url)
    _, page = await shell(student, "tiny-system")
    workers = crew.worker_pids()
    ending = asyncio.create_task(page.closed())
    assert crew.process is not None
    crew.process.send_signal(signal.SIGTERM)
    for worker in workers:
        # What a supervisor does that signals the whole group.
        os.kill(worker, signal.SIGTERM)
    assert await asyncio.to_thread(crew.process.wait, WAIT_S) == 0
    assert (await ending).code == 1012
    assert len(crew.logged("server_drained")) == COUNT
    assert not any(map(alive, workers))
    assert "Traceback" not in crew.log.read_text()


async def test_workers_drain_when_their_parent_is_killed(crew: Server) -> None:
    workers = crew.worker_pids()
    await until(lambda: len(crew.logged("server_started")) == COUNT, "not all workers became instances")
    crew.kill()
    await until(lambda: not any(map(alive, workers)), "orphans were left")
    assert len(crew.logged("server_drained")) == COUNT
    # The port is free at once.
    crew.start()


async def test_a_worker_that_dies_again_and_again_is_waited_for_longer_each_time(crew: Server) -> None:
    steady = set(crew.worker_pids())
    victim = steady.pop()
    for killed in range(1, 4):
        os.kill(victim, signal.SIGKILL)
        began = time.monotonic()
        await until(lambda at=killed: len(crew.logged("worker_ended")) == at, "its end wasn't noticed")
        assert answers(crew), "the others serve on"
        await until(lambda: len(crew.worker_pids()) == COUNT, "it wasn't started again")
        assert time.monotonic() - began >= PAUSES_S[killed]
        (victim,) = set(crew.worker_pids()) - steady
    assert [json.loads(line)["pause_s"] for line in crew.logged("worker_ended")] == list(PAUSES_S[1:4])
    assert steady < set(crew.worker_pids())


@pytest.mark.parametrize("count", ["0", "-1", "65", "many"])
async def test_an_odd_number_of_workers_is_refused_in_words(make_server: Callable[..., Server], count: str) -> None:
    server = make_server(workers=count)
    server.start(wait=False)
    assert server.process is not None
    assert await asyncio.to_thread(server.process.wait, WAIT_S) == 2
    assert "say a number from 1 to 64" in server.log.read_text()
