"""Verdict: what must hold after any fault, and the figures of how long it was felt."""

import asyncio
import re
import time
from collections.abc import Sequence

from tests.soak import remains

WAIT_S = 30.0
UNHURT_S = 1.0
"""No longer silence is accepted where nothing on the path died; lines come each 0.02 s."""


def contiguous(output: bytes) -> None:
    """The numbered lines are 1, 2, 3 … without one missing or doubled."""
    text = output[re.search(rb"PID\d+-\r\n", output).end() :]  # type: ignore[union-attr]
    numbers = [int(n) for n in re.findall(rb"(?<![A-Z])N(\d+)\r\n", text)]
    assert numbers == list(range(1, len(numbers) + 1)), _odd(numbers)


def once(typed: Sequence[str], most: int) -> None:
    """What was typed was executed once and in order; only the very last may not have been sent."""
    numbers = [int(word.removeprefix("n")) for word in typed]
    assert numbers == list(range(1, len(numbers) + 1)), _odd(numbers)
    assert most - 1 <= len(numbers) <= most, f"{len(numbers)} of {most} arrived"


async def settled(container: str, terminals: Sequence[str]) -> None:
    """Waits until LXD's operations and the bridges are one for each attached terminal, and no more."""
    limit = time.monotonic() + WAIT_S
    while True:
        execs, bridges = await asyncio.to_thread(_running, container, terminals)
        if execs == len(terminals) and set(bridges) == {1}:
            return
        assert time.monotonic() < limit, f"{execs} operations and {bridges} bridges for {len(terminals)} terminals"
        await asyncio.sleep(0.2)


def _running(container: str, terminals: Sequence[str]) -> tuple[int, list[int]]:
    return len(remains.execs(container)), [len(remains.bridges(terminal)) for terminal in terminals]


def _odd(numbers: Sequence[int]) -> str:
    at = next(place for place, number in enumerate(numbers) if number != place + 1)
    return f"from the {at + 1}th on: {numbers[at : at + 5]}"
