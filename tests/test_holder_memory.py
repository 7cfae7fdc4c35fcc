"""What a holder weighs: the ring and little else, however much passes through it. Printed, and bounded.

The product only: ASan's shadow and quarantine are what the figures of its build would show.
"""

import time
from pathlib import Path

from terminals.link import frames
from tests.holder_builds import on
from tests.holder_client import Holders, wait_for

RING = 1_048_576
MOST_BESIDE = 1_048_576
"""Bytes beside the ring: the program's own pages, its stack, and an owner's inbox and outbox."""
PASSED = 200_000_000
"""Bytes of `yes` under which it must stay flat."""
LEAST_S = 3.0


def memory(pid: int) -> dict[str, int]:
    """Rss and Pss in bytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    return {name: sizes[name] for name in ("Rss", "Pss")}


def told(state: str, found: dict[str, int]) -> None:
    print(f"\n{state}: " + ", ".join(f"{name} {size / 1024:.0f} KiB" for name, size in found.items()), end="")


@on("product")
def test_an_idle_holder_weighs_little(holders: Holders) -> None:
    client = holders.start()
    client.attach()
    client.close()
    wait_for(lambda: len(holders.pids()) == 1)
    idle = memory(holders.pid())
    told("idle", idle)
    assert idle["Rss"] < MOST_BESIDE


@on("product")
def test_a_full_ring_and_a_flood_add_no_more_than_the_ring(holders: Holders) -> None:
    client = holders.start("stty raw -echo -opost; exec yes")
    client.attach()
    pid, passed, most, began, full = holders.pid(), 0, 0, time.monotonic(), {"Rss": 0}
    while passed < PASSED or time.monotonic() < began + LEAST_S:
        client.expect(frames.OUTPUT)
        passed, client.output = passed + len(client.output), b""
        if not full["Rss"] and passed > 2 * RING:
            full = memory(pid)
        if passed % 128 == 0:
            most = max(most, memory(pid)["Rss"])
    told("ring full", full)
    told(f"after {passed / 1e6:.0f} MB", memory(pid))
    print(f", {most / 1024:.0f} KiB at most")
    assert RING < full["Rss"] < RING + MOST_BESIDE
    assert most < RING + MOST_BESIDE
