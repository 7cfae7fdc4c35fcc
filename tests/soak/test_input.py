"""Input: what was typed is executed once and in order, wherever the path is cut and whoever else types."""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.client import User
from tests.conftest import lxc
from tests.soak import lab
from tests.soak.cuts import Cuts
from tests.soak.path import Path
from tests.soak.returning import Returning
from tests.soak.scale import times

INPUTS = times(10_000)
CUTS = times(100)
WRITERS = 3
EACH = times(1_500)
"""Inputs of each of several writers."""
MULTI_CUTS = times(40)
READ = "cat > /tmp/typed"


@pytest.mark.timeout(90 + INPUTS // 100 + 5 * CUTS)
async def test_numbered_inputs_across_cuts_on_every_link_are_executed_once_and_in_order(
    path: Path, make_user: Callable[..., Any], chance: random.Random, aloud: Callable[[str], None]
) -> None:
    student: User = await make_user(path.url)
    async with lab.opened(student, chance) as (container, page):
        await _reads(page)
        cuts, began = Cuts(path, page, chance, 300), time.monotonic()
        typing = asyncio.create_task(_type(page, range(1, INPUTS + 1), "n"))
        places = sorted(chance.randrange(1, INPUTS * 95 // 100) for _ in range(CUTS))
        for place, kind in zip(places, cuts.draw(CUTS, times(10) // 2), strict=True):
            await page.when(lambda at=place: page.seq >= at or typing.done())
            await cuts.cut(kind)
        await typing
        await page.when(lambda: not page.unacknowledged)
        await _ends(page)
        typed = lxc("exec", container, "--", "cat", "/tmp/typed").split()
        seconds = time.monotonic() - began
        aloud(f"{INPUTS:,} inputs across {CUTS} cuts in {seconds:.0f} s; the page was away:\n{cuts.figures()}")
        assert typed == [f"n{number}" for number in range(1, INPUTS + 1)]


@pytest.mark.timeout(90 + EACH // 20 + 3 * MULTI_CUTS)
async def test_pages_that_take_the_terminal_from_each_other_type_each_input_once_in_their_order(
    path: Path, make_user: Callable[..., Any], chance: random.Random, aloud: Callable[[str], None]
) -> None:
    student: User = await make_user(path.url)
    async with lab.opened(student, chance) as (container, first), AsyncExitStack() as stack:
        await _reads(first)
        ready = first.seq
        pages = [first, *(Returning(student, first.terminal) for _ in range(WRITERS - 1))]
        for page in pages[1:]:
            await stack.enter_async_context(page.running())
        cuts, began = Cuts(path, first, chance, 300), time.monotonic()
        typing = [asyncio.create_task(_contend(page, f"w{n}-", chance)) for n, page in enumerate(pages)]
        for kind in cuts.draw(MULTI_CUTS, 0):
            await asyncio.sleep(chance.random() / 2)
            await cuts.cut(kind)
        _, late = await asyncio.wait(typing, timeout=60 + EACH / 20)
        assert not late, [page.where() for page in pages]
        await asyncio.gather(*typing)
        # Whoever typed last drives; the others' last inputs may never have been sent, or taken without a K.
        taken = [page.seq - len(page.unacknowledged) for page in pages]
        taken[0] -= ready
        while first.role != "driver" or first.unacknowledged:
            await first.take()
            await asyncio.sleep(0.2)
        await _ends(first)
        typed = lxc("exec", container, "--", "cat", "/tmp/typed").split()
        aloud(f"{WRITERS} pages, {len(typed):,} inputs executed of {WRITERS * EACH:,} typed, {taken} K'd")
        aloud(f"{sum(page.times_attached for page in pages)} attaches in {time.monotonic() - began:.0f} s")
        for number, least in enumerate(taken):
            mark = f"w{number}-"
            mine = [int(word.removeprefix(mark)) for word in typed if word.startswith(mark)]
            assert mine == list(range(1, len(mine) + 1)), "each once, in its page's order"
            assert least <= len(mine) <= EACH, "what was K'd was executed"
        assert all(word.startswith("w") for word in typed), "no line of one is mixed with another's"


async def _reads(page: Returning) -> None:
    """Runs a reader; what is typed while readline still has the terminal in raw mode isn't cut into lines."""
    await page.type(f"stty -echo; echo RE''ADY; {READ}\r")
    await page.when(lambda: b"READY\r\n" in page.output)


async def _ends(page: Returning) -> None:
    await page.type("\x04")
    await lab.ask(page, "true")


async def _type(page: Returning, numbers: range, mark: str) -> None:
    for number in numbers:
        await page.type(f"{mark}{number}\r")


async def _contend(page: Returning, mark: str, chance: random.Random) -> None:
    """Takes the terminal, types some, and takes it again as soon as it was taken away: until all is typed."""
    number = 1
    while number <= EACH:
        if page.role != "driver":
            await asyncio.sleep(chance.random() / 2)
            await page.take()
            # A cut may have swallowed it: then it is asked for again.
            continue
        for _ in range(chance.randrange(1, 60)):
            if page.role != "driver" or number > EACH:
                break
            if page.full:
                # Not in `type`: who is an observer by now waits there in vain.
                await asyncio.sleep(0.005)
                continue
            await page.type(f"{mark}{number}\r")
            number += 1
