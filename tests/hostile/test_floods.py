"""Floods from a container: the server's memory stays where it was, and a neighbour is served meanwhile."""

import asyncio
import contextlib
import time

import pytest

from tests.client import Page
from tests.hostile.lab import Lab
from tests.soak.scale import times

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

FLOODS = {
    "output": "output beyond the window",
    "control frames": "a flood of P",
    "unknown frames": "a flood of unknown types",
    "stderr": "endless stderr",
    "all that is allowed": "crumbs within the window",
}
WARM_S = 2.0
FLOOD_S = max(2, times(10))
SAMPLE_S = 0.1
GROWTH = 2 << 20


@pytest.mark.parametrize(
    ("kind", "way"), [(kind, way) for kind in FLOODS for way in ("door", "LXD") if (kind, way) != ("stderr", "door")]
)
async def test_a_flood_costs_the_server_no_memory(lab: Lab, kind: str, way: str) -> None:
    """Growth is the highest PSS of the flood over that of its first seconds: by then every buffer has had its fill once,
    and the allocator its arenas, so that only what goes on growing counts.
    """
    page = await lab.page(FLOODS[kind], way)
    await page.connect()
    async with lab.neighbour.typing():
        await asyncio.sleep(0.5)
    idle = (lab.neighbour.quantile(0.5), lab.neighbour.quantile(0.95))
    await page.type("go")
    async with lab.neighbour.typing():
        warm = await _highest(lab, page, WARM_S)
        lab.neighbour.seconds.clear()
        growth = await _highest(lab, page, FLOOD_S) - warm
    flooded = (lab.neighbour.quantile(0.5), lab.neighbour.quantile(0.95))
    print(f"\n{kind} through {way}: {FLOOD_S} s, PSS {warm >> 10} KiB + {growth >> 10} KiB; neighbour's echo p50/p95 "
          f"{flooded[0]:.1f}/{flooded[1]:.1f} ms, idle {idle[0]:.1f}/{idle[1]:.1f} ms")  # fmt: skip
    assert growth < GROWTH
    assert lab.complaints() == []
    page.drop()


async def _highest(lab: Lab, page: Page, seconds: float) -> int:
    """The server's highest PSS, while the page reads and acks."""
    reading = asyncio.create_task(_read(page))
    ends, highest = time.monotonic() + seconds, 0
    try:
        while time.monotonic() < ends:
            highest = max(highest, lab.pss())
            await asyncio.sleep(SAMPLE_S)
    finally:
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading
    return highest


async def _read(page: Page) -> None:
    while True:
        await page.step(60)
        # What has come already is handed over without a turn of the loop, and the neighbour shares it.
        await asyncio.sleep(0)
        page.output.clear()
        page.messages.clear()
