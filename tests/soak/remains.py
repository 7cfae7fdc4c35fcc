"""Remains: what runs for a terminal on the host, in LXD and in its container, and that it is no more than it should be."""

import asyncio
import json
import time

from deploy import processes
from deploy.processes import Process
from tests.conftest import lxc

WAIT_S = 20.0
"""LXD gives up an exec whose sockets never came after 5 s; a frozen path is noticed after 10 s."""


def bridges(terminal: str) -> list[int]:
    """The pids, on the host, of what LXD runs for a terminal: forkexec is their parent, the holder's is the container's init."""
    forks = {found.pid for found in processes.find(lambda one: one.arguments[1:2] == ("forkexec",))}
    return [found.pid for found in _holders(terminal) if processes.ancestors(found.pid)[0] in forks]


def holder(terminal: str) -> int:
    """Its pid on the host."""
    bridging = bridges(terminal)
    return next(found.pid for found in _holders(terminal) if found.pid not in bridging)


def _holders(terminal: str) -> list[Process]:
    return processes.find(lambda one: one.program.startswith("holder-") and terminal in one.arguments)


def execs(container: str) -> list[list[str]]:
    """The commands that LXD says are running in a container."""
    found = json.loads(lxc("operation", "list", "--format", "json"))
    return [
        one["metadata"]["command"]
        for one in found
        if one["class"] == "websocket"
        and one["status"] == "Running"
        and f"/1.0/instances/{container}" in one["resources"].get("instances", [])
    ]


def inside(container: str) -> list[str]:
    """The container's processes by name, without the look itself."""
    names = lxc("exec", container, "--", "ps", "-eo", "comm=").split()
    names.remove("ps")
    return sorted(names)


async def settled(container: str, terminal: str, before: list[str]) -> None:
    """Waits until one exec, one bridge, one holder and the processes of before are all that there is."""
    limit = time.monotonic() + WAIT_S
    while True:
        found = (len(execs(container)), len(bridges(terminal)), len(_holders(terminal)))
        now = inside(container)
        if found == (1, 1, 2) and now == before:
            return
        assert time.monotonic() < limit, f"execs, bridges, holder and bridge: {found}; inside {now}, before {before}"
        await asyncio.sleep(0.2)
