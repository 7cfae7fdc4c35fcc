"""Prompt: from connecting to a shell's prompt, and from the click on Start."""

import asyncio
import time
from collections.abc import Sequence

from tests.bench.figures import Rows, compared
from tests.bench.labs import LESSON
from tests.bench.lines import Line, until
from tests.bench.rivals import Product, Rival
from tests.client import User


async def connect(product: Product, others: Sequence[Rival], count: int) -> Rows:
    """A new shell in a running container, rivals in turn. Ours begins at the attach: its row is made before."""
    times: dict[str, list[float]] = {rival.name: [] for rival in (product, *others)}
    for _ in range(count):
        made = await product.made()
        began = time.perf_counter()
        times[product.name].append(await _prompt(await product.attach(*made), began))
        await product.sweep()
        for rival in others:
            began = time.perf_counter()
            times[rival.name].append(await _prompt(await rival.line(), began))
        # What was closed dies meanwhile: its end shall not cost the next one time.
        await asyncio.sleep(0.1)
    return compared(times, "ms")


async def click(product: Product, user: User, count: int) -> Rows:
    """From POST /api/sessions to the prompt: container made and started, shell up. Nobody else has this."""
    times = []
    for _ in range(count):
        began = time.perf_counter()
        session = await user.start(LESSON)
        times.append(await _prompt(await product.attach(user, await user.first_terminal(session)), began))
        await user.end(session)
    return compared({product.name: times}, "ms")


async def _prompt(line: Line, began: float) -> float:
    await until(line, b"$ ")
    took = (time.perf_counter() - began) * 1000
    await line.close()
    return took
