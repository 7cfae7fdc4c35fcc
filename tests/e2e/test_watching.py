"""Watching: from any instance, exactly what the student sees, never without the student knowing, and by nobody else."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.client import Closed, Page, User
from tests.conftest import Server
from tests.e2e.test_main_job import MakeUser, ask, shell


@pytest.fixture(scope="module")
def two(seeded: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """Instances of one service that tests may kill: whole again before each."""
    folder = tmp_path_factory.mktemp("two")
    first = Server(folder / "first.log")
    second = Server(folder / "second.log", PUBLIC_URL=first.url)
    yield first, second
    for each in (first, second):
        if each.process is not None:
            each.stop()


@pytest.fixture
async def server(two: tuple[Server, Server]) -> Server:
    await asyncio.to_thread(two[0].complete)
    return two[0]


@pytest.fixture
async def student(server: Server, make_user: MakeUser) -> User:
    found: User = await make_user(server.url)
    return found


@pytest.fixture
async def elsewhere(two: tuple[Server, Server]) -> Server:
    """Another instance of the same service."""
    await asyncio.to_thread(two[1].complete)
    return two[1]


@pytest.fixture
async def teacher(server: Server, make_user: MakeUser) -> User:
    found: User = await make_user(server.url, role="instructor", name="Ms Rivera")
    return found


def watch(teacher: User, terminal: str, at: Server) -> Page:
    return teacher.page(terminal, url=at.url, role="observer")


async def watched_by(page: Page, names: list[str]) -> None:
    """Waits until the student's page was told that just these watch."""

    def told() -> bool:
        said = [m["watchers"] for m in page.messages if m["type"] == "watchers"]
        return bool(said) and [each["name"] for each in said[-1]] == names

    await page.until(told)


async def same(student: Page, observer: Page) -> None:
    """Waits until the observer has what the student has, and checks every byte that both keep."""
    await observer.until(lambda: observer.offset >= student.offset)
    start = max(student.start, observer.start)
    length = student.offset - start
    assert length > 0
    assert student.output[start - student.start :][:length] == observer.output[start - observer.start :][:length], (
        "the observer sees other bytes than the student"
    )


@pytest.mark.parametrize("where", ["here", "elsewhere"])
async def test_an_instructor_sees_what_the_student_sees_and_the_student_knows(
    server: Server, elsewhere: Server, student: User, teacher: User, where: str
) -> None:
    _, page = await shell(student, "first-steps")
    assert await ask(page, "seq 2000 | tail -1") == "2000"
    observer = watch(teacher, page.terminal, server if where == "here" else elsewhere)
    attached = await observer.connect()
    assert attached["role"] == "observer"
    await watched_by(page, ["Ms Rivera"])
    await same(page, observer)
    # What comes from now on, byte for byte, while much of it comes.
    assert await ask(page, "seq 300000 | tail -1; seq 20000") != ""
    await same(page, observer)
    assert observer.gaps == []
    # The student's size, and later changes of it.
    await page.resize(101, 33)
    found = await observer.message("size")
    assert (found["cols"], found["rows"]) == (101, 33)
    assert await ask(page, "stty size") == "33 101"
    # Nothing that the observer sends arrives.
    await observer.type("echo from-the-observer\r")
    await observer.resize(20, 10)
    await observer.say({"type": "take"})
    assert await ask(page, "stty size; echo still-mine") == "33 101\r\nstill-mine"
    assert b"from-the-observer" not in page.output
    assert not [m for m in page.messages if m["type"] == "role"]
    await observer.leave()
    await watched_by(page, [])
    await page.leave()


async def test_nobody_else_may_watch(server: Server, elsewhere: Server, student: User, make_user: MakeUser) -> None:
    _, page = await shell(student, "tiny-system")
    classmate, stranger = await make_user(server.url), await make_user(server.url, role=None)
    for person in (classmate, stranger):
        for at in (server, elsewhere):
            with pytest.raises(Closed) as refused:
                await watch(person, page.terminal, at).connect()
            assert refused.value.code == 4404
        async with person.http.get(f"/watch/{page.terminal}", headers={"Accept": "text/html"}) as answer:
            assert answer.status == 404
    assert not [m for m in page.messages if m["type"] == "watchers"]
    await page.leave()


async def test_an_instructor_never_drives(student: User, teacher: User, elsewhere: Server) -> None:
    _, page = await shell(student, "tiny-system")
    for url in (student.url, elsewhere.url):
        with pytest.raises(Closed) as refused:
            await teacher.page(page.terminal, url=url).connect()
        assert refused.value.code == 4404
    assert await ask(page, "echo undisturbed") == "undisturbed"
    await page.leave()


async def test_the_owner_is_killed_and_the_watcher_goes_on_with_the_next(
    server: Server, elsewhere: Server, student: User, teacher: User
) -> None:
    _, page = await shell(student, "first-steps")
    await page.type("for i in $(seq 60); do echo tick-$i; sleep 0.1; done\r")
    await page.expect("tick-5\r")
    observer = watch(teacher, page.terminal, elsewhere)
    await observer.connect()
    await observer.expect("tick-8\r")
    await asyncio.to_thread(server.kill)
    page.drop()
    page.url = elsewhere.url
    await page.connect()
    # It was only watched there; now it is owned there, and who watches connects again.
    end = await observer.closed()
    assert end.code == 1012
    await observer.connect()
    await watched_by(page, ["Ms Rivera"])
    await page.expect("tick-60\r")
    await same(page, observer)
    assert (page.gaps, observer.gaps) == ([], [])
    await page.leave()


async def test_who_watches_a_terminal_that_nobody_has_open_leaves_its_size_and_holds_nothing_back(
    elsewhere: Server, student: User, teacher: User, server: Server
) -> None:
    _, page = await shell(student, "first-steps")
    await page.resize(91, 31)
    assert await ask(page, "stty size") == "31 91"
    await page.type("sleep 2; seq 200000; stty size > size; echo done''now\r")
    await page.expect("seq 200000")
    await asyncio.sleep(0.5)
    await asyncio.to_thread(server.kill)
    observer = watch(teacher, page.terminal, elsewhere)
    observer.size = (20, 10)
    await observer.connect()
    await observer.expect("donenow", timeout=40)
    page.drop()
    page.url = elsewhere.url
    await page.connect()
    assert await ask(page, "cat size") == "31 91"
    await page.leave()


async def test_who_watches_misses_nothing_when_another_instance_begins_to_watch(
    server: Server, elsewhere: Server, make_server: Callable[..., Server], student: User, teacher: User
) -> None:
    third = make_server(PUBLIC_URL=server.url)
    await asyncio.to_thread(third.start)
    _, page = await shell(student, "first-steps")
    assert await ask(page, "seq 200000 | tail -1; seq 150000") != ""
    observer = watch(teacher, page.terminal, elsewhere)
    await observer.connect()
    await observer.until(lambda: observer.resets == 1)
    begin = observer.own_from
    await page.type("for i in $(seq 400); do seq 200; sleep 0.01; done; echo al''l\r")
    async with asyncio.TaskGroup() as group:
        reading = [group.create_task(one.expect("all\r\n", timeout=60)) for one in (page, observer)]
        for _ in range(4):
            late = watch(teacher, page.terminal, third)
            await late.connect()
            await late.step()
            await late.leave()
            # Its mirror is let go after 2 s: the next one begins anew.
            await asyncio.sleep(2.5)
            if reading[0].done():
                break
    assert (observer.gaps, observer.resets) == ([], 1)
    both = min(observer.offset, page.offset) - begin
    assert observer.output[begin - observer.offset :][:both] == page.output[begin - page.start :][:both]
    await page.leave()


async def test_an_ended_lab_ends_the_watching(elsewhere: Server, student: User, teacher: User) -> None:
    session, page = await shell(student, "tiny-system")
    observer = watch(teacher, page.terminal, elsewhere)
    await observer.connect()
    await student.end(session)
    assert (await observer.closed()).code == 4408


async def test_a_watcher_that_reads_nothing_harms_nobody(
    elsewhere: Server, student: User, teacher: User, redis: Any
) -> None:
    _, page = await shell(student, "first-steps")
    stalled = watch(teacher, page.terminal, elsewhere)
    await stalled.connect()
    assert await ask(page, "seq 400000 | tail -1; seq 100000") != ""
    assert await redis.xlen(f"educenter:relay:{page.terminal}") <= 32
    # When it reads again it has what there is to see, from a fresh beginning.
    await same(page, stalled)
    await page.leave()
