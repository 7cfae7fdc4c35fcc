"""Nothing on a terminal's path grows without a bound: every queue's highest mark under all the traffic at once, on the real path.

The application runs in this process, so that its queues can be looked into; what comes in and goes out is real.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.helpers import DEFAULT_CHUNK_SIZE
from pytest_aiohttp.plugin import AiohttpClient

from server import app as application
from server import browser, keys
from server import settings as setting
from server.browser import Browser
from terminals import terminal
from terminals.link import door, frames, scrollback, streams
from terminals.link import exec as exec_
from terminals.link.door import Line
from terminals.link.exec import Exec
from terminals.link.frames import Decoder
from terminals.link.scrollback import Scrollback
from terminals.link.streams import Stream
from terminals.path import Path
from terminals.store import Store
from terminals.terminal import Terminal
from terminals.viewers import sinks, viewer
from terminals.viewers.sinks import Sinks
from terminals.viewers.viewer import Viewer
from tests.client import Page, User
from tests.conftest import lxc
from tests.e2e.test_main_job import MakeUser, ask

ORIGIN = "http://127.0.0.1:8000"
SAMPLE_S = 0.005
FLOOD = 12_000_000
READ = 262_144
"""Bytes that the loop reads at once."""
MESSAGE = 65_536

BOUNDS = {
    "streams: early": streams.EARLY_LIMIT,
    "path: posted": streams.POST_LIMIT + 2 * frames.MAX_BODY,
    "door: early": door.EARLY_LIMIT,
    "frames: rest": frames.MAX_BODY + 3,
    "exec: early": exec_.EARLY_LIMIT,
    "exec: backlog": READ + streams.MESSAGE_LIMIT,
    "exec: stderr": exec_.STDERR_LIMIT,
    "scrollback": scrollback.LIMIT,
    "terminal: controls": terminal.CONTROLS,
    "terminal: answers": sinks.MOST_OF_ONE,
    "viewer: queue": 2 * viewer.LIMIT,
    "sinks: pages": sinks.MOST_OF_ONE,
    # What one turn of the loop brought may go into a socket that had room.
    "browser: to send": browser.WRITE_LIMIT + READ + MESSAGE,
    # aiohttp stops at twice its chunk, after the message that passed it.
    "browser: to read": 2 * DEFAULT_CHUNK_SIZE + browser.MESSAGE_LIMIT,
    "browser: early": browser.EARLY_LIMIT + browser.MESSAGE_LIMIT,
    # Half a frame, or a read that came when nothing more was taken.
    "browser: waiting": 2 * READ + browser.MESSAGE_LIMIT,
    "hub: terminals": 2,
}


class Marks:
    """The highest value of each queue, noted whenever it may have grown."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.highest: dict[str, int] = dict.fromkeys(BOUNDS, 0)
        self._patch = patch
        self._after(Stream, "_take", "streams: early", lambda s: len(s._early))
        self._after(Stream, "post", "path: posted", lambda s: s.transport.get_write_buffer_size())
        self._after(Line, "post", "path: posted", lambda d: d.transport.get_write_buffer_size())
        self._after(Line, "data_received", "door: early", lambda d: len(d._early))
        self._after(Browser, "data_received", "browser: waiting", lambda b: b._cutter.waiting)
        self._after(Browser, "_take", "browser: early", lambda b: b._early_bytes)
        self._after(Decoder, "feed", "frames: rest", lambda d: len(d._rest))
        self._after(Exec, "_keep", "exec: early", lambda e: e._early_bytes)
        self._after(Exec, "_turn", "exec: backlog", lambda e: sum(map(len, e._backlog)))
        self._after(Exec, "_complain", "exec: stderr", lambda e: len(e._stderr))
        self._after(Scrollback, "append", "scrollback", lambda s: s.end - s.base)
        self._after(Terminal, "_control", "terminal: controls", lambda t: t._controls)
        self._after(Path, "post", "terminal: answers", lambda p: len(p._end._answers))
        self._after(Viewer, "offer", "viewer: queue", lambda v: v._bytes)
        self._after(Viewer, "_put", "viewer: queue", lambda v: v._bytes)
        self._after(Sinks, "join", "sinks: pages", lambda s: len(s.viewers))

    def note(self, name: str, value: int) -> None:
        self.highest[name] = max(self.highest[name], value)

    def _after(self, kind: type, method: str, name: str, measure: Callable[[Any], int]) -> None:
        former = getattr(kind, method)

        def measured(one: Any, *words: Any) -> Any:
            try:
                return former(one, *words)
            finally:
                self.note(name, measure(one))

        self._patch.setattr(kind, method, measured)

    async def sample(self, app: web.Application, sockets: list[web.WebSocketResponse]) -> None:
        """What lies in aiohttp, which has nothing to hook into."""
        while True:
            self.note("hub: terminals", len(app[keys.HUB].terminals))
            for socket in sockets:
                self.note("browser: to read", read_queue(socket))
                request = socket._req
                if request is not None and request.transport is not None:
                    self.note("browser: to send", request.transport.get_write_buffer_size())
            await asyncio.sleep(SAMPLE_S)


def read_queue(socket: web.WebSocketResponse) -> int:
    reader = socket._reader
    return 0 if reader is None else sum(size for _, size in reader._buffer)


@pytest.fixture
async def app(seeded: None, monkeypatch: pytest.MonkeyPatch) -> web.Application:
    monkeypatch.setenv("PUBLIC_URL", ORIGIN)
    monkeypatch.setenv("DEMO", "on")
    monkeypatch.setenv("PORT", "8000")
    monkeypatch.setenv("POOL_READY", "0")
    return application.build(setting.read())


@contextlib.asynccontextmanager
async def reading(*pages: Page) -> AsyncIterator[None]:
    """The pages read and ack meanwhile."""

    async def read(page: Page) -> None:
        while True:
            await page.step(60)
            page.output.clear()

    tasks = [asyncio.create_task(read(page)) for page in pages]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def paste(page: Page, times: int) -> None:
    for _ in range(times):
        await page.type(b"x" * frames.MAX_INPUT)
        page.unacknowledged.clear()


async def flooded(driver: Page) -> None:
    """To a page that reads."""
    start = driver.offset
    await driver.type("yes 0123456789abcdef\r")
    async with asyncio.timeout(60):
        while driver.offset - start < FLOOD:
            await driver.step()
            driver.output.clear()
            await asyncio.sleep(0)
    await driver.type("\x03")


async def pasted(marks: Marks, driver: Page, other: Page, container: str) -> None:
    """Into a program that reads, into one that doesn't, and to a holder that is stopped."""
    async with reading(driver, other):
        await driver.type("stty -echo; cat > /dev/null\r")
        await paste(driver, 100)
        await other.type("stty -echo; sleep 100\r")
        await paste(other, 50)
        for _ in range(200):
            await driver.ping()
        lxc("exec", container, "--", "pkill", "-STOP", "-f", "/holder-")
        pasting = asyncio.create_task(paste(driver, 400))
        async with asyncio.timeout(30):
            while marks.highest["path: posted"] < streams.WRITE_LIMIT:
                await asyncio.sleep(SAMPLE_S)
        lxc("exec", container, "--", "pkill", "-CONT", "-f", "/holder-")
        pasting.cancel()
        await asyncio.gather(pasting, return_exceptions=True)


async def test_every_queue_on_the_path_stays_below_its_bound(
    app: web.Application,
    aiohttp_client: AiohttpClient,
    make_user: MakeUser,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sockets: list[web.WebSocketResponse] = []
    prepare = web.WebSocketResponse.prepare

    async def prepared(socket: web.WebSocketResponse, request: web.BaseRequest) -> Any:
        sockets.append(socket)
        return await prepare(socket, request)

    monkeypatch.setattr(web.WebSocketResponse, "prepare", prepared)
    marks = Marks(monkeypatch)
    client = await aiohttp_client(app)
    student: User = await make_user(str(client.make_url("")).rstrip("/"))
    session = await student.start("first-steps")
    container = await store.containers.of_session(session)
    first = await student.first_terminal(session)
    second = (await student.call("POST", f"/api/sessions/{session}/terminals", None, 201))["id"]
    sampling = asyncio.create_task(marks.sample(app, sockets))
    driver, other = (student.page(name) for name in (first, second))
    stalled = [student.page(first, role="observer", auto_ack=False) for _ in range(sinks.MOST_OF_ONE - 1)]
    for page in (driver, other, *stalled):
        page.origin = ORIGIN
        await page.connect()
    assert await ask(driver, "echo ready") == "ready"
    tasks = len(asyncio.all_tasks())

    # To many that don't, too.
    await flooded(driver)
    # A page too many.
    more = student.page(first)
    more.origin = ORIGIN
    await more.knock()
    assert (await more.closed()).code == 4429

    await pasted(marks, driver, other, container or "")

    for page in (driver, other, *stalled):
        page.drop()
    async with asyncio.timeout(20):
        while any(one.sinks.viewers for one in app[keys.HUB].terminals) or len(asyncio.all_tasks()) > tasks:
            await asyncio.sleep(0.05)
    sampling.cancel()
    for name, bound in BOUNDS.items():
        print(f"{name:20} {marks.highest[name]:>9} of {bound:>9}")
    assert {name: mark for name, mark in marks.highest.items() if mark > BOUNDS[name]} == {}
    # The traffic was enough to fill what is meant to hold it back.
    for name, least in (("scrollback", MESSAGE), ("sinks: pages", sinks.MOST_OF_ONE), ("viewer: queue", MESSAGE)):
        assert marks.highest[name] >= least, name
