"""A host that is full: who comes waits in the queue, in order and in words; nobody's lab suffers for it."""

import asyncio
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from server.seed import COURSE
from terminals.lxd import Lxd
from terminals.store import Store
from terminals.store.lessons import Text, Wants
from terminals.store.sessions import FULL
from tests.client import User
from tests.conftest import ROOT, Server, lxc, people
from tests.e2e.test_main_job import MakeUser, ask
from tests.e2e.test_pool import emptied, until

pytestmark = pytest.mark.usefixtures("alone")

SETTLE_S = 60.0


async def begin(student: User, lesson: str = "tiny-system") -> str:
    return str((await student.call("POST", "/api/sessions", {"lesson": lesson}, 202))["id"])


async def state(student: User, session: str) -> str:
    return str((await student.call("GET", f"/api/sessions/{session}"))["state"])


async def waits_for_room(student: User, session: str, place: int) -> bool:
    progress = (await student.call("GET", f"/api/sessions/{session}"))["progress"]
    return bool(progress and progress["full"] and progress["step"] == FULL and progress["place"] == place)


async def test_six_come_to_room_for_two_and_each_place_that_gets_free_is_the_nexts(
    make_server: Callable[..., Server], make_user: MakeUser, store: Store
) -> None:
    servers = [make_server(CAPACITY_LABS="2", INSTANCE="one")]
    servers.append(make_server(CAPACITY_LABS="2", INSTANCE="two", PUBLIC_URL=servers[0].url))
    for each in servers:
        each.start()
    students = [await make_user(servers[0].url) for _ in range(6)]
    sessions = [await begin(student) for student in students]

    async def live() -> list[int]:
        sql = "SELECT id FROM sessions WHERE id = ANY($1) AND state = 'live'"
        return sorted(sessions.index(row["id"]) for row in await store.database.fetch(sql, sessions))

    async def most() -> int:
        return int(await store.database.value("SELECT count(*) FROM containers WHERE state <> 'kept'"))

    async with asyncio.timeout(SETTLE_S):
        while await live() != [0, 1]:
            assert await most() <= 2
            await asyncio.sleep(0.1)
    for number in range(2, 6):
        await until(lambda n=number: waits_for_room(students[n], sessions[n], n - 1))
    for ended in range(4):
        await students[ended].call("DELETE", f"/api/sessions/{sessions[ended]}", None, 202)
        async with asyncio.timeout(SETTLE_S):
            while await live() != [ended + 1, ended + 2]:
                assert set(await live()) <= {ended + 1, ended + 2}, "nobody is overtaken"
                assert await most() <= 2
                await asyncio.sleep(0.1)
    async with students[5].page(await students[5].first_terminal(sessions[5])) as page:
        assert await ask(page, "echo here") == "here"
    failed = "SELECT count(*) FROM sessions WHERE id = ANY($1) AND error_code IS NOT NULL"
    assert await store.database.value(failed, sessions) == 0
    said = [line for server in servers for line in server.logged("labs_full")]
    assert 1 <= len(said) <= 2, "each server once when it becomes full, not at every look, and not at every place"
    assert any("2 containers of 2" in line for line in said)
    assert any(server.logged("labs_not_full") for server in servers)


async def test_who_resets_a_lab_keeps_the_place_though_others_wait(
    make_server: Callable[..., Server], make_user: MakeUser
) -> None:
    server = make_server(CAPACITY_LABS="1")
    server.start()
    first, second = await make_user(server.url), await make_user(server.url)
    session = await first.start("tiny-system")
    waiting = await begin(second)
    await until(lambda: waits_for_room(second, waiting, 1))
    new = (await first.call("POST", f"/api/sessions/{session}/reset", {}, 202))["id"]
    await first.until(new, "live")
    assert await state(second, waiting) == "starting"


async def test_a_lesson_that_no_host_can_hold_is_refused_in_words_and_holds_nobody_up(
    make_server: Callable[..., Server], make_user: MakeUser, store: Store
) -> None:
    server = make_server()
    server.start()
    wants = Wants(image="busybox", memory="4096GiB")
    await store.lessons.put("too-large", COURSE, 98, Text("Too large", 10), wants)
    student, other = await make_user(server.url), await make_user(server.url)
    session = await begin(student, "too-large")
    await until(lambda: _is(student, session, "ended"))
    error = (await student.call("GET", f"/api/sessions/{session}"))["error"]
    assert error["code"] == "lesson_too_large"
    assert "needs 4096 GiB of memory" in error["message"]
    assert "Tell your teacher" in error["message"]
    await other.start("tiny-system")
    await store.database.run("DELETE FROM sessions WHERE id = $1", session)
    await store.database.run("DELETE FROM lessons WHERE id = 'too-large'")


async def _is(student: User, session: str, wanted: str) -> bool:
    return await state(student, session) == wanted


@pytest.fixture
async def stocked(make_server: Callable[..., Server], store: Store, lxd: Lxd) -> AsyncIterator[Server]:
    """A server with room for three, whose pool has all but the last."""
    # Only the tiny system's image is tended: the other one's lessons are nobody's for a while.
    server = make_server(CAPACITY_LABS="3", POOL_READY="2", POOL_AWAKE="2", POOL_SPARE="0")
    server.start()
    try:
        await until(lambda: _stood(store, 2))
        yield server
    finally:
        server.stop()
        await emptied(store, lxd)


async def _stood(store: Store, count: int) -> bool:
    """So many wait, and nothing is being made."""
    sql = "SELECT count(*) FILTER (WHERE state = 'ready') = $1 AND count(*) = $1 FROM containers"
    return bool(await store.database.value(sql, count))


async def test_the_pool_leaves_the_last_room_and_gives_back_what_a_start_of_another_image_waits_for(
    stocked: Server, make_user: MakeUser, store: Store
) -> None:
    await asyncio.sleep(5)
    assert await _stood(store, 2), "the last place is students'"
    sql = "SELECT needs->>'image' AS image FROM containers WHERE state = 'ready'"
    images = [row["image"] for row in await store.database.fetch(sql)]
    lesson = {"busybox": "tiny-system", "lab": "first-steps"}
    # Three of one image come, of which fewer wait than that: each has its lab in the end.
    image = next(image for image in lesson if images.count(image) < 2)
    students = [await make_user(stocked.url) for _ in range(3)]
    sessions = [await begin(student, lesson[image]) for student in students]
    for student, session in zip(students, sessions, strict=True):
        assert (await student.until(session, "live"))["error"] is None
    assert stocked.logged("container_given_back")


@pytest.fixture
def small_pool() -> Iterator[str]:
    """A storage pool of 1 GiB, so that nobody else's gets full."""
    name = f"small-{secrets.token_hex(3)}"
    lxc("storage", "create", name, "btrfs", "size=1GiB")
    yield name
    lxc("storage", "delete", name)


async def fill(student: User, mebibytes: int) -> str:
    """The lab in which so much was written."""
    session = await student.start("small-disk")
    async with student.page(await student.first_terminal(session)) as page:
        write = f"dd if=/dev/zero of=/fat bs=1M count={mebibytes} 2>/dev/null; sync; echo full"
        assert await ask(page, write) == "full"
    return session


async def test_a_storage_pool_that_is_really_full_makes_starts_wait_until_it_is_not(
    make_server: Callable[..., Server], small_pool: str, store: Store
) -> None:
    server = make_server(LXD_POOL=small_pool, CAPACITY_DISK="400MiB")
    server.start()
    wants = Wants(image="busybox", memory="128MiB", disk="600MiB")
    await store.lessons.put("small-disk", COURSE, 99, Text("Small disk", 10), wants)
    try:
        async with people(store) as make:
            one, two, other = [await make(server.url) for _ in range(3)]
            await fill(one, 550)
            filler = await fill(two, 150)
            await until(lambda: _disk_used(one, 680 << 20))
            waiting = await begin(other, "small-disk")
            await until(lambda: waits_for_room(other, waiting, 1))
            assert any("of disk free" in line for line in server.logged("labs_full"))
            async with two.page(await two.first_terminal(filler)) as page:
                assert await ask(page, "rm /fat; sync; echo well") == "well"
            assert (await other.until(waiting, "live"))["error"] is None
    finally:
        await store.database.run("DELETE FROM sessions WHERE lesson_id = 'small-disk'")
        await store.database.run("DELETE FROM lessons WHERE id = 'small-disk'")


async def _disk_used(student: User, least: int) -> bool:
    """As the server saw it when it last looked."""
    async with student.http.get("/metrics") as answer:
        lines = (await answer.text()).splitlines()
    used = [line for line in lines if line.startswith("educenter_capacity_disk_bytes") and 'what="used"' in line]
    return any(float(line.rsplit(" ", 1)[1]) >= least for line in used)


def test_an_operator_sees_the_room(server: Server) -> None:
    command = [sys.executable, "-m", "server", "pool", "status"]
    found = subprocess.run(
        command, env=server.settings, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert "that there is room for" in found
    assert "GiB of memory are promised to them" in found
