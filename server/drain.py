"""Drain: asks instances to go, as SIGTERM does, and waits until they have said that they are gone."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence

import structlog

from terminals.errors import NotFound
from terminals.fleet.bus import Bus
from terminals.fleet.instances import Instances

log = structlog.get_logger(__name__)

NOTICE = "drain"
LOOK_S = 0.1
ASK_EVERY_S = 2.0
"""A notice is lost on who is just connecting to Redis again. Asked twice is asked once."""


class Drainee:
    """The instance in this process, when it is asked to go."""

    def __init__(self, instance: str) -> None:
        self._instance = instance

    async def asked(self, instance: str) -> None:
        """For a notice: whoever is meant does exactly what SIGTERM does."""
        if instance == self._instance:
            log.info("drain_asked")
            os.kill(os.getpid(), signal.SIGTERM)


async def show(instances: Instances) -> None:
    """Prints who lives."""
    for each in await instances.alive():
        print(f"{each.name}\t{each.terminals} terminal{'' if each.terminals == 1 else 's'}")


async def drain(instances: Instances, bus: Bus, names: Sequence[str], timeout_s: float) -> int:
    """Drains these, all where none is named; the exit status.

    Raises:
        NotFound: one of them doesn't live. Nothing was asked of the others.
    """
    alive = {each.name for each in await instances.alive()}
    if unknown := [name for name in names if name not in alive]:
        message = f"There is no instance {', '.join(unknown)}. Those that live: {', '.join(sorted(alive)) or 'none'}"
        raise NotFound(message)
    left = await _until_gone(instances, bus, set(names) or alive, timeout_s)
    for name in sorted(left):
        print(f"{name} still lives after {timeout_s:g} s: look at its log, or end its process", file=sys.stderr)
    return 1 if left else 0


async def _until_gone(instances: Instances, bus: Bus, names: set[str], timeout_s: float) -> set[str]:
    began = time.monotonic()
    asked = -ASK_EVERY_S
    while names and (since := time.monotonic() - began) < timeout_s:
        if since - asked >= ASK_EVERY_S:
            asked = since
            for name in sorted(names):
                await bus.notify(NOTICE, name)
        await asyncio.sleep(LOOK_S)
        gone = names - {each.name for each in await instances.alive()}
        for name in sorted(gone):
            print(f"{name} is drained, after {time.monotonic() - began:.1f} s", flush=True)
        names = names - gone
    return names
