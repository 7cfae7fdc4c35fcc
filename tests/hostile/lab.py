"""A lab whose holder lies, beside a neighbour who types, on one server that nobody else uses."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from terminals.holder import Holder
from terminals.store import Store
from terminals.store.terminals import MOST
from tests.client import Page, User
from tests.conftest import ROOT, Server, lxc
from tests.hostile.holder import size

REAL = Path(os.environ.get("HOLDER_PATH", ROOT / "terminals/holder/build/holder"))
LIES = Path(__file__).with_name("holder.py")
SETTLE_S = 20.0
REST_S = 0.02
"""Between two keys of the neighbour."""


class Neighbour:
    """Somebody who types one key after the other, and how long each took to come back."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.seconds: list[float] = []

    @contextlib.asynccontextmanager
    async def typing(self) -> AsyncIterator[None]:
        """All the while. Fails when not one key came back, or one never does."""
        self.seconds.clear()
        task = asyncio.create_task(self._type())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
        await self.key()
        assert len(self.seconds) > 1

    async def key(self) -> None:
        page = self.page
        before, began = page.offset, time.perf_counter()
        await page.type("x")
        await page.until(lambda: page.offset > before)
        self.seconds.append(time.perf_counter() - began)
        if len(self.seconds) % 60 == 0:
            await page.type("\x15")
            page.output.clear()

    def quantile(self, part: float) -> float:
        """Milliseconds."""
        return sorted(self.seconds)[min(int(len(self.seconds) * part), len(self.seconds) - 1)] * 1000

    async def _type(self) -> None:
        while True:
            await self.key()
            await asyncio.sleep(REST_S)


class Lab:
    """Terminals in containers where the holder has been replaced."""

    def __init__(self, server: Server, store: Store, make_user: Callable[..., Any], neighbour: Neighbour) -> None:
        self.server = server
        self.neighbour = neighbour
        self.container = ""
        self._store = store
        self._make_user = make_user
        self._holder = Holder.load(REAL)
        self._student: User
        self._session = ""
        self._left = 0
        self._files = 0

    async def page(self, behaviour: str, way: str = "") -> Page:
        """A page that has a terminal of its own, and will meet `behaviour` there. Not connected."""
        if not self._left:
            await self.renew()
        self._left -= 1
        if self._left == MOST - 1:
            terminal = await self._student.first_terminal(self._session)
        else:
            terminal = (await self._student.call("POST", f"/api/sessions/{self._session}/terminals", None, 201))["id"]
        page = self._student.page(terminal)
        page.size = size(behaviour, way)
        return page

    async def renew(self) -> None:
        """Another container; the former one is gone and has left nothing."""
        await self.end()
        self._files = self.files()
        self._student = await self._make_user(self.server.url)
        self._session = await self._student.start("administer")
        self.container = await self._store.containers.of_session(self._session) or ""
        self._left = MOST
        await asyncio.to_thread(self.put, LIES)

    def put(self, program: Path) -> None:
        """In the holder's place."""
        place = f"{self.container}{self._holder.path}"
        lxc("exec", self.container, "--", "rm", "-f", self._holder.path)
        lxc("file", "push", "-q", "--mode", "755", "--uid", "0", "--gid", "0", str(program), place)

    async def end(self) -> None:
        """Ends the lab: no file, no exec and no terminal of it may be left in the server."""
        if not self._session:
            return
        await self._student.end(self._session)
        async with asyncio.timeout(SETTLE_S):
            while await self._store.containers.of_session(self._session) is not None:
                await asyncio.sleep(0.1)
            await self._student.http.close()
            # The neighbour's is left. Idle connections to LXD and the services may come and go, one for each thread.
            while self.files() > self._files + 20 or await self.gauge("educenter_terminals") != 1:
                await asyncio.sleep(0.1)
        self._session = ""

    def files(self) -> int:
        assert self.server.process is not None
        return len(list(Path(f"/proc/{self.server.process.pid}/fd").iterdir()))

    async def gauge(self, name: str) -> float:
        async with self.neighbour.page.user.http.get("/metrics") as answer:
            text = await answer.text()
        return float(next(line for line in text.splitlines() if line.startswith(f"{name} ")).split()[1])

    def pss(self) -> int:
        """Bytes of memory that the server alone has: of what it shares (libraries), its part grows when others end."""
        assert self.server.process is not None
        rollup = Path(f"/proc/{self.server.process.pid}/smaps_rollup").read_text()
        return int(rollup.split("\nPss_Anon:")[1].split()[0]) * 1024

    def complaints(self) -> list[str]:
        """Log lines that nobody foresaw."""
        lines = self.server.log.read_text().splitlines()
        return [line for line in lines if '"level": "error"' in line or "Traceback" in line or '"exception"' in line]
