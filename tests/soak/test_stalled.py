"""Who doesn't read costs the server nothing, and holds a program back for 30 s and no longer."""

import asyncio
import hashlib
import time
from collections.abc import Callable

import pytest

from terminals.link import flow, scrollback
from terminals.store import Store
from tests.client import Page
from tests.conftest import Server, lxc
from tests.e2e.test_main_job import MakeUser, ask, shell
from tests.hostile.lab import Lab, Neighbour
from tests.soak.scale import times

STALL_S = times(60)
SAMPLE_S = 0.1
GROWTH = 1 << 20
FILL = 100 << 20
PATIENCE_S = flow.STALL_S + 60
DELTA, RESET = 79_400, 400_000
"""Lines of more bytes than the widest window: less than half a MiB more than a page has seen by then; more than all keep."""
SEEN = 30_000
HELD_S = flow.STALL_S - 5
"""For so long at least; the ticks are 2 s apart."""

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def alone(make_server: Callable[..., Server]) -> Server:
    server = make_server()
    server.start()
    return server


async def test_a_page_that_reads_nothing_during_yes_costs_no_memory_and_no_neighbour(
    alone: Server, make_user: MakeUser, store: Store
) -> None:
    """Growth is over what one such page had cost before: its queue, once, and the scrollback, once."""
    student = await make_user(alone.url)
    _, page = await shell(student, "first-steps")
    _, beside = await shell(await make_user(alone.url), "tiny-system")
    neighbour = Neighbour(beside)
    lab = Lab(alone, store, make_user, neighbour)
    await page.type("yes 0123456789abcdef\r")
    reading = asyncio.create_task(_read(page))
    former = await _stalled(page)
    before = 0
    while page.offset < FILL:
        before = max(before, lab.pss())
        await asyncio.sleep(SAMPLE_S)
    former.drop()
    stalled = await _stalled(page)
    async with neighbour.typing():
        highest, ends = 0, time.monotonic() + STALL_S
        while time.monotonic() < ends:
            highest = max(highest, lab.pss())
            await asyncio.sleep(SAMPLE_S)
    busy = (neighbour.quantile(0.5), neighbour.quantile(0.95))
    moved = page.offset
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    stalled.drop()
    page.drop()
    async with neighbour.typing():
        await asyncio.sleep(1)
    print(
        f"\n{STALL_S} s of yes, {moved >> 20} MiB: PSS {before >> 10} KiB + {(highest - before) >> 10} KiB; neighbour's"
        f" echo p50/p95 {busy[0]:.1f}/{busy[1]:.1f} ms, idle {neighbour.quantile(0.5):.1f}/{neighbour.quantile(0.95):.1f} ms"
    )
    assert moved > FILL + (STALL_S << 20)
    assert highest - before < GROWTH
    await beside.leave()


async def _stalled(page: Page) -> Page:
    """An observer that has attached and reads nothing any more."""
    other = Page(page.user, page.terminal, role="observer", auto_ack=False)
    await other.connect()
    return other


async def _read(page: Page) -> None:
    while True:
        await page.step(60)
        page.output.clear()
        await asyncio.sleep(0)


async def test_a_driver_that_vanishes_or_falls_silent_holds_the_output_back_for_thirty_seconds(
    server: Server, make_user: MakeUser, store: Store
) -> None:
    """Three at the same time, because each waits for as long."""
    await asyncio.gather(
        _vanishes(server, make_user, store, lines=DELTA),
        _vanishes(server, make_user, store, lines=RESET),
        _falls_silent(server, make_user, store),
    )


async def _vanishes(server: Server, make_user: MakeUser, store: Store, *, lines: int) -> None:
    """It comes back to what it missed, or, where that is more than anybody keeps, to a reset that ends where the shell is."""
    session, page = await shell(await make_user(server.url), "tiny-system")
    container = await store.containers.of_session(session) or ""
    begun = await _begin(page, lines)
    left = page.offset
    page.drop()
    held = await _finished(container)
    assert HELD_S < held < PATIENCE_S
    page.output.clear()
    page.auto_ack = True
    resets = page.resets
    await page.connect()
    await page.until(lambda: page.output.endswith(b"# "))
    text = bytes(page.output)
    if lines == DELTA:
        assert page.resets == resets
        assert page.gaps == []
        assert text.startswith(_expected(lines)[left - begun :][:1000])
    else:
        assert page.resets == resets + 1
        assert f"\n{lines}\r\n".encode() in text
        assert page.offset > left + scrollback.LIMIT
    assert await ask(page, "echo still''here") == "stillhere"
    await page.leave()


async def _falls_silent(server: Server, make_user: MakeUser, store: Store) -> None:
    """It reads and never acks: all of it comes, after the wait."""
    lines = 100_000
    session, page = await shell(await make_user(server.url), "tiny-system")
    container = await store.containers.of_session(session) or ""
    begun = await _begin(page, lines)
    reading = asyncio.create_task(page.until(lambda: page.output.endswith(b"# "), PATIENCE_S))
    held = await _finished(container)
    assert HELD_S < held < PATIENCE_S
    await reading
    assert page.gaps == []
    start = begun - page.start
    shown = bytes(page.output)[start : start + len(_expected(lines))]
    assert hashlib.sha256(shown).digest() == hashlib.sha256(_expected(lines)).digest()
    await page.leave()


async def _begin(page: Page, lines: int) -> int:
    """More than the widest window is on its way, and isn't acked; the offset that it began at."""
    await ask(page, "stty -echo; echo quiet")
    await page.until(lambda: page.output.endswith(b"# "))
    await page.ack()
    page.auto_ack = False
    begun = page.offset
    await page.type(f"seq 1 {lines}; touch /tmp/finished\r")
    await page.until(lambda: page.offset > begun + SEEN)
    return begun


async def _finished(container: str) -> float:
    """Seconds until the program had written all of it."""
    began = time.monotonic()
    async with asyncio.timeout(PATIENCE_S):
        while "finished" not in await asyncio.to_thread(lxc, "exec", container, "--", "ls", "/tmp"):
            await asyncio.sleep(1)
    return time.monotonic() - began


def _expected(lines: int) -> bytes:
    return b"".join(b"%d\r\n" % number for number in range(1, lines + 1))
