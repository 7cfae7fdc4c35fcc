"""Cuts: what can befall each link between a page and its shell, drawn at random, and how long the page then was away."""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections import defaultdict
from statistics import median

from tests.proxy import How, Proxy, Trouble, Way
from tests.soak.path import Path
from tests.soak.remains import bridges
from tests.soak.returning import Returning

QUICK = (
    *("browser", "browser", "browser", "browser-opening", "browser-rough"),
    *("lxd", "lxd", "lxd", "lxd-opening", "lxd-refused"),
    *("bridge", "bridge", "server", "takeover", "takeover-killed"),
)
SLOW = ("browser-frozen", "lxd-frozen")
"""A page notices silence after 3 s, a server after 10."""
CERTAIN = {"bridge", "server", "takeover", "takeover-killed", "lxd-frozen", "browser-frozen"}
"""The page can't but be attached anew; another cut may hit a connection that nothing hangs on."""
HAPPEN_S = 1.0
BACK_S = 40.0


class Cuts:
    """Cuts of one page's path. `flow`: bytes that are likely to pass towards the page soon."""

    def __init__(self, path: Path, page: Returning, chance: random.Random, flow: int) -> None:
        self.path = path
        self.page = page
        self.away: dict[str, list[float]] = defaultdict(list)
        self._chance = chance
        self._flow = flow

    def draw(self, count: int, slow: int) -> list[str]:
        """Kinds of cuts in random order: each of the quick ones as often as the next, and `slow` of each slow one."""
        kinds = [QUICK[number % len(QUICK)] for number in range(count - slow * len(SLOW))] + list(SLOW) * slow
        self._chance.shuffle(kinds)
        return kinds

    async def cut(self, kind: str) -> None:
        """Cuts, and waits until the page is back."""
        attached = self.page.times_attached
        began = await getattr(self, "_" + kind.replace("-", "_"))()
        await asyncio.sleep(0.02)
        # Past a door, frames don't notice what is slow on LXD's link.
        certain = kind in CERTAIN and not (kind == "lxd-frozen" and self.path.by_door)
        await self.page.when(
            lambda: (
                self.page.live and self.page.heard_at > began and (self.page.times_attached > attached or not certain)
            ),
            BACK_S,
        )
        self.path.front.thaw()
        self.path.lxd.thaw()
        self.away[kind].append(time.monotonic() - began)

    def figures(self) -> str:
        lines = [
            f"    {kind:<16} {len(times):>4} ×  p50 {median(times):6.2f} s  max {max(times):6.2f} s"
            for kind, times in sorted(self.away.items())
        ]
        return "\n".join(lines)

    # -- the kinds; each says when it happened

    async def _browser(self) -> float:
        return await self._harm(self.path.front, self._any(), *self._byte(60))

    async def _browser_opening(self) -> float:
        """In the handshake, or in what comes just after it."""
        way, after = self._byte(700, 1500)
        trouble = self.path.front.arm(way, after, self._any())
        self.path.front.drop()
        return await self._happened(self.path.front, trouble)

    async def _browser_rough(self) -> float:
        """Byte by byte and late, then cut."""
        self.path.front.slivers, self.path.front.delay = self._chance.randrange(2000), self._chance.random() / 50
        await asyncio.sleep(0.1)
        began = await self._harm(self.path.front, self._any(), *self._byte(60))
        self.path.front.slivers, self.path.front.delay = 0, 0.0
        return began

    async def _browser_frozen(self) -> float:
        return await self._harm(self.path.front, "freeze", "down", self._chance.randrange(20))

    async def _lxd(self) -> float:
        self.path.lxd.slivers = self._chance.choice((0, 0, 500))
        return await self._harm(self.path.lxd, self._any(), *self._byte(120))

    async def _lxd_opening(self) -> float:
        """In the calls that start an exec, in a websocket's handshake, or in the holder's hello."""
        way, after = self._byte(1200, 4000)
        trouble = self.path.lxd.arm(way, after, self._any())
        self.path.lxd.drop()
        return await self._happened(self.path.lxd, trouble)

    async def _lxd_refused(self) -> float:
        self.path.lxd.cut()
        began = time.monotonic()
        await asyncio.sleep(self._chance.random() / 2)
        self.path.lxd.mend()
        return began

    async def _lxd_frozen(self) -> float:
        """Only what comes from LXD: what goes there is spread over several connections, and only some matter."""
        return await self._harm(self.path.lxd, "freeze", "down", self._chance.randrange(20))

    async def _bridge(self) -> float:
        while not (found := bridges(self.page.terminal)):
            await asyncio.sleep(0.01)
        began = time.monotonic()
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return began

    async def _server(self) -> float:
        """The only one that can be reached dies and is started again."""
        await self.path.started()
        began = time.monotonic()
        self.path.used.kill()
        self.path.start(self.path.used)
        return began

    async def _takeover(self) -> float:
        """The balancer leads to another instance while the one before lives."""
        await self.path.started()
        self.path.lead_to(self.path.other)
        began = time.monotonic()
        self.path.front.drop()
        return began

    async def _takeover_killed(self) -> float:
        await self.path.started()
        dead = self.path.used
        self.path.lead_to(self.path.other)
        began = time.monotonic()
        dead.kill()
        self.path.start(dead)
        return began

    # -- small steps

    def _any(self) -> How:
        return self._chance.choice(("reset", "end"))

    def _byte(self, up: int, down: int = 0) -> tuple[Way, int]:
        """Which way, and after how many bytes: often so few that it is inside a header."""
        way: Way = self._chance.choice(("up", "down"))
        most = up if way == "up" else down or self._flow
        return way, self._chance.randrange(self._chance.choice((min(40, most), most)))

    async def _harm(self, proxy: Proxy, how: How, way: Way, after: int) -> float:
        return await self._happened(proxy, proxy.arm(way, after, how))

    async def _happened(self, proxy: Proxy, trouble: Trouble) -> float:
        limit = time.monotonic() + HAPPEN_S
        while not trouble.happened.is_set():
            if time.monotonic() > limit:
                # So few bytes passed that its turn never came.
                proxy.disarm()
                proxy.drop()
                break
            await asyncio.sleep(0.002)
        return time.monotonic()
