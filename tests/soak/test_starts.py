"""A class presses Start at once, and labs come and go while servers and LXD are killed: everybody gets one, nothing is left."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest

from terminals.store import Store
from terminals.store.database import Database
from tests.chaos.fleet import Fleet
from tests.client import Closed, User
from tests.conftest import Server, people
from tests.e2e.test_main_job import ask as asked
from tests.e2e.test_pool import emptied, until, waiting
from tests.house import House
from tests.soak.lab import ask
from tests.soak.returning import Returning
from tests.soak.scale import times

CROWD, STOCK = times(60), times(20)
PRESS_S = times(100) / 10
CYCLES, SERVER_KILLS, LXD_KILLS = times(1000), times(60), times(5)
AT_ONCE = 4
CYCLE_S = 180.0
SETTLE_S = 150.0
Told = Callable[[str, list[float]], None]


@pytest.mark.timeout(180 + 8 * CROWD)
async def test_a_class_starts_at_once_and_everybody_gets_a_prompt(
    make_server: Callable[..., Server], make_user: Callable[..., Any], store: Store, lxd: Any, told: Told
) -> None:
    server = make_server(POOL_READY=str(STOCK), POOL_AWAKE=str(max(1, STOCK // 4)), POOL_MOST=str(STOCK))
    server.start()
    students: list[User] = [await make_user(server.url) for _ in range(CROWD)]
    waits: list[float] = []
    errors: list[float] = []

    async def sit(student: User, delay: float) -> None:
        await asyncio.sleep(delay)
        began = time.monotonic()
        session = (await student.call("POST", "/api/sessions", {"lesson": "tiny-system"}, 202))["id"]
        estimate = None
        while (shown := await student.call("GET", f"/api/sessions/{session}"))["state"] != "live":
            assert shown["state"] == "starting", shown
            if estimate is None:
                estimate = (time.monotonic(), shown["progress"]["seconds_left"])
            await asyncio.sleep(0.1)
        if estimate is not None:
            errors.append(abs(estimate[1] - (time.monotonic() - estimate[0])))
        async with student.page(shown["terminals"][0]["id"]) as page:
            await page.until(lambda: bool(page.output))
            waits.append(time.monotonic() - began)
            assert await asked(page, "echo here") == "here"

    try:
        await until(lambda: _stocked(store), 60 + 5 * STOCK)
        await asyncio.gather(*(sit(student, PRESS_S * place / CROWD) for place, student in enumerate(students)))
        told(f"{CROWD} students in {PRESS_S:.0f} s, {STOCK} containers waiting: click to prompt", waits)
        if errors:
            told("  the first estimate was wrong by", errors)
    finally:
        server.stop()
        await emptied(store, lxd)


async def _stocked(store: Store) -> bool:
    return len(await waiting(store)) >= STOCK


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    made = House("starts")
    made.remove()  # a killed former run left it
    made.furnish()
    try:
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def fleet(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    pool = {"POOL_READY": "1", "POOL_AWAKE": "1", "POOL_MOST": "2", "DOOR_DIR": ""}
    with Fleet.opened(tmp_path_factory.mktemp("starts"), 2, **{**house.settings, **pool}) as opened:
        yield opened


@pytest.fixture
async def make_person(house: House) -> AsyncIterator[Callable[..., Any]]:
    async with Database.connected(house.settings["DATABASE_URL"]) as database, people(Store.over(database)) as make:
        yield make


@asynccontextmanager
async def living(student: User) -> AsyncIterator[None]:
    """A lab that nobody ends: its shell is the same afterwards."""
    session = await student.start("tiny-system")
    page = Returning(student, await student.first_terminal(session))
    async with page.running():
        pid = await ask(page, "stty -echo; echo $$")
        yield
        await page.when(lambda: page.live, 60)
        assert await ask(page, "echo $$") == pid, "another shell"
    await student.end(session)


@pytest.mark.timeout(300 + 6 * CYCLES)
async def test_labs_come_and_go_under_kills_and_nothing_is_left_over(
    house: House, fleet: Fleet, make_person: Callable[..., Any], chance: random.Random, told: Told
) -> None:
    students = [await make_person(fleet.url) for _ in range(AT_ONCE)]
    left = iter(range(CYCLES))
    seconds: list[float] = []
    done = asyncio.Event()

    async def come_and_go(student: User) -> None:
        for _ in left:
            began = time.monotonic()
            await _cycle(student)
            seconds.append(time.monotonic() - began)

    async def kill() -> None:
        for number in range(SERVER_KILLS):
            goal = CYCLES * (number + 1) // (SERVER_KILLS + 1)
            while len(seconds) < goal and not done.is_set():
                await asyncio.sleep(0.05)
            await asyncio.sleep(chance.random() * 2)
            victim = chance.choice(fleet.servers)
            victim.kill()
            if number % max(1, SERVER_KILLS // LXD_KILLS) == 0:
                await asyncio.to_thread(house.kill_lxd)
                await asyncio.to_thread(house.start_lxd)
            await asyncio.sleep(chance.random())
            await asyncio.to_thread(victim.start)

    async with living(await make_person(fleet.url)):
        killing = asyncio.create_task(kill())
        await asyncio.gather(*(come_and_go(student) for student in students))
        done.set()
        await killing
        told(f"{CYCLES} labs, {SERVER_KILLS} × SIGKILL of a server, {LXD_KILLS} × of LXD: Start to End", seconds)
        assert await _remains(house, 1)
    assert await _remains(house, 0)


async def _cycle(student: User) -> None:
    """Start, a prompt, end; a server that dies meanwhile is asked again, as a page does."""
    async with asyncio.timeout(CYCLE_S):
        session = (await _insist(student, "POST", "/api/sessions", {"lesson": "tiny-system"}))["id"]
        while (shown := await _insist(student, "GET", f"/api/sessions/{session}"))["state"] != "live":
            assert shown["state"] == "starting", shown
            await asyncio.sleep(0.1)
        while True:
            with suppress(Closed, aiohttp.ClientError, OSError, TimeoutError):
                async with student.page(shown["terminals"][0]["id"]) as page:
                    await page.until(lambda page=page: bool(page.output), 20)
                break
            await asyncio.sleep(0.1)
        await _insist(student, "DELETE", f"/api/sessions/{session}")
        while (await _insist(student, "GET", f"/api/sessions/{session}"))["state"] != "ended":
            await asyncio.sleep(0.1)


async def _insist(student: User, method: str, path: str, body: Any = None) -> Any:
    while True:
        with suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with student.http.request(method, path, json=body) as response:
                if response.status < 500:
                    assert response.status in (200, 202), await response.text()
                    return await response.json()
        await asyncio.sleep(0.1)


async def _remains(house: House, labs: int) -> bool:
    """Waits until LXD has just the living labs' containers and those of the pool, each with its row, and no other row is left."""
    limit = time.monotonic() + SETTLE_S
    while True:
        names = {name for name in house.lxc("list", "-c", "n", "-f", "csv").split() if name.startswith("c-")}
        rows = await house.rows()
        known = {row.split("name='")[1].split("'")[0]: row for row in rows["containers"]}
        taken = sum("state='taken'" in row for row in known.values())
        if names == set(known) and taken == labs and all("state='gone'" not in row for row in known.values()):
            assert len(rows["terminals"]) == labs
            return True
        assert time.monotonic() < limit, f"LXD has {sorted(names)}, the rows are {sorted(known.values())}"
        await asyncio.sleep(1)
