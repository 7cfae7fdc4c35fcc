"""Joining late: who comes when a full screen was drawn more than a megabyte ago sees all of it, on any instance."""

import asyncio
import os
import signal

import pytest

from deploy import processes
from tests.client import Page, User
from tests.conftest import Server
from tests.e2e.test_main_job import shell
from tests.e2e.test_watching import elsewhere, server, student, teacher, two, watch

__all__ = ["elsewhere", "server", "student", "teacher", "two"]

DRAW = """python3 -c '
import sys, time
out = sys.stdout
out.write("\\x1b[?1049h\\x1b[2J\\x1b[1;1HHEADER-" + "DRAWN-ONCE\\x1b[24;1HFOOTER")
for n in range({rounds}):
    out.write("\\x1b[10;1H" + "%078d" % n)
out.write("\\x1b[12;5Hready" + "-now")
out.flush()
sys.stdin.readline()
out.write("\\x1b[14;1Hmore" + "-came")
out.flush()
time.sleep(600)'
"""
ROUNDS = 20_000
"""Of 85 bytes: 1.7 MB, more than any ring holds."""


async def draw(page: Page) -> None:
    await page.type(DRAW.format(rounds=ROUNDS).replace("\n", "\r"))
    await page.expect("ready-now", timeout=60)
    await page.until(lambda: any(m["type"] == "status" and m["alternate"] for m in page.messages))


def helpers(of: Server) -> list[int]:
    """The screen helpers that a server has started."""
    assert of.process is not None
    return [
        found.pid
        for found in processes.find(lambda one: any("screen.mjs" in word for word in one.arguments))
        if of.process.pid in processes.ancestors(found.pid)
    ]


@pytest.mark.parametrize("where", ["here", "elsewhere"])
async def test_a_late_watcher_sees_what_was_drawn_a_megabyte_ago(
    server: Server, elsewhere: Server, student: User, teacher: User, where: str
) -> None:
    _, page = await shell(student, "first-steps")
    await draw(page)
    observer = watch(teacher, page.terminal, server if where == "here" else elsewhere)
    await observer.connect()
    await observer.expect("HEADER-DRAWN-ONCE")
    assert b"FOOTER" in observer.output
    assert b"ready-now" in observer.output
    assert len(observer.output) < 20_000, "a screen, not a megabyte of bytes"
    await page.type("\r")
    await observer.expect("more-came")
    # A second one there gets it, too, and the student's own page after a reload.
    second = watch(teacher, page.terminal, server if where == "here" else elsewhere)
    await second.connect()
    await second.expect("HEADER-DRAWN-ONCE")
    await second.expect("more-came")
    await page.expect("more-came")
    await page.ack()
    page.birth, page.offset = None, 0
    await page.leave()
    page.output.clear()
    await page.connect()
    await page.expect("HEADER-DRAWN-ONCE")
    await page.expect("more-came")
    await page.leave()


async def test_the_next_owner_shows_what_it_watched_being_drawn_a_megabyte_ago(
    server: Server, elsewhere: Server, student: User, teacher: User
) -> None:
    _, page = await shell(student, "first-steps")
    await draw(page)
    observer = watch(teacher, page.terminal, elsewhere)
    await observer.connect()
    await observer.expect("HEADER-DRAWN-ONCE")
    await asyncio.to_thread(server.kill)
    page.drop()
    page.url = elsewhere.url
    await page.connect()
    assert (await observer.closed()).code == 1012
    # A reload in a smaller window, and who watches anew.
    page.birth, page.offset, page.size = None, 0, (60, 20)
    await page.leave()
    page.output.clear()
    await page.connect()
    late = watch(teacher, page.terminal, elsewhere)
    await late.connect()
    await page.type("\r")
    for one in (page, late):
        await one.expect("HEADER-DRAWN-ONCE")
        await one.expect("more-came")
        assert len(one.output) < 20_000, "a screen, not a megabyte of bytes"
    await page.leave()


async def test_a_killed_screen_helper_costs_a_picture_and_nothing_else(
    server: Server, student: User, teacher: User
) -> None:
    _, page = await shell(student, "first-steps")
    await draw(page)
    (pid,) = helpers(server)
    os.kill(pid, signal.SIGKILL)
    observer = watch(teacher, page.terminal, server)
    await observer.connect()
    await observer.expect("ready-now")
    await page.type("\r")
    await observer.expect("more-came")
    async with asyncio.timeout(20):
        while helpers(server) in ([], [pid]):
            await asyncio.sleep(0.1)
    await page.leave()
