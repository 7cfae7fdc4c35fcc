"""How long a lab is kept: by a clock that the tests turn. Rows, containers, shells and pages are real."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from terminals.capacity import Policy as Allowed
from terminals.errors import Conflict
from terminals.fleet.bus import Bus
from terminals.fleet.feeds import Feeds
from terminals.fleet.presence import Presence
from terminals.holder import Holder
from terminals.hub import Hub
from terminals.labs.admission import Admission
from terminals.labs.clearing import Clearing
from terminals.labs.containers import Containers
from terminals.labs.power import Power
from terminals.labs.shells import Shells
from terminals.labs.starts import Starts
from terminals.lxd import Lxd
from terminals.school.janitor import LEADER
from terminals.school.keeper import Keeper
from terminals.school.keeping import Keeping
from terminals.school.sessions import Sessions
from terminals.store import Store
from terminals.store.lessons import Text, Wants
from terminals.store.lives import Patience
from tests.client import Closed, Page, User
from tests.conftest import Server
from tests.e2e.test_main_job import MakeUser, ask
from tests.e2e.test_pool import emptied, waiting

COURSE, LESSON = "kept", "kept-lesson"
PATIENCE = Patience(freeze=30, stop=60, end=150, longest=1440)
MINUTE = timedelta(minutes=1)
HOUR = 60 * MINUTE


class Clock:
    """Stands still until somebody turns it."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.at

    def to(self, moment: datetime) -> None:
        self.at = moment


class House:
    """One who keeps labs, by `clock`, beside the servers that have their terminals."""

    def __init__(
        self, store: Store, lxd: Lxd, redis: Redis, kind: type[Containers] = Containers, patience: Patience = PATIENCE
    ) -> None:
        holder = Holder.load(Path(os.environ["HOLDER_PATH"]))
        self.store, self.lxd, self.clock = store, lxd, Clock()
        self.containers = kind(lxd, holder, os.environ["LXD_POOL"], os.environ.get("DEPLOYMENT", "educenter"), {})
        self.presence, self.bus = Presence(redis, "keeper"), Bus(redis)
        clearing, power = Clearing(store, self.containers), Power(store, self.containers)
        admission = Admission(store, lxd, os.environ["LXD_POOL"], Allowed(at_once=1), "keeper")
        starts = Starts(store, self.containers, clearing, power, "keeper", admission)
        feeds = Feeds(redis, "keeper")
        hub = Hub(store, lxd, holder, self.containers, self.presence, feeds, "keeper", None, None)
        sessions = Sessions(store, starts, clearing, power, hub, self.bus)
        shells = Shells(lxd, holder)
        self.keeper = Keeper(store, sessions, power, shells, self.presence, self.bus, patience, now=self.clock)
        self.keeping = Keeping(store, patience, self.clock)
        self.close = clearing.close

    async def turn(self, moment: datetime) -> None:
        self.clock.to(moment)
        await self.keeper.turn()

    async def status(self, session: str) -> str:
        """LXD's word for its container; gone where there is none."""
        name = await self.store.containers.of_session(session)
        return str((await self.lxd.instance(name))["status"]) if name else "gone"

    async def row(self, session: str) -> Any:
        return await self.store.database.row("SELECT * FROM sessions WHERE id = $1", session)

    async def let_go(self, terminal: str) -> None:
        """As if nobody had looked at it for a minute: its exec is detached."""
        session = await self.store.database.value("SELECT session_id FROM terminals WHERE id = $1", terminal)
        await self.bus.notify("rest", session)
        async with asyncio.timeout(10):
            while await self.presence.of([terminal]):
                await asyncio.sleep(0.05)


@pytest.fixture
async def make_house(store: Store, lxd: Lxd, redis: Redis) -> AsyncIterator[Callable[..., House]]:
    """No janitor of a server sweeps meanwhile."""
    made: list[House] = []

    def make(**options: Any) -> House:
        made.append(House(store, lxd, redis, **options))
        return made[-1]

    async with asyncio.timeout(60):
        while not await (leading := AsyncExitStack()).enter_async_context(store.database.lead(LEADER)):
            await leading.aclose()
            await asyncio.sleep(0.1)
    async with leading:
        yield make
        for house in made:
            await house.close()


@pytest.fixture
async def house(make_house: Callable[..., House]) -> House:
    return make_house()


@pytest.fixture
async def course(store: Store) -> AsyncIterator[str]:
    """With one short lesson in busybox, a policy of the settings' and no class."""
    await store.courses.put(COURSE, "Kept")
    needs = Wants(image="busybox", memory="128MiB", processes=100, disk="1GiB")
    await store.lessons.put(LESSON, COURSE, 1, Text("To be kept", 20), needs)
    await store.courses.keep(COURSE, [None] * 4)
    yield COURSE
    await store.database.run("DELETE FROM timetable WHERE course_id = $1", COURSE)
    await store.courses.keep(COURSE, [None] * 4)


@pytest.fixture
async def person(course: str, student: User, store: Store) -> User:
    """A student of the course."""
    await enrol(store, student, "student")
    return student


async def enrol(store: Store, person: User, role: str) -> None:
    user = await store.users.by_email(person.email)
    assert user is not None
    await store.courses.enrol(COURSE, user.id, role)


@pytest.fixture
async def page(person: User) -> AsyncIterator[Page]:
    """On the only terminal of a live lab, at its prompt."""
    session = await person.start(LESSON)
    found = person.page(await person.first_terminal(session))
    await found.connect()
    assert await ask(found, "echo here") == "here"
    yield found
    await found.leave()


async def session_of(page: Page, store: Store) -> str:
    found: str = await store.database.value("SELECT session_id FROM terminals WHERE id = $1", page.terminal)
    return found


async def away(page: Page, house: House) -> None:
    """The page is closed, and everybody knows."""
    await page.leave()
    await known(page, house, 0)


async def known(page: Page, house: House, viewers: int) -> None:
    """So many pages have the terminal open, as every instance knows."""
    async with asyncio.timeout(10):
        while (
            facts := (await house.presence.of([page.terminal])).get(page.terminal)
        ) is None or facts.viewers != viewers:
            await asyncio.sleep(0.05)


async def test_a_lab_that_nobody_uses_sleeps_then_is_stopped_then_ends(
    house: House, page: Page, person: User, store: Store
) -> None:
    session = await session_of(page, store)
    await away(page, house)
    used = (await house.row(session))["active_at"]
    seen = []
    for minutes in (29, 31, 31 + 59, 31 + 61, 92 + 100):
        await house.turn(used + minutes * MINUTE)
        seen.append((await house.status(session), (await house.row(session))["rest"]))
    assert seen == [
        ("Running", "awake"),
        ("Frozen", "asleep"),
        ("Frozen", "asleep"),
        ("Stopped", "stopped"),
        ("Stopped", "stopped"),
    ]
    assert await house.presence.of([page.terminal]) == {}, "no exec is left in what is frozen"
    # Its deadline would come first.
    await store.courses.keep(COURSE, [None, None, 101, None])
    await house.turn(house.clock() + MINUTE)
    shown = await person.call("GET", f"/api/sessions/{session}")
    assert (shown["state"], shown["ended"]["by"], shown["deadline"]) == ("ended", "idle", None)
    async with asyncio.timeout(30):
        while await store.containers.of_session(session):
            await asyncio.sleep(0.1)


async def test_a_sleeping_lab_wakes_with_the_same_shell_when_its_student_opens_it(
    house: House, page: Page, person: User, store: Store
) -> None:
    session = await session_of(page, store)
    pid = await ask(page, "echo $$")
    await away(page, house)
    await house.turn((await house.row(session))["active_at"] + 31 * MINUTE)
    assert await house.status(session) == "Frozen"
    assert (await person.call("GET", f"/api/sessions/{session}"))["rest"] == "asleep"
    again = person.page(page.terminal)
    await again.connect()
    assert any(m["type"] == "progress" and "asleep" in m["step"] for m in again.messages), again.messages
    assert await ask(again, "echo $$") == pid
    assert (await house.row(session))["rest"] == "awake"
    await again.leave()


async def test_a_stopped_lab_is_started_with_its_files_when_its_student_opens_it(
    house: House, page: Page, person: User, store: Store
) -> None:
    session = await session_of(page, store)
    await ask(page, "echo kept > /root/file; sync")
    await away(page, house)
    await house.turn((await house.row(session))["active_at"] + 31 * MINUTE)
    await house.turn(house.clock() + 61 * MINUTE)
    assert await house.status(session) == "Stopped"
    again = person.page(page.terminal)
    await again.knock()
    await again.message("lost", 60)  # its programs are gone, and it says so
    await again.leave()
    fresh = (await person.call("POST", f"/api/sessions/{session}/terminals", status=201))["id"]
    async with person.page(fresh) as new:
        assert await ask(new, "cat /root/file") == "kept"
    assert (await person.call("GET", f"/api/sessions/{session}"))["rest"] == "awake"


async def test_an_open_page_and_a_program_in_the_foreground_keep_a_lab_awake_a_daemon_does_not(
    house: House, page: Page, person: User, store: Store
) -> None:
    session = await session_of(page, store)

    async def later() -> tuple[str, bool]:
        """After another 31 minutes: its container's state, and whether it counted as used."""
        moment = max(house.clock(), (await house.row(session))["active_at"]) + 31 * MINUTE
        await house.turn(moment)
        return await house.status(session), (await house.row(session))["active_at"] == moment

    await known(page, house, 1)
    assert await later() == ("Running", True), "a page is open"
    await ask(page, "(sleep 1000 &)")
    await page.type("sleep 2000\r")
    await page.until(lambda: any(m.get("command") == "sleep" for m in page.messages))
    await away(page, house)
    assert await later() == ("Running", True), "the instance that has the terminal says that a program runs"
    await house.let_go(page.terminal)
    assert await later() == ("Running", True), "its holder says so"
    again = person.page(page.terminal)
    await again.connect()
    await again.type("\x03")
    assert await ask(again, "echo free") == "free"
    await away(again, house)
    await house.let_go(page.terminal)
    assert await later() == ("Frozen", False), "only the daemon is left"


async def test_nothing_is_put_to_rest_or_ended_in_a_class(house: House, page: Page, store: Store) -> None:
    session = await session_of(page, store)
    await away(page, house)
    row = await house.row(session)
    begin, end = row["active_at"] + 20 * MINUTE, row["live_at"] + 5 * HOUR
    await store.timetable.add(COURSE, begin, end - HOUR, 30)
    await store.timetable.add(COURSE, end - HOUR, end, 30)  # the next one at once
    for moment in (begin + 15 * MINUTE, row["live_at"] + 4 * HOUR + MINUTE, end - timedelta(seconds=1)):
        await house.turn(moment)
        assert (await house.row(session))["rest"] == "awake"
        kept = await house.keeping.of_session(session)
        assert kept is not None
        assert abs(kept.seconds_left - (end - moment).total_seconds()) <= 1, "what is due then is due at its end"
    assert await house.status(session) == "Running"
    await house.turn(end)
    ended = await house.row(session)
    assert (ended["state"], ended["ended_by"]) == ("ended", "deadline")


async def test_a_lab_that_is_idle_when_its_class_is_over_sleeps_then(house: House, page: Page, store: Store) -> None:
    session = await session_of(page, store)
    await away(page, house)
    used = (await house.row(session))["active_at"]
    await store.timetable.add(COURSE, used + 20 * MINUTE, used + 50 * MINUTE, 0)
    await house.turn(used + 49 * MINUTE)
    assert await house.status(session) == "Running"
    await house.turn(used + 50 * MINUTE)
    assert await house.status(session) == "Frozen"


async def test_a_course_says_how_long_its_labs_are_kept(house: House, page: Page, store: Store) -> None:
    session = await session_of(page, store)
    await away(page, house)
    row = await house.row(session)
    await store.courses.keep(COURSE, [5, 1, None, 100])
    await house.turn(row["active_at"] + 6 * MINUTE)
    assert await house.status(session) == "Frozen"
    await house.turn(house.clock() + MINUTE)
    assert await house.status(session) == "Stopped"
    kept = await house.keeping.of_session(session)
    assert kept is not None
    assert (
        kept.extendable_to
        == kept.seconds_left
        == round((row["live_at"] + 100 * MINUTE - house.clock()).total_seconds())
    )
    await house.turn(row["live_at"] + 100 * MINUTE)
    assert (await house.row(session))["ended_by"] == "deadline"


async def test_a_deadline_never_cuts_a_slow_student_and_moves_by_an_hour_up_to_its_maximum(
    make_house: Callable[..., House], page: Page, person: User, store: Store
) -> None:
    house = make_house(patience=Patience(freeze=30, stop=60, end=150, longest=330))
    session = await session_of(page, store)
    began = (await house.row(session))["live_at"]

    async def left() -> int:
        kept = await house.keeping.of_session(session)
        assert kept is not None
        return kept.seconds_left

    house.clock.to(began)
    await known(page, house, 1)
    assert await left() == 4 * 3600
    needs = Wants(image="busybox", memory="128MiB", processes=100, disk="1GiB")
    await store.lessons.put(LESSON, COURSE, 1, Text("A long one", 90), needs)
    assert await left() == 3 * 90 * 60, "three times what its lesson is expected to take, where that is more"
    assert (await house.keeping.extend(session)).seconds_left == 330 * 60, "and never beyond"
    with pytest.raises(Conflict, match="can't be extended any further") as refused:
        await house.keeping.extend(session)
    assert refused.value.code == "at_maximum"
    await house.turn(began + 330 * MINUTE - timedelta(seconds=1))
    assert (await house.row(session))["state"] == "live"
    await house.turn(began + 330 * MINUTE)
    assert (await page.closed()).code == 4408, "also under an open page"
    shown = await person.call("GET", f"/api/sessions/{session}")
    assert shown["ended"]["by"] == "deadline"


async def test_a_lab_that_is_extended_in_the_last_moment_goes_on(house: House, page: Page, store: Store) -> None:
    session = await session_of(page, store)
    house.clock.to((await house.row(session))["live_at"] + 4 * HOUR)
    assert session in await store.lives.due(house.clock(), PATIENCE, 100)
    await house.keeping.extend(session)
    await house.keeper.look(session)
    assert (await house.row(session))["state"] == "live"
    house.clock.to(house.clock() + HOUR)
    await house.keeper.look(session)
    assert (await house.row(session))["ended_by"] == "deadline"


async def test_who_opens_a_lab_in_the_moment_it_is_put_to_sleep_finds_it_awake(
    make_house: Callable[..., House], page: Page, store: Store
) -> None:
    opened: list[str] = []

    class Late(Containers):
        """Freezes when a student has just opened it, as another instance would do."""

        async def sleep(self, name: str) -> None:
            await store.lives.wake(session, datetime.now(UTC))
            await super().sleep(name)
            opened.append((await self._lxd.instance(name))["status"])

    house = make_house(kind=Late)
    session = await session_of(page, store)
    await away(page, house)
    await house.turn((await house.row(session))["active_at"] + 31 * MINUTE)
    assert opened == ["Frozen"]
    assert (await house.status(session), (await house.row(session))["rest"]) == ("Running", "awake")


async def test_a_lab_that_can_not_be_put_to_sleep_is_as_before_and_tried_again(
    make_house: Callable[..., House], page: Page, store: Store, lxd: Lxd
) -> None:
    house = make_house()
    session = await session_of(page, store)
    await away(page, house)
    used = (await house.row(session))["active_at"]
    real, house.keeper._presence = house.keeper._presence, Presence(Redis(port=1), "nowhere")
    await house.turn(used + 31 * MINUTE)
    row = await house.row(session)
    assert (row["rest"], row["active_at"], await house.status(session)) == ("awake", used, "Running")
    house.keeper._presence = real
    await house.turn(used + 32 * MINUTE)
    assert await house.status(session) == "Frozen"


async def test_an_instance_keeps_the_terminals_of_a_student_who_is_there(house: House, page: Page) -> None:
    # As if Redis had told somebody less than what is so.
    session = await session_of(page, house.store)
    await house.bus.notify("rest", session)
    # Notices come in order: had that one sent the page away, this one couldn't.
    await house.bus.notify("revoked", str((await house.row(session))["user_id"]))
    assert (await page.closed()).code == 4401


async def test_who_only_watches_wakes_nobody_and_is_told(
    house: House, page: Page, person: User, server: Server, make_user: MakeUser, store: Store
) -> None:
    teacher: User = await make_user(server.url, role=None, name="Ms Rivera")
    await enrol(store, teacher, "instructor")
    session = await session_of(page, store)
    watcher = teacher.page(page.terminal, role="observer")
    await watcher.connect()
    await away(page, house)
    await house.turn((await house.row(session))["active_at"] + 31 * MINUTE)
    end = await watcher.closed()
    assert (end.code, "asleep" in end.reason) == (4503, True)
    with pytest.raises(Closed) as refused:
        await teacher.page(page.terminal, role="observer").connect()
    assert (refused.value.code, "asleep" in refused.value.reason) == (4503, True)
    assert await house.status(session) == "Frozen"
    [seat] = (await teacher.call("GET", f"/api/courses/{COURSE}/live"))["sessions"]
    assert (seat["id"], seat["rest"]) == (session, "asleep")
    again = person.page(page.terminal)
    await again.connect()
    watcher = teacher.page(page.terminal, role="observer")
    await watcher.connect()
    await watcher.leave()
    await again.leave()


async def test_an_instance_says_that_the_labs_with_an_open_page_are_used(
    house: House, page: Page, store: Store
) -> None:
    session = await session_of(page, store)
    await store.database.run("UPDATE sessions SET active_at = now() - interval '20 minutes' WHERE id = $1", session)
    async with asyncio.timeout(45):
        while datetime.now(UTC) - (await house.row(session))["active_at"] > 2 * MINUTE:
            await page.ping()
            await asyncio.sleep(1)


# -- the API -----------------------------------------------------------------------------------------------------------


async def test_a_student_sees_the_deadline_and_extends_it(page: Page, person: User, store: Store) -> None:
    session = await session_of(page, store)

    async def shown() -> dict[str, Any]:
        found = await person.call("GET", f"/api/sessions/{session}")
        return {name: found[name] for name in ("rest", "deadline", "idle")}

    first = await shown()
    assert (first["rest"], first["idle"]["then"]) == ("awake", "asleep")
    assert 0 < first["idle"]["seconds_left"] <= 30 * 60
    assert 4 * 3600 - 60 <= first["deadline"]["seconds_left"] <= 4 * 3600
    assert 24 * 3600 - 60 <= first["deadline"]["extendable_to"] <= 24 * 3600
    moved = await person.call("POST", f"/api/sessions/{session}/extend")
    assert 5 * 3600 - 60 <= moved["deadline"]["seconds_left"] <= 5 * 3600
    await store.database.run("UPDATE sessions SET active_at = active_at - interval '20 minutes' WHERE id = $1", session)
    stayed = await person.call("POST", f"/api/sessions/{session}/extend", {"stay": True})
    assert stayed["idle"]["seconds_left"] > 29 * 60
    assert stayed["deadline"]["seconds_left"] <= moved["deadline"]["seconds_left"], "to be there moves no deadline"
    await person.call("POST", f"/api/sessions/{session}/extend", {"stay": "yes"}, 400)
    await store.database.run("UPDATE courses SET max_minutes = 300 WHERE id = $1", COURSE)
    refused = await person.call("POST", f"/api/sessions/{session}/extend", status=409)
    assert refused["error"]["code"] == "at_maximum"
    await person.end(session)
    refused = await person.call("POST", f"/api/sessions/{session}/extend", status=409)
    assert refused["error"]["code"] == "not_live"
    assert await shown() == {"rest": "awake", "deadline": None, "idle": None}


async def test_extending_is_rationed(page: Page, person: User, store: Store) -> None:
    session = await session_of(page, store)
    for _ in range(30):
        await person.call("POST", f"/api/sessions/{session}/extend", {"stay": True})
    refused = await person.call("POST", f"/api/sessions/{session}/extend", {"stay": True}, 429)
    assert refused["error"]["code"] == "too_many_attempts"


async def test_an_instructor_extends_and_it_is_accounted_for(
    page: Page, person: User, server: Server, make_user: MakeUser, store: Store
) -> None:
    teacher: User = await make_user(server.url, role=None, name="Ms Rivera")
    await enrol(store, teacher, "instructor")
    session = await session_of(page, store)
    path = f"/api/courses/{COURSE}/sessions/{session}/acts"
    await teacher.call("POST", path, {"act": "extend"}, 202)
    [seat] = (await teacher.call("GET", f"/api/courses/{COURSE}/live"))["sessions"]
    assert 5 * 3600 - 60 <= seat["deadline"]["seconds_left"] <= 5 * 3600
    acts = (await teacher.call("GET", f"/api/courses/{COURSE}/acts"))["acts"]
    [act] = [each for each in acts if each["session"] == session]
    assert (act["who"], act["act"]) == ("Ms Rivera", "extend")
    await store.courses.keep(COURSE, [None, None, None, 300])
    refused = await teacher.call("POST", path, {"act": "extend"}, 409)
    assert refused["error"]["code"] == "at_maximum"
    acts = (await teacher.call("GET", f"/api/courses/{COURSE}/acts"))["acts"]
    assert len([each for each in acts if each["session"] == session]) == 1, "what wasn't done isn't accounted for"
    await teacher.call("POST", f"/api/courses/linux-basics/sessions/{session}/acts", {"act": "extend"}, 404)


# -- the timetable -----------------------------------------------------------------------------------------------------


async def test_a_class_books_containers_from_ten_minutes_before_it_begins(
    course: str, person: User, store: Store
) -> None:
    now = datetime.now(UTC)
    await store.timetable.add(COURSE, now + 30 * MINUTE, now + 90 * MINUTE, 30)

    async def booked(minutes: float) -> int:
        return (await store.timetable.booked(now + minutes * MINUTE)).get(("busybox", "none"), 0)

    assert [await booked(minutes) for minutes in (0, 19, 20, 30, 44, 45, 100)] == [0, 0, 30, 30, 30, 0, 0]
    await person.start(LESSON)
    assert await booked(30) == 29, "who is in a lab already needs none"


async def test_the_pool_has_them_when_the_class_begins(
    course: str, make_server: Callable[..., Server], store: Store, lxd: Lxd
) -> None:
    now = datetime.now(UTC)
    await store.timetable.add(COURSE, now + 5 * MINUTE, now + 65 * MINUTE, 2)
    server = make_server(POOL_READY="1", POOL_AWAKE="1", POOL_SPARE="0")
    server.start()
    try:
        async with asyncio.timeout(90):
            while len(await waiting(store)) != 3:
                await asyncio.sleep(0.2)
    finally:
        server.stop()
        await emptied(store, lxd)
