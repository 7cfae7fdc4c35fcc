"""Chromium against a real server. A test that fails leaves a screenshot of each of its pages in its folder."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, async_playwright

from tests.browser.lab import Lab
from tests.client import User
from tests.conftest import Server

FAILED = pytest.StashKey[bool]()
ARGUMENTS = ["--no-sandbox", "--enable-unsafe-swiftshader"]

MakeLab = Callable[..., Awaitable[Lab]]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[Any]:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=ARGUMENTS
        )
        yield chromium
        await chromium.close()


@pytest.fixture
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


@pytest.fixture
async def lab(make_lab: MakeLab, server: Server, student: User) -> Lab:
    """A page whose person has signed in by the form and sees My lessons."""
    found = await make_lab(server.url)
    await found.sign_in(student.email)
    return found
