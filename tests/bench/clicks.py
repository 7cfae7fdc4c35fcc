"""Clicks: from the click on Start to the prompt in Chromium, by what waits: a running container, a frozen one, a template."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import async_playwright

from terminals.lxd import Address, Lxd
from terminals.store import Store
from terminals.store.database import Database
from tests.bench.figures import Rows, compared
from tests.bench.labs import LESSON
from tests.browser.conftest import ARGUMENTS
from tests.browser.lab import Lab
from tests.client import User
from tests.conftest import Server

IMAGE = "lab"
READY = 2
POOLS = {
    "a running one waits": {"POOL_READY": str(READY), "POOL_AWAKE": str(READY)},
    "a frozen one waits": {"POOL_READY": str(READY), "POOL_AWAKE": "0"},
    "copied from its template": {"POOL_READY": "0"},
    "cold: the template, too": {"POOL_READY": "0"},
}
STOCK_S = 60.0
REST_S = 0.5


async def clicks(student: User, count: int) -> Rows:
    """Each way by a server of its own, one after the other."""
    times: dict[str, list[float]] = {}
    async with Database.connected(os.environ["DATABASE_URL"]) as database, _chromium(student) as lab:
        store, lxd = Store.over(database), Lxd(Address(os.environ["LXD_URL"]), os.environ["LXD_PROJECT"])
        for way, pool in POOLS.items():
            cold = way.startswith("cold")
            with tempfile.TemporaryDirectory() as folder:
                server = Server(Path(folder) / "log", POOL_SPARE="0", **pool)
                server.start()
                try:
                    times[way] = [
                        await _click(lab, server, student, store, lxd if cold else None, pool["POOL_READY"] != "0")
                        for _ in range(max(2, count // 5) if cold else count)
                    ]
                finally:
                    server.stop()
                    await empty(store, lxd)
        lxd.close()
    return compared(times, "ms")


async def _click(lab: Lab, server: Server, student: User, store: Store, cold: Lxd | None, pooled: bool) -> float:
    if cold is not None:
        for name in await cold.names():
            if name.startswith("template-"):
                await cold.delete(name)
        server.stop()
        server.start()
    if pooled:
        await _stocked(store, frozen=server.settings["POOL_AWAKE"] == "0")
    # A class begins when nothing else is being done.
    await asyncio.sleep(REST_S)
    lab.url = server.url
    await lab.open("/")
    try:
        took = await lab.start(LESSON)
    except PlaywrightError as error:
        said = await lab.page.inner_text("body")
        raise AssertionError(f"no prompt; the page: {said[:500]}\nthe log: {server.log.read_text()[-5000:]}") from error
    student.go_to(server.port)
    await student.end(lab.session)
    await student.until(lab.session, "ended")
    async with asyncio.timeout(STOCK_S):
        while await store.containers.of_session(lab.session) is not None:
            await asyncio.sleep(0.05)
    return took


async def _stocked(store: Store, *, frozen: bool) -> None:
    async with asyncio.timeout(STOCK_S):
        while True:
            stock = await store.containers.stock_of_image(IMAGE)
            if (stock.frozen == READY and not stock.awake) if frozen else stock.awake == READY:
                return
            await asyncio.sleep(0.1)


async def empty(store: Store, lxd: Lxd) -> None:
    """Nothing waits any more."""
    await store.database.run("UPDATE containers SET state = 'gone' WHERE session_id IS NULL")
    for row in await store.database.fetch("SELECT name FROM containers WHERE session_id IS NULL"):
        await lxd.delete(row["name"])
        await store.containers.forget(row["name"])


@asynccontextmanager
async def _chromium(student: User) -> AsyncIterator[Lab]:
    """A page that is signed in as the student: cookies know no ports."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=ARGUMENTS
        )
        lab = Lab(await browser.new_page(), student.url)
        await lab.prepare()
        await lab.sign_in(student.email)
        yield lab
        await browser.close()
