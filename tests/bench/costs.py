"""Costs: what containers cost the machine while they wait, are used and are left, by part; and what one student costs."""

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from terminals.lxd import Address, Lxd
from terminals.store import Store
from terminals.store.containers import Stock
from terminals.store.database import Database
from tests.bench import labs, usage
from tests.bench.clicks import IMAGE, empty
from tests.bench.figures import Rows
from tests.client import Page, User
from tests.conftest import Server

REST_S, WATCHED_S = 5.0, 20.0
"""Before memory is read, and how long CPU is watched."""
STOCK_S = 20.0
"""For each container, in the pool's own pace."""
LEFT_S = 75.0
"""An exec that nobody looks at is detached after a minute."""

Parts = dict[str, float]


async def costs(count: int) -> Rows:
    """`count` containers of the lessons' image: frozen and running in the pool, with a student at each, and left by them."""
    rows: Rows = {}
    async with Database.connected(os.environ["DATABASE_URL"]) as database:
        store, lxd = Store.over(database), Lxd(Address(os.environ["LXD_URL"]), os.environ["LXD_PROJECT"])
        try:
            async with _served({"POOL_READY": "0"}) as server:
                base = await _measure(server)
            async with _one_image(database):
                for name, awake in (("running, a shell waits", count), ("frozen, a shell waits", 0)):
                    pool = {
                        "POOL_READY": str(count),
                        "POOL_MOST": str(count),
                        "POOL_AWAKE": str(awake),
                        "POOL_SPARE": "0",
                    }
                    async with _served(pool) as server:
                        await _until(
                            store, lambda stock, awake=awake: (stock.awake, stock.all) == (awake, count), count
                        )
                        rows[name] = _each(base, await _measure(server), count)
                await empty(store, lxd)
            async with _served({"POOL_READY": "0"}) as server, labs.students(server.url, count) as people:
                await _students(server, people, base, rows)
        finally:
            await empty(store, lxd)
            lxd.close()
    return rows


@asynccontextmanager
async def _one_image(database: Database) -> AsyncIterator[None]:
    """All lessons have it meanwhile: the pool would fill up the others', too."""
    others = await database.fetch("SELECT id, image FROM lessons WHERE image <> $1", IMAGE)
    await database.run("UPDATE lessons SET image = $1", IMAGE)
    try:
        yield
    finally:
        for row in others:
            await database.run("UPDATE lessons SET image = $2 WHERE id = $1", row["id"], row["image"])


async def _students(server: Server, people: list[User], base: Parts, rows: Rows) -> None:
    async with labs.started(people) as started:
        pages = [person.page(await person.first_terminal(session)) for person, session in started]
        sitting = []
        for page in pages:
            await page.connect()
            sitting.append(asyncio.create_task(_sit(page)))
        rows["a student at the prompt"] = _each(base, await _measure(server), len(people))
        for each in sitting:
            each.cancel()
        await asyncio.gather(*sitting, return_exceptions=True)
        for page in pages:
            await page.leave()
        await asyncio.sleep(LEFT_S)
        rows["left, its exec detached"] = _each(base, await _measure(server), len(people))


async def _sit(page: Page) -> None:
    while True:
        with contextlib.suppress(TimeoutError):
            await page.step(WATCHED_S)


async def _until(store: Store, done: Callable[[Stock], bool], count: int) -> None:
    async with asyncio.timeout(STOCK_S * (count + 2)):
        while not done(await store.containers.stock_of_image(IMAGE)):
            await asyncio.sleep(0.5)


async def _measure(server: Server) -> Parts:
    """MiB by part, and the % of a core that each part takes; the machine's own word beside the sum."""
    await asyncio.sleep(REST_S)
    began, before = time.monotonic(), {name: usage.cpu(pids) for name, pids in _parts(server).items()}
    await asyncio.sleep(WATCHED_S)
    parts = _parts(server)
    seconds = time.monotonic() - began
    found = {f"{name}, MiB": usage.pss(pids) for name, pids in parts.items()}
    found["the machine, MiB"] = -usage.available()
    busy = sum(usage.cpu(pids) - before[name] for name, pids in parts.items())
    return {**found, "CPU, % of a core": busy / seconds * 100}


def _parts(server: Server) -> dict[str, list[int]]:
    assert server.process is not None
    monitors = usage.monitors()
    inside = usage.children(monitors)
    holders = [pid for pid in usage.holders() if pid in set(inside)]
    return {
        "programs": sorted(set(inside) - set(holders)),
        "holder": holders,
        "LXC's monitor": monitors,
        "LXD": sorted(set(usage.lxd()) - set(monitors)),
        "server": [server.process.pid, *usage.children([server.process.pid])],
    }


def _each(base: Parts, now: Parts, count: int) -> dict[str, Any]:
    return {"containers": count, **{f"{part} each": round((now[part] - base[part]) / count, 2) for part in now}}


@asynccontextmanager
async def _served(settings: dict[str, str]) -> AsyncIterator[Server]:
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "log", **settings)
        server.start()
        try:
            yield server
        finally:
            server.stop()
