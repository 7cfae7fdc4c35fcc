"""Watched: what thirty observers elsewhere, one of whom reads nothing, do to a student's echo, to Redis and to memory."""

import asyncio
import os
import secrets
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from redis.asyncio import Redis

from server import seed
from server.passwords import Passwords
from terminals.store import Store
from terminals.store.database import Database
from tests.bench import usage
from tests.bench.echo import WARM_UP, key, settle
from tests.bench.figures import Rows, spread
from tests.bench.lines import until
from tests.bench.rivals import Product
from tests.client import PASSWORD, User
from tests.conftest import ROOT, Server

PACE_S = 0.03
"""Between two keys: a quick typist, and time for what one key sets off elsewhere to be over."""
LINE = 50
OBSERVERS = 30


async def watched(product: Product, url: str, keys: int) -> Rows:
    """The same terminal's echo with nobody watching, with observers, and with nobody again."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        others = [Server(folder / f"log-{number}", PUBLIC_URL=url) for number in range(2)]
        for other in others:
            await asyncio.to_thread(other.start)
            stack.callback(other.stop)
        user, terminal = await product.made()
        line = await product.attach(user, terminal)
        await until(line, b"$ ")
        redis = Redis.from_url(os.environ["REDIS_URL"])
        stack.push_async_callback(redis.aclose)

        async def measure() -> dict[str, object]:
            await line.send(b"\x15")
            await settle(line)
            before, began = await _commands(redis), asyncio.get_running_loop().time()
            times = []
            for number in range(-WARM_UP, keys):
                await asyncio.sleep(PACE_S)
                took = await key(line)
                if number >= 0:
                    times.append(took)
                if number % LINE == 0:
                    await line.send(b"\x15")
                    await settle(line)
            seconds = asyncio.get_running_loop().time() - began
            row = spread(times, "ms")
            row["Redis commands/s"] = round((await _commands(redis) - before) / seconds, 1)
            row["owner MiB"] = round(usage.pss(product.pids), 1)
            row["other two MiB"] = round(usage.pss([other.process.pid for other in others if other.process]), 1)
            return row

        rows: Rows = {"nobody watches": await measure()}
        teacher = await _teacher(url)
        try:
            crowd = await _crowd(url, teacher, terminal, others)
            try:
                rows[f"{OBSERVERS} watch, one stalled"] = await measure()
            finally:
                crowd.terminate()
                await crowd.wait()
        finally:
            await _forget(teacher)
        rows["nobody any more"] = await measure()
        quiet = (rows["nobody watches"], rows["nobody any more"])
        for row in rows.values():
            for part in ("p50", "p95"):
                row[f"{part} ratio"] = round(row[part] / (sum(each[part] for each in quiet) / len(quiet)), 2)
        await line.close()
    return rows


async def _crowd(public: str, teacher: str, terminal: str, others: list[Server]) -> asyncio.subprocess.Process:
    """Observers in a process of their own, all of them attached."""
    urls = [other.url for other in others]
    words = [sys.executable, "-m", "tests.bench.observers", teacher, terminal, str(OBSERVERS), public, *urls]
    crowd = await asyncio.create_subprocess_exec(*words, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert crowd.stdout is not None
    async with asyncio.timeout(60):
        said = await crowd.stdout.readline()
    assert said == b"attached\n", said
    return crowd


async def _teacher(url: str) -> str:
    async with Database.connected(os.environ["DATABASE_URL"]) as database:
        store, passwords = Store.over(database), Passwords()
        email = f"bench{secrets.token_hex(6)}@example.test"
        user = await store.users.put(email, "Bench Teacher", await passwords.hash(PASSWORD))
        passwords.close()
        await store.courses.enrol(seed.COURSE, user, "instructor")
    async with User(url, email) as person:
        await person.sign_in()
    return email


async def _forget(email: str) -> None:
    async with Database.connected(os.environ["DATABASE_URL"]) as database:
        await Store.over(database).users.delete(email)


async def _commands(redis: Redis) -> int:
    found = await redis.info("stats")
    return int(found["total_commands_processed"])
