"""Redis and PostgreSQL are restarted or cut off: keys and output go on, and everything comes back by itself."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from terminals.fleet.presence import ALIVE_S
from terminals.store import Store
from terminals.store.database import Database
from tests.chaos.desk import Desk
from tests.chaos.fleet import Fleet
from tests.chaos.services import Services
from tests.chaos.verdict import UNHURT_S
from tests.client import Closed, Page, User
from tests.conftest import people
from tests.proxy import Proxy
from tests.soak.scale import times

REPEATS = times(10)
AWAY_S = 2.0
Told = Callable[[str, list[float]], None]


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    made = Services()
    made.furnish()
    try:
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def cut(services: Services) -> Iterator[tuple[Proxy, str]]:
    """A proxy before Redis, which only one instance goes through, and its REDIS_URL."""
    path = services.folder / "cut.sock"
    with Proxy(str(services.redis / "redis.sock"), path) as proxy:
        yield proxy, f"unix://{path}?db=0"


@pytest.fixture(scope="module")
def fleet(services: Services, cut: tuple[Proxy, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    own = {**services.settings, "REDIS_URL": cut[1]}
    folder: Path = tmp_path_factory.mktemp("services")
    with Fleet.opened(folder, 2, own, services.settings) as opened:
        yield opened


@pytest.fixture
async def make_person(services: Services, fleet: Fleet) -> AsyncIterator[Callable[..., Any]]:
    fleet.complete()
    async with Database.connected(services.settings["DATABASE_URL"]) as database, people(Store.over(database)) as make:
        yield make


@pytest.mark.timeout(120 + 30 * REPEATS)
async def test_a_redis_restarted_empty_is_not_felt_and_pages_come_back_by_their_tickets(
    services: Services, fleet: Fleet, make_person: Callable[..., Any], told: Told
) -> None:
    student: User = await make_person(fleet.url)
    came: list[float] = []
    async with Desk.taken(student) as desk:
        for _ in range(REPEATS):
            desk.fault()
            services.kill_redis()
            await asyncio.sleep(AWAY_S)
            assert desk.reader.live
            desk.note()
            desk.fault()
            for seat in desk.seats:
                seat.drop()
            await desk.reader.back()
            came.append(desk.reader.silent_s)
            await asyncio.to_thread(services.start_redis)
            # Its sign-ins are gone with it, the sockets aren't.
            await student.call("GET", "/api/me", status=401)
            await student.sign_in()
    assert max(desk.silences) < UNHURT_S
    told(f"{REPEATS} × Redis killed, the longest silence", desk.silences)
    told("  a page's own cut while it is away, to the next byte", came)


@pytest.mark.timeout(120 + 30 * REPEATS)
async def test_a_postgresql_restarted_at_once_is_not_felt_and_pages_cut_meanwhile_come_back_after_it(
    services: Services, fleet: Fleet, make_person: Callable[..., Any], told: Told
) -> None:
    student: User = await make_person(fleet.url)
    came: list[float] = []
    async with Desk.taken(student) as desk:
        for _ in range(REPEATS):
            desk.fault()
            await asyncio.to_thread(services.stop_postgresql)
            await asyncio.sleep(AWAY_S)
            assert desk.reader.live
            desk.note()
            desk.fault()
            for seat in desk.seats:
                seat.drop()
            await asyncio.to_thread(services.start_postgresql)
            await desk.reader.back(60)
            came.append(desk.reader.silent_s)
    assert max(desk.silences) < UNHURT_S
    told(f"{REPEATS} × PostgreSQL restarted, the longest silence", desk.silences)
    told("  a page's own cut while it starts, to the next byte", came)


@pytest.mark.timeout(120 + 30 * REPEATS)
async def test_a_page_that_lands_beside_the_owner_without_postgresql_is_served_by_it_and_moves_when_it_can(
    services: Services, fleet: Fleet, make_person: Callable[..., Any], told: Told
) -> None:
    student: User = await make_person(fleet.url)
    here, there = fleet.servers
    async with Desk.taken(student, url=here.url) as desk:
        for _ in range(REPEATS):
            begun = len(here.logged("tunnel_begun"))
            await asyncio.to_thread(services.stop_postgresql)
            desk.fault()
            for seat in desk.seats:
                seat.url = there.url
                seat.drop()
            await desk.reader.back()
            desk.note()
            await desk.typist.when(lambda typed=desk.typed: desk.typist.taken > typed)
            assert len(here.logged("tunnel_begun")) == begun + len(desk.seats), "they came another way"
            had = [seat.times_attached for seat in desk.seats]
            await asyncio.to_thread(services.start_postgresql)
            for seat, times_attached in zip(desk.seats, had, strict=True):
                await seat.when(lambda seat=seat, had=times_attached: seat.live and seat.times_attached > had)
            here, there = there, here
    told(f"{REPEATS} × without PostgreSQL, beside the owner, to the next byte", desk.silences)


@pytest.mark.timeout(120 + 40 * REPEATS)
async def test_an_instance_cut_from_redis_keeps_its_terminals_though_others_take_it_for_dead(
    fleet: Fleet, cut: tuple[Proxy, str], make_person: Callable[..., Any], told: Told
) -> None:
    proxy, _ = cut
    lonely, other = fleet.servers
    student: User = await make_person(fleet.url)
    teacher: User = await make_person(fleet.url, role="instructor")
    async with Desk.taken(student, url=lonely.url) as desk:
        attached = [seat.times_attached for seat in desk.seats]
        for _ in range(REPEATS):
            desk.fault()
            proxy.cut()
            try:
                # Nobody hears its heartbeat any more, so who watches elsewhere asks the holder politely, and is refused.
                await asyncio.sleep(ALIVE_S + 1)
                observer = teacher.page(desk.reader.terminal, url=other.url, role="observer")
                with pytest.raises((TimeoutError, Closed)):
                    await asyncio.wait_for(observer.connect(), 3)
                observer.drop()
            finally:
                proxy.mend()
            desk.note()
            observer = teacher.page(desk.reader.terminal, url=other.url, role="observer")
            await until_watching(observer)
            await observer.leave()
        assert [seat.times_attached for seat in desk.seats] == attached, "its driver never noticed"
    assert max(desk.silences) < UNHURT_S
    told(f"{REPEATS} × the owner cut from Redis for {ALIVE_S + 4} s, the longest silence", desk.silences)


async def until_watching(observer: Page) -> None:
    """Tries again as a page does, until output comes."""
    async with asyncio.timeout(40):
        while True:
            try:
                await observer.connect()
                await observer.until(lambda at=observer.offset: observer.offset > at)
                return
            except Closed:
                await asyncio.sleep(0.25)
