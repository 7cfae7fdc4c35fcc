"""Everything dies by SIGKILL, with and without a reboot, and the same commands bring it back.

All of it in a house of its own: PostgreSQL, Redis and LXD in one folder, so that no other test's services are harmed.
"""

import asyncio
import contextlib
import itertools
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deploy import lxd, processes
from tests.client import Closed, Page, User
from tests.conftest import Server, container_of
from tests.e2e.test_main_job import ask
from tests.house import DEATH_S, WAIT_S, House

pytestmark = pytest.mark.timeout(240)

STUDENTS = (f"student{number:02d}@demo.test" for number in itertools.count(1))
COUNT = "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo N$i; [ $((i%50)) = 0 ] && sleep 0.1; done; echo ALL''DONE\r"


@pytest.fixture(scope="module")
def furnished() -> Iterator[House]:
    house = House("recovery")
    house.remove()  # a killed former run left it
    try:
        house.furnish()
        yield house
    finally:
        house.remove()
        assert not house.folder.exists()


@pytest.fixture
def house(furnished: House) -> House:
    """Everything answers, whatever the test before left."""
    furnished.start()
    assert furnished.answering() == list(furnished.folders)
    return furnished


@pytest.fixture
def server(house: House, tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path / "server.log", **house.settings)
    running.start()
    yield running
    running.stop()


@pytest.fixture
async def student(server: Server) -> AsyncIterator[User]:
    async with User(server.url, next(STUDENTS)) as person:
        await person.sign_in()
        yield person


@pytest.fixture
async def lab(student: User) -> AsyncIterator[tuple[str, Page]]:
    """A live session and a page on its terminal. Each test has a student of its own, so nothing needs to be ended."""
    session = await student.start("tiny-system")
    async with student.page(await student.first_terminal(session)) as page:
        yield session, page


@pytest.mark.parametrize("reboot", [False, True], ids=["without-a-reboot", "with-a-reboot"])
async def test_everything_killed_is_brought_back_by_the_same_commands(
    house: House, server: Server, student: User, lab: tuple[str, Page], reboot: bool
) -> None:
    session, page = lab
    assert await ask(page, "echo $((6*7)); echo written-before > /root/kept") == "42"
    server.kill()
    page.drop()
    before = await house.rows()
    await asyncio.to_thread(house.kill)
    if reboot:
        await asyncio.to_thread(house.unplug)
    assert await back(house, server, before) == "started"
    # Redis came back empty: who was signed in signs in again.
    await student.call("GET", "/api/me", status=401)
    await student.sign_in()
    await lost_and_a_new_one(student, session, page, "cat /root/kept", "written-before")
    container = container_of(session, house.lxc)
    await student.end(session)
    async with asyncio.timeout(WAIT_S):
        while container in await asyncio.to_thread(house.lxc, "list", "-c", "n", "-f", "csv"):
            await asyncio.sleep(0.2)


async def test_lxd_killed_alone_gives_the_same_shell_back_with_every_line(house: House, lab: tuple[str, Page]) -> None:
    _, page = lab
    pid = await ask(page, "echo $$")
    await page.type(COUNT)
    await page.expect("\nN200\r\n")
    await asyncio.to_thread(house.kill_lxd)
    await page.message("detached")
    await asyncio.sleep(1)  # the loop counts on while nobody is attached
    starting = asyncio.create_task(asyncio.to_thread(house.start))
    await page.attached()
    await page.expect("ALLDONE\r\n", WAIT_S)
    assert (await starting)["lxd"] == "started"
    assert [int(n) for n in re.findall(rb"(?<![\w$])N(\d+)\r\n", bytes(page.output))] == list(range(1, 3001))
    assert page.gaps == []
    assert await ask(page, "echo $$") == pid


async def test_a_container_that_was_frozen_when_everything_died_starts_again(
    house: House, server: Server, student: User, lab: tuple[str, Page]
) -> None:
    session, page = lab
    await ask(page, "echo asleep > /root/kept")
    server.kill()
    page.drop()
    inside = await asyncio.to_thread(house._contained)
    assert inside
    await asyncio.to_thread(house.lxc, "pause", container_of(session, house.lxc))
    before = await house.rows()
    await asyncio.to_thread(house.kill)
    # In cgroup v1 frozen processes outlive SIGKILL, and LXD would start a second init beside them.
    frozen = ", 1 frozen orphans released" if lxd.FREEZER.exists() else ""
    assert await back(house, server, before) == "started" + frozen
    assert processes.wait_for(lambda: not set(inside) & set(house._contained()), DEATH_S)
    await student.sign_in()
    await lost_and_a_new_one(student, session, page, "cat /root/kept", "asleep")


async def test_a_killed_postgresql_or_redis_is_brought_back_under_a_running_server(
    house: House, student: User, lab: tuple[str, Page]
) -> None:
    session, page = lab
    for match in house._databases():
        house._kill(process.pid for process in processes.find(match))
    assert await ask(page, "echo typing-goes-on") == "typing-goes-on"
    done = await asyncio.to_thread(house.start)
    assert done == {"postgres": "started", "redis": "started", "lxd": "answers"}
    await student.sign_in()
    assert (await student.call("GET", f"/api/sessions/{session}"))["state"] == "live"
    assert await ask(page, "echo still") == "still"


async def back(house: House, server: Server, before: dict[str, list[str]]) -> str:
    """Starts everything again by the same commands, with the same data; what was done to LXD."""
    done = await asyncio.to_thread(house.start)
    assert house.answering() == list(house.folders)
    assert (done["postgres"], done["redis"]) == ("started", "started")
    assert await house.rows() == before
    await asyncio.to_thread(server.start)
    return done["lxd"]


async def lost_and_a_new_one(student: User, session: str, page: Page, command: str, printed: str) -> None:
    """The container is started again when the page comes; its shell is gone, which is said, and a new terminal works."""
    assert (await student.call("GET", f"/api/sessions/{session}"))["state"] == "live"
    with contextlib.suppress(Closed):
        await page.connect()
    assert [message["type"] for message in page.messages if message["type"] != "progress"] == ["lost"]
    fresh = (await student.call("POST", f"/api/sessions/{session}/terminals", status=201))["id"]
    async with student.page(fresh) as new:
        assert await ask(new, command) == printed
