"""Crowd: many terminals at once: what an idle one costs, and how many can type."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tests.bench import usage
from tests.bench.echo import key, settle
from tests.bench.figures import Rows, spread
from tests.bench.lines import Line, until
from tests.bench.rivals import Product, Rival

AT_ONCE = 8
"""Opened and closed at the same time: LXD's database suffers from more."""
REST_S = 3.0
TRIES = 5
"""For one line to come to its prompt."""


async def idle(rivals: Sequence[Rival], count: int) -> Rows:
    """PSS and processes of each side for one terminal at its prompt."""
    rows: Rows = {}
    for rival in rivals:
        # Once before: what the first terminals cost a process stays with it.
        async with _open(rival, min(count, 8)):
            pass
        before, processes = _memory(rival), usage.processes()
        async with _open(rival, count) as (_, seconds):
            await asyncio.sleep(REST_S)
            after = _memory(rival)
            rows[rival.name] = {"terminals": count, "opened in s": round(seconds, 1)}
            for side, value in after.items():
                rows[rival.name][f"{side}, MiB each"] = round((value - before[side]) / count, 3)
            rows[rival.name]["processes each"] = round((usage.processes() - processes) / count, 1)
            rows[rival.name]["CPU % of all, idle"] = round(await _idle_cpu(rival), 2)
    return rows


async def typing(rivals: Sequence[Rival], count: int, seconds: float) -> Rows:
    """Everybody types a key a second, spread evenly; keys' times, opening and closing paced."""
    rows: Rows = {}
    for rival in rivals:
        async with _open(rival, count) as (lines, opened):
            for line in lines:
                await settle(line, 0.002)
            began = usage.cpu(rival.pids)
            typists = [_type(line, number / count, seconds) for number, line in enumerate(lines)]
            times = [took for each in await asyncio.gather(*typists) for took in each]
            busy = (usage.cpu(rival.pids) - began) / seconds * 100
            closing = time.perf_counter()
        rows[rival.name] = {
            "typists": count,
            "opened in s": round(opened, 1),
            **spread(times, "ms"),
            "server CPU %": round(busy, 1),
            "closed in s": round(time.perf_counter() - closing, 1),
        }
    return rows


@asynccontextmanager
async def _open(rival: Rival, count: int) -> AsyncIterator[tuple[list[Line], float]]:
    turn = asyncio.Semaphore(AT_ONCE)

    async def one() -> Line:
        async with turn:
            for _ in range(TRIES - 1):
                try:
                    return await prompt()
                except ConnectionError as error:
                    # "Try again in a moment", as every client does; the time it takes counts.
                    print(f"{rival.name}: {error}")
                    await asyncio.sleep(1)
            return await prompt()

    async def prompt() -> Line:
        line = await rival.line()
        await until(line, b"$ ")
        return line

    async def close(line: Line) -> None:
        async with turn:
            await line.close()

    began = time.perf_counter()
    keepers: list[asyncio.Task[None]] = []
    lines: list[Line] = []

    async def opened() -> None:
        line = await one()
        lines.append(line)
        keepers.append(asyncio.create_task(_keep(line)))

    await asyncio.gather(*(opened() for _ in range(count)))
    took = time.perf_counter() - began
    for keeper in keepers:
        keeper.cancel()
    await asyncio.gather(*keepers, return_exceptions=True)
    try:
        yield lines, took
    finally:
        await asyncio.gather(*(close(line) for line in lines))
        if isinstance(rival, Product):
            await rival.sweep()


async def _keep(line: Line) -> None:
    """Who reads nothing answers no ping, and is taken for gone while the others are still being opened."""
    while True:
        await line.receive()


async def _type(line: Line, offset: float, seconds: float) -> list[float]:
    times = []
    loop = asyncio.get_running_loop()
    began = loop.time() + offset
    for number in range(int(seconds)):
        await asyncio.sleep(max(0.0, began + number - loop.time()))
        times.append(await key(line))
    return times


def _memory(rival: Rival) -> dict[str, float]:
    return {
        "server": usage.pss(rival.pids),
        "helpers": usage.pss(usage.children(rival.pids)),
        "LXD": usage.pss(usage.lxd()),
        "holder": usage.pss(usage.holders()),
    }


async def _idle_cpu(rival: Rival) -> float:
    pids = [*rival.pids, *usage.children(rival.pids)]
    before = usage.cpu(pids)
    await asyncio.sleep(REST_S)
    return (usage.cpu(pids) - before) / REST_S * 100
