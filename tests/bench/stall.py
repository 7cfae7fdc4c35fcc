"""Stall: a client that reads nothing while its program prints without end, and what that does to a neighbour."""

import asyncio
from collections.abc import Sequence

from tests.bench import usage
from tests.bench.bulk import ready
from tests.bench.echo import paired
from tests.bench.figures import Rows, spread
from tests.bench.rivals import Rival


async def stalled(rivals: Sequence[Rival], seconds: float, keys: int) -> Rows:
    """Growth of the server, and a neighbour's echo before and meanwhile."""
    rows: Rows = {}
    for rival in rivals:
        neighbour, victim = await ready(rival), await ready(rival)
        before = (await paired({"": neighbour}, keys))[""]
        memory = usage.pss([*rival.pids, *usage.children(rival.pids)])
        await victim.send(f"timeout {seconds + 30:.0f} yes\r".encode())
        pace = asyncio.create_task(asyncio.sleep(seconds))
        during: list[float] = []
        most = 0.0
        while not pace.done():
            during += (await paired({"": neighbour}, keys // 4))[""]
            most = max(most, usage.pss([*rival.pids, *usage.children(rival.pids)]) - memory)
        quiet, loud = spread(before, "ms"), spread(during, "ms")
        rows[rival.name] = {
            "stalled s": seconds,
            "growth MiB": round(most, 2),
            "neighbour p50 before, ms": quiet["p50"],
            "p50 meanwhile": loud["p50"],
            "ratio": round(loud["p50"] / quiet["p50"], 2),
            "p99 meanwhile": loud["p99"],
        }
        await victim.close()
        await neighbour.close()
    return rows
