"""`make bench`: figures and ratios, ours beside a direct LXD exec, interleaved in one run. No pass or fail on time.

`--quick` for a first look, `--json FILE` for comparing commits.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from server import seed
from server.passwords import Passwords
from terminals.store import Store
from terminals.store.database import Database
from tests.bench.direct import Direct
from tests.client import Page, User
from tests.conftest import Server

MB = 1_000_000
LESSON = "first-steps"


async def main() -> None:
    words = argparse.ArgumentParser(prog="make bench")
    words.add_argument("--quick", action="store_true", help="a tenth of the counts")
    words.add_argument("--json", type=Path, help="write the figures here, too")
    options = words.parse_args()
    scale = 0.1 if options.quick else 1.0
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "log")
        await seeded()
        server.start()
        try:
            figures = await measure(server, scale)
        finally:
            server.stop()
    print(table(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


async def seeded() -> None:
    async with Database.connected(os.environ["DATABASE_URL"]) as database:
        passwords = Passwords()
        await seed.demo(Store.over(database), passwords)
        passwords.close()


async def measure(server: Server, scale: float) -> dict[str, Any]:
    async with User(server.url, "student30@demo.test") as user:
        await user.sign_in()
        clicks = await click_to_prompt(user, max(5, int(30 * scale)))
        session = await user.start(LESSON)
        try:
            direct = Direct(os.environ["LXD_URL"], os.environ["LXD_PROJECT"], f"s-{session}")
            async with user.page(await user.first_terminal(session)) as page, direct:
                await direct.until(b"$ ")
                echo = await paired_echo(page, direct, int(1000 * scale))
                bulk = await interleaved_bulk(page, direct, int(50 * MB * scale), 3)
            prompts = await prompt_times(user, session, max(5, int(20 * scale)))
        finally:
            await user.end(session)
    return {"click to prompt, ms": clicks, "echo, ms": echo, "bulk, MB/s": bulk, "connect to prompt, ms": prompts}


async def paired_echo(page: Page, direct: Direct, count: int) -> dict[str, Any]:
    """Key by key, one of each in turn, idle shells."""
    ours, theirs = [], []
    for number in range(count):
        if number % 50 == 0:
            await settle(page, direct)
        before, began = page.offset, time.perf_counter()
        await page.type("x")
        while page.offset == before:
            await page.step()
        ours.append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        await direct.type("x")
        await direct.read()
        theirs.append((time.perf_counter() - began) * 1000)
    await settle(page, direct)
    return compare(ours, theirs)


async def settle(page: Page, direct: Direct) -> None:
    """Clears both lines, and waits until nothing comes any more."""
    await page.type("\x15")
    await direct.type("\x15")
    for quiet in (page.step, direct.read):
        try:
            while True:
                async with asyncio.timeout(0.3):
                    await quiet()
        except TimeoutError:
            continue


async def interleaved_bulk(page: Page, direct: Direct, size: int, rounds: int) -> dict[str, Any]:
    """The same bytes from the same program, in turn; the page acks what it has read at once."""
    command = f"head -c {size} /dev/zero | tr '\\0' x\r"
    ours, theirs = [], []
    for _ in range(rounds):
        began, end = time.perf_counter(), page.offset + size
        await page.type(command)
        while page.offset < end:
            await page.step()
            page.output.clear()
        ours.append(size / MB / (time.perf_counter() - began))
        await direct.type(command)
        theirs.append(size / MB / await direct.until_bytes(size))
        await settle(page, direct)
    return compare(ours, theirs)


async def prompt_times(user: User, session: str, count: int) -> dict[str, Any]:
    """A new terminal in a running container: until its first output."""
    ours, theirs = [], []
    for _ in range(count):
        terminal = (await user.call("POST", f"/api/sessions/{session}/terminals", status=201))["id"]
        began = time.perf_counter()
        async with user.page(terminal) as page:
            while not page.output:
                await page.step()
            ours.append((time.perf_counter() - began) * 1000)
        await user.call("DELETE", f"/api/sessions/{session}/terminals/{terminal}", status=204)
        began = time.perf_counter()
        async with Direct(os.environ["LXD_URL"], os.environ["LXD_PROJECT"], f"s-{session}") as direct:
            await direct.read()
            theirs.append((time.perf_counter() - began) * 1000)
    return compare(ours, theirs)


async def click_to_prompt(user: User, count: int) -> dict[str, Any]:
    """From POST /api/sessions to the first output: container made, started, shell up."""
    times = []
    for _ in range(count):
        began = time.perf_counter()
        session = await user.start(LESSON)
        async with user.page(await user.first_terminal(session)) as page:
            while not page.output:
                await page.step()
            times.append((time.perf_counter() - began) * 1000)
        await user.end(session)
    return {"ours": spread(times)}


def compare(ours: list[float], theirs: list[float]) -> dict[str, Any]:
    ratio = statistics.median(ours) / statistics.median(theirs)
    return {"ours": spread(ours), "direct LXD exec": spread(theirs), "ratio": round(ratio, 2)}


def spread(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    at = lambda part: round(ordered[min(len(ordered) - 1, int(part * len(ordered)))], 2)  # noqa: E731 - shorter than a def
    return {"n": len(values), "p50": at(0.5), "p95": at(0.95), "max": round(ordered[-1], 2)}


def table(figures: dict[str, Any]) -> str:
    lines = [f"{'':24}{'':18}{'n':>6}{'p50':>10}{'p95':>10}{'max':>10}"]
    for what, rows in figures.items():
        for who, row in rows.items():
            if who == "ratio":
                lines.append(f"{'':24}{'ratio of p50':18}{'':6}{row:>10}")
            else:
                lines.append(f"{what:24}{who:18}{row['n']:>6}{row['p50']:>10}{row['p95']:>10}{row['max']:>10}")
    return "\n".join(lines)


if __name__ == "__main__":
    asyncio.run(main())
