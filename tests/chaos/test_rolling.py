"""A rolling restart: every instance is drained and started again in its turn, and nobody loses or doubles anything."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.chaos import verdict
from tests.chaos.desk import Desk, another
from tests.chaos.fleet import Fleet
from tests.chaos.seat import Seat
from tests.client import User
from tests.conftest import container_of
from tests.soak.scale import times

REPEATS = times(10)
TYPISTS = times(100)
PER_SESSION = 8
AT_ONCE = 4
EVERY_S = 0.5
Told = Callable[[str, list[float]], None]


@pytest.mark.timeout(120 + 60 * REPEATS)
async def test_sigterm_rolling_through_all_instances_loses_and_doubles_nothing(
    three: Fleet, make_user: Callable[..., Any], told: Told
) -> None:
    student: User = await make_user(three.url)
    async with Desk.taken(student) as desk:
        for _ in range(REPEATS):
            for server in three.servers:
                desk.fault()
                await asyncio.to_thread(server.stop)
                await three.restart(server)
                at = desk.reader.offset
                await desk.reader.when(lambda at=at: desk.reader.live and desk.reader.offset > at)
                desk.note()
    told(f"{REPEATS} × SIGTERM rolling through three, the longest silence of each", desk.silences)


class Typist:
    """Types lines into a `cat` that shows each once; knows how long the slowest took."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.typed = 0
        self.slowest_s = 0.0
        self._start = 0

    async def begin(self) -> None:
        await self.seat.type("stty -echo; echo RE''ADY; cat\r")
        await self.seat.when(lambda: b"READY\r\n" in self.seat.output)
        self._start = self.seat.output.index(b"READY\r\n") + len(b"READY\r\n")

    async def run(self, over: asyncio.Event) -> None:
        while not over.is_set():
            self.typed += 1
            began = time.monotonic()
            line = f"line {self.typed}\r\n".encode()
            await self.seat.type(f"line {self.typed}\r")
            await self.seat.when(lambda line=line: self.seat.output.endswith(line), 60)
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            await asyncio.sleep(EVERY_S)

    def judge(self) -> None:
        expected = "".join(f"line {number}\r\n" for number in range(1, self.typed + 1)).encode()
        assert bytes(self.seat.output[self._start :]) == expected, "each line once and in order"
        assert (self.seat.gaps, self.seat.resets) == ([], 1)


@pytest.mark.timeout(400)
async def test_a_rolling_restart_under_typing_clients_is_a_pause_for_each_and_nothing_more(
    three: Fleet, make_user: Callable[..., Any], told: Told
) -> None:
    labs: dict[str, list[Typist]] = {}
    turn = asyncio.Semaphore(AT_ONCE)

    async def sit(student: User, count: int, stack: AsyncExitStack) -> None:
        async with turn:
            session = await student.start("tiny-system")
            terminals = [await student.first_terminal(session)]
            terminals += [await another(student, session) for _ in range(count - 1)]
            labs[session] = [Typist(Seat(student, terminal)) for terminal in terminals]
            for typist in labs[session]:
                await stack.enter_async_context(typist.seat.running())
                await typist.begin()

    async with AsyncExitStack() as stack:
        students = [await make_user(three.url) for _ in range(-(-TYPISTS // PER_SESSION))]
        counts = [min(PER_SESSION, TYPISTS - PER_SESSION * place) for place in range(len(students))]
        await asyncio.gather(*(sit(student, count, stack) for student, count in zip(students, counts, strict=True)))
        typists = [typist for each in labs.values() for typist in each]
        over = asyncio.Event()
        typing = [asyncio.create_task(typist.run(over)) for typist in typists]
        pauses: list[float] = []
        try:
            for server in three.servers:
                for typist in typists:
                    typist.slowest_s = 0.0
                await asyncio.to_thread(server.stop)
                await three.restart(server)
                await asyncio.sleep(2 * EVERY_S)
                pauses += [typist.slowest_s for typist in typists]
        finally:
            over.set()
            await asyncio.gather(*typing)
        for typist in typists:
            typist.judge()
        for session, each in labs.items():
            await verdict.settled(container_of(session), [typist.seat.terminal for typist in each])
    told(f"rolling restart of 3 under {TYPISTS} typists, the slowest key of each in each restart", pauses)
