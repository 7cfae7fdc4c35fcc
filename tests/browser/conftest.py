"""Chromium against a real server. A test that fails leaves a screenshot of each of its pages in its folder.

One Chromium for all tests: cookies, storage and permissions are a context's, and each test has its own. So they share a loop.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Playwright, async_playwright

from terminals.lxd import Address, Lxd
from terminals.store import Store
from terminals.store.database import Database
from tests.browser.lab import Lab
from tests.client import User
from tests.conftest import Server, people

FAILED = pytest.StashKey[bool]()
PLAYWRIGHTS = (
    "AvoidUnnecessaryBeforeUnloadCheckSync,DestroyProfileOnBrowserClose,HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,"
    "LensOverlay,MediaRouter,PaintHolding,ThirdPartyStoragePartitioning,AvoidCorsURLLoaderRestartOnRedirect,"
    "TcpPortRandomizationWin,OptimizationHints,NetworkTimeServiceQuerying,AimEnabled,PreconnectToSearch"
)
"""What playwright switches off by itself; of two such switches Chromium takes the last, so it is said again."""
CHROME = "WebUIOmniboxPopup,WebUIOmniboxAimPopup"
"""Pages of Chromium's own address bar, which nobody sees here: two for each window, dearer than a page of ours."""
ARGUMENTS = ["--no-sandbox", "--enable-unsafe-swiftshader", f"--disable-features={PLAYWRIGHTS},{CHROME}"]

MakeLab = Callable[..., Awaitable[Lab]]
shared_loop = pytest_asyncio.fixture(loop_scope="session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


class Chromium:
    """The one that runs, or another when it died."""

    def __init__(self, playwright: Playwright) -> None:
        self._playwright = playwright
        self._browser: Browser | None = None

    async def running(self) -> Browser:
        if self._browser is None or not self._browser.is_connected():
            path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
            self._browser = await self._playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        return self._browser

    async def close(self) -> None:
        if self._browser is not None:
            await self._browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Chromium]:
    async with async_playwright() as playwright:
        made = Chromium(playwright)
        yield made
        await made.close()


@shared_loop
async def browser(chromium: Chromium) -> AsyncIterator[Browser]:
    running = await chromium.running()
    yield running
    for context in running.contexts:  # what a test left that failed
        await context.close()


@shared_loop
async def store() -> AsyncIterator[Store]:
    async with Database.connected(os.environ["DATABASE_URL"]) as database:
        yield Store.over(database)


@shared_loop
async def lxd() -> AsyncIterator[Lxd]:
    client = Lxd(Address(os.environ["LXD_URL"]), os.environ["LXD_PROJECT"])
    yield client
    client.close()


@shared_loop
async def make_user(store: Store) -> AsyncIterator[Callable[..., Any]]:
    async with people(store) as make:
        yield make


@shared_loop
async def student(server: Server, make_user: Callable[..., Any]) -> User:
    person: User = await make_user(server.url)
    return person


@shared_loop
async def make_lab(
    browser: Browser, make_user: object, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[MakeLab]:
    """Opens pages: each in a context of its own, or beside another one (`beside=lab`) with its cookies.

    After make_user, so that the pages are closed before their people are deleted.
    """
    made: list[Lab] = []

    async def make(url: str, *, beside: Lab | None = None, **options: Any) -> Lab:
        context = beside.page.context if beside else await browser.new_context(**options)
        lab = Lab(await context.new_page(), url)
        await lab.prepare()
        made.append(lab)
        return lab

    yield make
    for number, lab in enumerate(made):
        if request.node.stash.get(FAILED, False):
            await lab.page.screenshot(path=tmp_path / f"page-{number}.png")
            print(f"page {number}: {lab.page.url} {tmp_path}/page-{number}.png")
    problems = [problem for lab in made for problem in lab.problems]
    for context in {lab.page.context for lab in made}:
        await context.close()
    assert not problems, "\n".join(problems)


@shared_loop
async def lab(make_lab: MakeLab, server: Server, student: User) -> Lab:
    """A page whose person has signed in by the form and sees My lessons."""
    found = await make_lab(server.url)
    await found.sign_in(student.email)
    return found
