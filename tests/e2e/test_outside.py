"""Somebody else stops, pauses, restarts or deletes a lab's container: people see it at once, and what should follow does."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from terminals.lxd import Lxd
from terminals.store import Store
from tests.client import Closed, Page, User
from tests.conftest import Server, container_of, lxc
from tests.e2e.test_faults import lxd_proxy
from tests.e2e.test_main_job import MakeUser, ask, shell
from tests.proxy import Proxy

__all__ = ["lxd_proxy"]  # a fixture

LESSON = "tiny-system"
SOON_S = 15.0
"""For a busy machine; the figures are printed."""
TOLD_S = 5.0
LABS = 6

Told = Callable[[str, list[float]], None]


async def aside(*words: str) -> None:
    """An operator's `lxc`."""
    await asyncio.to_thread(lxc, *words)


async def until(holds: Callable[[], Awaitable[bool]]) -> float:
    """Seconds until it holds."""
    began = time.monotonic()
    async with asyncio.timeout(SOON_S):
        while not await holds():
            await asyncio.sleep(0.05)
    return time.monotonic() - began


async def rests(student: User, session: str, rest: str) -> float:
    async def holds() -> bool:
        return bool((await student.call("GET", f"/api/sessions/{session}"))["rest"] == rest)

    return await until(holds)


async def alone(student: User, store: Store) -> str:
    """A lab that no instance has a terminal of."""
    session = await student.start(LESSON)
    assert (await store.lives.resting(session)) == "awake"
    return session


def said(page: Page, words: str) -> bool:
    return any(message["type"] == "progress" and words in message["step"] for message in page.messages)


async def test_one_that_is_stopped_under_its_page_says_so_and_starts_again(student: User, told: Told) -> None:
    session, page = await shell(student, LESSON)
    page.messages.clear()
    began = time.monotonic()
    stopping = asyncio.create_task(aside("stop", "-f", container_of(session)))
    await page.until(lambda: said(page, "has stopped"), SOON_S)
    told("a container that is stopped, its page hears", [time.monotonic() - began])
    await stopping
    await page.until(lambda: any(message["type"] == "lost" for message in page.messages), SOON_S)
    await page.leave()
    fresh = (await student.call("POST", f"/api/sessions/{session}/terminals", status=201))["id"]
    async with student.page(fresh) as again:
        assert await ask(again, "echo here") == "here"


async def test_one_that_is_paused_under_its_page_says_so_and_the_same_shell_goes_on(student: User, told: Told) -> None:
    session, page = await shell(student, LESSON)
    await ask(page, "mark=same")
    page.messages.clear()
    began = time.monotonic()
    pausing = asyncio.create_task(aside("pause", container_of(session)))
    await page.until(lambda: said(page, "is asleep"), SOON_S)
    told("a container that is paused, its page hears", [time.monotonic() - began])
    await pausing
    assert await ask(page, "echo $mark") == "same"
    await page.leave()


@pytest.mark.parametrize(("word", "rest"), [("pause", "asleep"), ("stop", "stopped")])
async def test_one_that_nobody_has_open_shows_it_and_is_awake_for_who_opens_it(
    student: User, store: Store, told: Told, word: str, rest: str
) -> None:
    session = await alone(student, store)
    await aside(word, *(["-f"] if word == "stop" else []), container_of(session))
    told(f"{word}, nobody there: it shows", [await rests(student, session, rest)])
    async with student.page(await student.first_terminal(session)) as page:
        assert await ask(page, "echo here") == "here"
    assert await store.lives.resting(session) == "awake"


async def test_one_that_is_started_again_from_outside_is_awake(student: User, store: Store) -> None:
    session = await alone(student, store)
    await aside("stop", "-f", container_of(session))
    await rests(student, session, "stopped")
    await aside("start", container_of(session))
    await rests(student, session, "awake")


async def test_one_that_is_deleted_ends_its_lab_at_once_and_nobody_elses(
    server: Server, make_user: MakeUser, told: Told
) -> None:
    ana, ben = await make_user(server.url), await make_user(server.url)
    (first, page), (_, unhurt) = await shell(ana, LESSON), await shell(ben, LESSON)
    began = time.monotonic()
    deleting = asyncio.create_task(aside("delete", "-f", container_of(first)))
    with pytest.raises(Closed) as closed:
        await page.until(lambda: False, SOON_S)
    assert closed.value.code == 4408
    told("a container that is deleted, its page hears", [time.monotonic() - began])
    await deleting
    shown = await ana.call("GET", f"/api/sessions/{first}")
    assert (shown["state"], shown["error"]["code"]) == ("ended", "container_gone")
    assert await ask(unhurt, "echo unhurt") == "unhurt"
    await unhurt.leave()


async def test_what_we_do_ourselves_is_nobody_elses(student: User, store: Store, lxd: Lxd) -> None:
    session, page = await shell(student, LESSON)
    await page.leave()
    await student.call("POST", f"/api/sessions/{session}/restart")
    await asyncio.sleep(1)  # its events have come
    assert await store.lives.resting(session) == "awake"
    new = (await student.call("POST", f"/api/sessions/{session}/reset", status=202))["id"]
    await student.until(new, "live")
    (kept,) = await store.database.fetch(
        "SELECT c.name FROM containers c JOIN sessions s ON s.user_id = c.kept_user WHERE s.id = $1 AND c.state = 'kept'",
        new,
    )

    async def stopped() -> bool:
        return bool((await lxd.instance(kept["name"]))["status"] == "Stopped")

    await until(stopped)
    assert await store.lives.resting(new) == "awake"


async def test_what_is_put_to_rest_stays_so(
    make_server: Callable[..., Server], make_user: MakeUser, store: Store, lxd: Lxd
) -> None:
    server = make_server(SWEEP_SECONDS="1")
    server.start()
    student = await make_user(server.url)
    session = await alone(student, store)

    async def is_in(status: str) -> bool:
        return bool((await lxd.instance(container_of(session)))["status"] == status)

    for since, rest, status in (("active_at", "asleep", "Frozen"), ("rested_at", "stopped", "Stopped")):
        sql = f"UPDATE sessions SET {since} = now() - interval '61 minutes' WHERE id = $1"
        await store.database.run(sql, session)
        await rests(student, session, rest)
        await until(lambda status=status: is_in(status))
        await asyncio.sleep(3)  # all that LXD tells of it has come
        assert (await store.lives.resting(session), await is_in(status)) == (rest, True)
    assert not server.logged("session_found")


async def test_many_at_once_are_all_seen(server: Server, make_user: MakeUser, store: Store, told: Told) -> None:
    people = [await make_user(server.url) for _ in range(LABS)]
    sessions = await asyncio.gather(*(alone(person, store) for person in people))
    await aside("stop", "-f", *(container_of(session) for session in sessions))
    took = await asyncio.gather(
        *(rests(person, session, "stopped") for person, session in zip(people, sessions, strict=True))
    )
    told(f"{LABS} stopped at once, nobody there: they show", took)


async def test_what_happens_while_no_event_comes_is_seen_when_they_come_again(
    make_server: Callable[..., Server], make_user: MakeUser, lxd_proxy: tuple[Proxy, str], store: Store
) -> None:
    proxy, url = lxd_proxy
    server = make_server(LXD_URL=url)
    server.start()
    student = await make_user(server.url)
    session = await alone(student, store)
    proxy.cut()
    async with asyncio.timeout(SOON_S):
        while not server.logged("lxd_events_away"):
            await asyncio.sleep(0.05)
    await aside("stop", "-f", container_of(session))
    # Other tests' server may have been told: as if nobody had.
    await asyncio.sleep(1)
    await store.database.run("UPDATE sessions SET rest = 'awake', rested_at = NULL WHERE id = $1", session)
    proxy.mend()
    await rests(student, session, "stopped")
    assert server.logged("session_found")
