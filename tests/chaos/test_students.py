"""What pages and operators do to a terminal: one page is everywhere at once, a watcher sleeps, a database is of yesterday."""

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from terminals.store import Store
from tests.chaos import verdict
from tests.chaos.desk import READ, TYPED, Desk
from tests.chaos.fleet import Fleet
from tests.chaos.seat import Seat
from tests.client import User
from tests.conftest import container_of, lxc
from tests.soak.lab import ask
from tests.soak.scale import times

REPEATS = times(10)
PAGES = 4
EACH = times(300)
LOST_EPOCHS = 3
Told = Callable[[str, list[float]], None]


@pytest.mark.timeout(180 + EACH)
async def test_pages_that_take_the_terminal_from_each_other_on_three_instances_type_each_input_once(
    three: Fleet, make_user: Callable[..., Any]
) -> None:
    student: User = await make_user(three.url)
    session = await student.start("tiny-system")
    terminal = await student.first_terminal(session)
    seats = [Seat(student, terminal, url=three.servers[n % 3].url) for n in range(PAGES)]
    async with AsyncExitStack() as stack:
        first = seats[0]
        await stack.enter_async_context(first.running())
        pid = await ask(first, "stty -echo; echo $$")
        await first.type(READ + "\r")
        await first.when(lambda: b"READY\r\n" in first.output)
        before = first.seq
        for seat in seats[1:]:
            await stack.enter_async_context(seat.running())
        await asyncio.gather(*(contend(seat, f"w{number}-") for number, seat in enumerate(seats)))
        taken = [seat.seq - len(seat.unacknowledged) for seat in seats]
        taken[0] -= before
        # The others are gone: what they still keep is never sent.
        last = Seat(student, terminal)
        await stack.enter_async_context(last.running())
        while last.role != "driver":
            await last.take()
            await asyncio.sleep(0.2)
        await last.type("\x04")
        assert await ask(last, "echo $$") == pid
        typed = lxc("exec", container_of(session), "--", "cat", TYPED).split()
    for number, least in enumerate(taken):
        mine = [int(word.partition("-")[2]) for word in typed if word.startswith(f"w{number}-")]
        assert mine == list(range(1, len(mine) + 1)), "each once, in its page's order"
        assert least <= len(mine) <= EACH, "what was K'd was executed"
    assert all(word.startswith("w") for word in typed)


def drives(seat: Seat) -> bool:
    return seat.live and seat.role == "driver"


async def contend(seat: Seat, mark: str) -> None:
    """Types some, while others take over; takes it back until all is typed, then is content to look on."""
    number = 1
    while number <= EACH:
        if not drives(seat):
            await asyncio.sleep(random.random() / 2)
            await seat.take()
            continue
        for _ in range(random.randrange(1, 30)):
            if not drives(seat) or number > EACH or seat.full:
                break
            await seat.type(f"{mark}{number}\r")
            number += 1
        await asyncio.sleep(0.005)
    # From now on it comes back, if it must, as one that looks on.
    seat.role = "observer"


@pytest.mark.timeout(120 + 30 * REPEATS)
async def test_a_database_of_yesterday_is_overtaken_and_the_former_owner_is_fenced(
    three: Fleet, store: Store, make_user: Callable[..., Any], told: Told
) -> None:
    student: User = await make_user(three.url)
    async with Desk.taken(student, url=three.servers[0].url) as desk:
        for turn in range(LOST_EPOCHS + REPEATS):
            if turn >= LOST_EPOCHS:
                # As an older dump would.
                sql = "UPDATE terminals SET epoch = epoch - $2 WHERE session_id = $1"
                await store.database.run(sql, desk.session, LOST_EPOCHS)
            restored = sum(len(server.logged("epoch_restored")) for server in three.servers)
            to = three.servers[(turn + 1) % 3]
            desk.fault()
            for seat in desk.seats:
                seat.url = to.url
                seat.drop()
            await desk.reader.back()
            await desk.typist.when(lambda: desk.typist.live and not desk.typist.full)
            if turn >= LOST_EPOCHS:
                desk.note()
                assert sum(len(server.logged("epoch_restored")) for server in three.servers) == restored + 2
            assert await three.owner(store.database, desk.reader.terminal) is to
            await verdict.settled(desk.container, [seat.terminal for seat in desk.seats])
    told(f"{REPEATS} × an older dump, to the next byte on another instance", desk.silences)


@pytest.mark.timeout(120 + 30 * REPEATS)
async def test_a_watcher_elsewhere_that_reads_nothing_of_a_flood_slows_nobody(
    three: Fleet, make_user: Callable[..., Any], redis: Any, told: Told
) -> None:
    student: User = await make_user(three.url)
    teacher: User = await make_user(three.url, role="instructor")
    async with Desk.taken(student, url=three.servers[0].url) as desk:
        flood = await desk.open(student)
        flood.url = three.servers[0].url
        async with flood.running():
            await ask(flood, "stty -echo")
            watcher = teacher.page(flood.terminal, url=three.servers[1].url, role="observer")
            await watcher.connect()
            for _ in range(REPEATS):
                start = len(flood.output)
                desk.fault()
                await flood.type("seq 1 150000; echo FLOO''DED\r")
                await flood.when(
                    lambda start=start: b"FLOODED\r\n" in flood.output[max(start, len(flood.output) - 200) :], 60
                )
                desk.note()
                text = bytes(flood.output[start:]).partition(b"FLOODED")[0]
                assert text.endswith("".join(f"{n}\r\n" for n in range(1, 150_001)).encode())
                assert await redis.xlen(f"educenter:relay:{flood.terminal}") <= 32
            await watcher.until(lambda: watcher.offset >= flood.offset, 60)
            # From a picture of the last screen on, or from bytes: either way its end, and every byte behind its beginning.
            assert b"149999\r\n150000\r\nFLOODED\r\n" in watcher.output
            length = min(watcher.offset, flood.offset) - watcher.own_from
            mine = watcher.output[len(watcher.output) - (watcher.offset - watcher.own_from) :][:length]
            assert mine == flood.output[watcher.own_from - flood.start :][:length]
            await watcher.leave()
            assert flood.gaps == []
    told(f"{REPEATS} × a flood before a watcher that sleeps, the longest silence beside it", desk.silences)
