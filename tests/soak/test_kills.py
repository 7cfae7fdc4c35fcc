"""Kills: the bridge and the server die by SIGKILL while numbered lines stream; shell, program and every number survive."""

import contextlib
import os
import random
import re
import signal
import time
from collections.abc import Callable
from statistics import quantiles
from typing import Any

import pytest

from tests.client import User
from tests.conftest import lxc
from tests.soak import lab
from tests.soak.path import Path
from tests.soak.remains import bridges
from tests.soak.returning import Returning
from tests.soak.scale import times

KILLS = times(50)
STABLE_S = times(52) / 10
"""A path that held for 5 s is made anew at once; one that breaks sooner is waited for longer each time."""
COUNT = """
import itertools, os, time
print(f"P{os.getpid()}", flush=True)
for n in itertools.count(1):
    print(f"N{n}", flush=True)
    time.sleep(0.001)
"""


@pytest.mark.timeout(90 + 10 * KILLS)
@pytest.mark.parametrize("victim", ["bridge", "server", "server-with-another-instance"])
async def test_numbered_output_is_contiguous_across_kills_and_its_program_lives(
    path: Path, make_user: Callable[..., Any], chance: random.Random, victim: str, aloud: Callable[[str], None]
) -> None:
    student: User = await make_user(path.url)
    async with lab.opened(student, chance) as (container, page):
        await page.type(f"cat > count.py << 'E''OF'\n{COUNT}EOF\rpython3 count.py\r".replace("\n", "\r"))
        await page.when(lambda: re.search(rb"P\d+\r\nN1\r\n", page.output) is not None)
        program = re.findall(rb"P(\d+)\r\nN1\r\n", page.output)[0].decode()
        seconds = [await _kill(victim, path, page, chance) for _ in range(KILLS)]
        assert lxc("exec", container, "--", "pgrep", "-f", "count.py").split() == [program]
        await page.type("\x03")
        await page.when(lambda: b"KeyboardInterrupt" in page.output[-3000:])
        text = bytes(page.output).partition(b"P%s\r\n" % program.encode())[2].partition(b"^CT")[0]
        numbers = [int(n) for n in re.findall(rb"N(\d+)\r\n", text)]
        aloud(
            f"{KILLS} × SIGKILL of the {victim}, {len(numbers):,} lines; from the kill to the next byte: {_p(seconds)}"
        )
        assert numbers == list(range(1, len(numbers) + 1))
        await path.started()


async def _kill(victim: str, path: Path, page: Returning, chance: random.Random) -> float:
    """Kills; seconds until output comes again."""
    await path.started()
    at = page.offset + chance.randrange(1, 4000)
    await page.when(lambda: page.live and page.offset > at)
    if victim == "bridge":
        await page.when(lambda: time.monotonic() - page.began_at > STABLE_S)
    attached = page.times_attached
    if victim == "bridge":
        pids = bridges(page.terminal)
        assert pids
        began = time.monotonic()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    else:
        dead = path.used
        if victim == "server-with-another-instance":
            path.lead_to(path.other)
        began = time.monotonic()
        dead.kill()
        path.start(dead)
    await page.when(lambda: page.live and page.times_attached > attached)
    await page.when(lambda: page.offset > page.attached_at)
    return page.heard_at - began


def _p(seconds: list[float]) -> str:
    cuts = quantiles(seconds, n=20, method="inclusive") if len(seconds) > 1 else seconds * 20
    return f"p50 {cuts[9]:.2f} s, p95 {cuts[18]:.2f} s, max {max(seconds):.2f} s"
