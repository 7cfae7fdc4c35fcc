"""Containers wait for their students, and starts wait for containers: quick, fair, and nobody's death costs anybody a lab."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from server.seed import COURSE
from terminals.lxd import Lxd
from terminals.store import Store
from terminals.store.lessons import Text, Wants
from tests.client import User
from tests.conftest import Server, lxc
from tests.e2e.test_main_job import MakeUser, ask

POOL = {"POOL_READY": "2", "POOL_AWAKE": "1", "POOL_SPARE": "0"}
SETTLE_S = 60.0


async def until(holds: Callable[[], Any], seconds: float = SETTLE_S) -> None:
    async with asyncio.timeout(seconds):
        while not await holds():
            await asyncio.sleep(0.1)


async def waiting(store: Store, frozen: bool | None = None) -> list[str]:
    """Of the busybox image: the names of those that wait."""
    sql = """
        SELECT name FROM containers
        WHERE state = 'ready' AND needs->>'image' = 'busybox' AND ($1::bool IS NULL OR frozen = $1)"""
    return [row["name"] for row in await store.database.fetch(sql, frozen)]


@pytest.fixture
async def stocked(make_server: Callable[..., Server], store: Store, lxd: Lxd) -> AsyncIterator[Server]:
    """A server whose pool is full: one runs, one is frozen. At the end no container waits any more."""
    server = make_server(**POOL)
    server.start()
    try:
        await until(lambda: _full(store))
        yield server
    finally:
        server.stop()
        await emptied(store, lxd)


async def _full(store: Store) -> bool:
    return (len(await waiting(store, False)), len(await waiting(store, True))) == (1, 1)


async def emptied(store: Store, lxd: Lxd) -> None:
    """Deletes what the pool left, for other tests count."""
    await store.database.run("UPDATE containers SET state = 'gone' WHERE session_id IS NULL")
    for row in await store.database.fetch("SELECT name FROM containers WHERE session_id IS NULL"):
        await lxd.delete(row["name"])
        await store.containers.forget(row["name"])


async def test_a_waiting_container_is_its_students_at_once_and_its_shell_waits_with_the_prompt(
    stocked: Server, make_user: MakeUser, store: Store
) -> None:
    (awake,) = await waiting(store, False)
    student: User = await make_user(stocked.url)
    session = (await student.call("POST", "/api/sessions", {"lesson": "tiny-system"}, 202))["id"]
    shown = await student.call("GET", f"/api/sessions/{session}")
    assert shown["state"] == "live", "no further question was needed"
    assert await store.containers.of_session(session) == awake
    async with student.page(shown["terminals"][0]["id"]) as page:
        await page.until(lambda: bool(page.output))  # nothing was typed: it is what waited there
        assert await ask(page, "echo $((6*7))") == "42"
        await page.resize(90, 30)
        assert await ask(page, "stty size") == "30 90"
    await until(lambda: _full(store))


async def test_a_frozen_one_is_woken_for_its_student(stocked: Server, make_user: MakeUser, store: Store) -> None:
    first, second = await make_user(stocked.url), await make_user(stocked.url)
    await first.start("tiny-system")
    (frozen,) = await waiting(store, True) or [""]
    session = await second.start("tiny-system")
    taken = await store.containers.of_session(session)
    async with second.page(await second.first_terminal(session)) as page:
        assert await ask(page, "echo awake") == "awake"
    # The one that was frozen, unless the pool had thawed it in between; never a new one.
    assert taken == frozen or not frozen


async def test_a_lesson_with_other_limits_gets_them_live(
    stocked: Server, make_user: MakeUser, store: Store, lxd: Lxd
) -> None:
    student: User = await make_user(stocked.url)
    stood = await waiting(store)
    wants = Wants(image="busybox", memory="200MiB", processes=77, disk="2GiB")
    await store.lessons.put("other-limits", COURSE, 95, Text("Other limits", 10), wants)
    session = await student.start("other-limits")
    container = await store.containers.of_session(session)
    assert container in stood
    instance = await lxd.instance(str(container))
    assert instance["config"]["limits.memory"] == "200MiB"
    assert instance["devices"]["root"]["size"] == "2GiB"
    assert instance["config"]["user.educenter.session"] == session
    assert instance["config"]["limits.processes"] == "77"
    seen = lxc("exec", str(container), "--", "grep", "MemTotal", "/proc/meminfo")
    assert int(seen.split()[1]) == 200 * 1024


async def test_a_crowd_beyond_the_pool_queues_in_order_with_place_and_estimate(
    make_server: Callable[..., Server], make_user: MakeUser, store: Store
) -> None:
    server = make_server(STARTS_AT_ONCE="1")
    server.start()
    students = [await make_user(server.url) for _ in range(4)]
    sessions = [(await each.call("POST", "/api/sessions", {"lesson": "tiny-system"}, 202))["id"] for each in students]
    places: list[list[int]] = [[] for _ in sessions]

    async def watch(number: int) -> None:
        while True:
            shown = await students[number].call("GET", f"/api/sessions/{sessions[number]}")
            if shown["state"] == "live":
                return
            assert shown["state"] == "starting", shown
            places[number].append(shown["progress"]["place"] or 0)
            assert shown["progress"]["seconds_left"] >= 1
            await asyncio.sleep(0.05)

    async with asyncio.timeout(SETTLE_S):
        await asyncio.gather(*(watch(number) for number in range(len(sessions))))
    picked = await store.database.fetch("SELECT id FROM sessions WHERE id = ANY($1) ORDER BY picked_at", sessions)
    assert [row["id"] for row in picked] == sessions, "nobody is overtaken"
    assert max(places[3]) == 3
    assert all(later <= earlier for earlier, later in zip(places[3], places[3][1:], strict=False))


async def test_a_start_goes_on_when_its_instance_is_killed(
    make_server: Callable[..., Server], make_user: MakeUser, store: Store, lxd: Lxd
) -> None:
    victim = make_server(INSTANCE="victim")
    victim.start()
    student: User = await make_user(victim.url)
    session = (await student.call("POST", "/api/sessions", {"lesson": "tiny-system"}, 202))["id"]
    await until(lambda: store.containers.of_session(session))
    victim.kill()
    half = await store.containers.of_session(session)
    await unheard(store)
    other = make_server(PUBLIC_URL=victim.url, INSTANCE="other", SWEEP_SECONDS="1")
    other.start()
    student.go_to(other.port)
    await student.until(session, "live")
    async with student.page(await student.first_terminal(session), url=other.url) as page:
        assert await ask(page, "echo alive") == "alive"
    # What the killed one was making isn't kept.
    container = await store.containers.of_session(session)
    if container != half:
        await until(lambda: _absent(lxd, str(half)), 120)


async def unheard(store: Store) -> None:
    """As if who was killed had last been heard of a minute ago: longer than anybody's patience."""
    await store.database.run("UPDATE sessions SET heard_at = heard_at - interval '1 minute' WHERE state = 'starting'")
    await store.database.run(
        "UPDATE containers SET heard_at = heard_at - interval '1 minute' WHERE state IN ('warming', 'taken')"
    )


async def _absent(lxd: Lxd, name: str) -> bool:
    return name not in await lxd.names()


async def test_an_instance_that_stops_hands_its_starts_on_at_once(
    make_server: Callable[..., Server], make_user: MakeUser, store: Store
) -> None:
    leaving, staying = make_server(STARTS_AT_ONCE="1"), None
    leaving.start()
    students = [await make_user(leaving.url) for _ in range(3)]
    sessions = [(await each.call("POST", "/api/sessions", {"lesson": "tiny-system"}, 202))["id"] for each in students]
    await asyncio.to_thread(leaving.stop)
    staying = make_server(PUBLIC_URL=leaving.url)
    staying.start()
    for student, session in zip(students, sessions, strict=True):
        student.go_to(staying.port)
        assert (await student.until(session, "live"))["error"] is None
    assert not await store.database.fetch("SELECT id FROM sessions WHERE id = ANY($1) AND state <> 'live'", sessions)


async def test_a_pool_that_is_made_smaller_gives_back_and_one_that_is_off_does_nothing(
    stocked: Server, make_server: Callable[..., Server], store: Store
) -> None:
    stocked.stop()
    smaller = make_server(**(POOL | {"POOL_READY": "1", "POOL_MOST": "1"}))
    smaller.start()
    await until(lambda: _count(store, 1))
    smaller.stop()
    off = make_server()
    off.start()
    await asyncio.sleep(3)
    assert len(await waiting(store)) == 1
    assert not off.logged("container_warmed")


async def _count(store: Store, count: int) -> bool:
    return len(await waiting(store)) == count


async def test_a_maker_that_is_killed_leaves_nothing_half_made_in_the_pool(
    make_server: Callable[..., Server], store: Store, lxd: Lxd
) -> None:
    server = make_server(**POOL, SWEEP_SECONDS="1")
    server.start()
    await until(lambda: store.database.fetch("SELECT FROM containers WHERE state = 'warming'"))
    server.kill()
    half = [row["name"] for row in await store.database.fetch("SELECT name FROM containers WHERE state = 'warming'")]
    await unheard(store)
    server.start()
    try:
        await until(lambda: _full(store))
        for name in half:
            await until(lambda name=name: _absent(lxd, name), 120)
        known = await store.containers.names()
        assert not known & set(half)
    finally:
        server.stop()
        await emptied(store, lxd)
