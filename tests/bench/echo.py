"""Echo: from a key to its echo, paired key by key, idle or beside terminals that stream."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tests.bench.figures import Rows, compared
from tests.bench.lines import Line, Ours, until
from tests.bench.rivals import Product, Rival

LINE = 50
"""Keys before the line is cleared: an echo must stay one character."""
WARM_UP = 20
STREAM = b"for i in $(seq 600); do printf '%099d\\n' 0; sleep 0.1; done\r"
"""1 KB a second, in ten pieces, for a minute: what a rival leaves running behind a closed line must not load the others."""


async def idle(rivals: Sequence[Rival], count: int) -> Rows:
    """One key of each rival in turn, the order turning, too."""
    lines = {rival.name: await _ready(rival) for rival in rivals}
    times = await paired(lines, count)
    for line in lines.values():
        await line.close()
    return compared(times, "ms")


async def beside_streams(rivals: Sequence[Rival], count: int, streams: int, rounds: int) -> Rows:
    """Each rival's echo beside streams of its own, round by round, for both can't stream at once."""
    times: dict[str, list[float]] = {rival.name: [] for rival in rivals}
    for _ in range(rounds):
        for rival in rivals:
            async with streaming(rival, streams):
                line = await _ready(rival)
                times[rival.name] += (await paired({rival.name: line}, count // rounds))[rival.name]
                await line.close()
            if isinstance(rival, Product):
                await rival.sweep()
    return compared(times, "ms")


@asynccontextmanager
async def streaming(rival: Rival, count: int) -> AsyncIterator[None]:
    """So many terminals of the rival's print, and their pages read."""
    lines = await asyncio.gather(*(_ready(rival) for _ in range(count)))
    for line in lines:
        await line.send(STREAM)
    readers = [asyncio.create_task(_read(line)) for line in lines]
    await asyncio.sleep(1)
    try:
        yield
    finally:
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        for line in lines:
            await line.send(b"\x03")
            await line.close()


async def paired(lines: dict[str, Line], count: int) -> dict[str, list[float]]:
    """Milliseconds of each."""
    times: dict[str, list[float]] = {name: [] for name in lines}
    order = list(lines)
    for number in range(-WARM_UP, count):
        if number % LINE == 0:
            for line in lines.values():
                await _clear(line)
        for name in order:
            took = await key(lines[name])
            if number >= 0:
                times[name].append(took)
        order.append(order.pop(0))
    return times


async def key(line: Line) -> float:
    """Milliseconds from a key to its echo."""
    began = time.perf_counter()
    await line.send(b"x")
    await line.receive()
    took = (time.perf_counter() - began) * 1000
    if isinstance(line, Ours):
        await line.ack()
    return took


async def settle(line: Line, quiet_s: float = 0.3) -> None:
    """Reads until nothing comes any more."""
    try:
        while True:
            async with asyncio.timeout(quiet_s):
                await line.receive()
    except TimeoutError:
        return


async def _clear(line: Line) -> None:
    await line.send(b"\x15")
    await settle(line)


async def _ready(rival: Rival) -> Line:
    line = await rival.line()
    await until(line, b"$ ")
    await settle(line)
    return line


async def _read(line: Line) -> None:
    while True:
        await line.receive()
