"""How long the lab is kept, as its student and a teacher see it: a quiet line, warnings, and Extend."""

import re
from typing import Any

import pytest
from playwright.async_api import Locator, expect

from terminals.store import Store
from tests.browser.conftest import MakeLab
from tests.browser.lab import Lab
from tests.browser.test_accessibility import LOOKS, NAMES, clean
from tests.browser.test_raising import SIDEWAYS, said
from tests.client import User
from tests.conftest import Server
from tests.e2e.test_main_job import MakeUser

SOON = 30_000
LOOK_AGAIN = "() => void dispatchEvent(new Event('focus'))"


def left(lab: Lab) -> Locator:
    return lab.page.locator(".header .time-left")


def bar(lab: Lab) -> Locator:
    return lab.page.locator(".bars-lab .bar")


async def ends_in(lab: Lab, store: Store, interval: str) -> None:
    """The lab's deadline is so far away, and the page has heard of it."""
    await change(lab, store, f"deadline = now() + interval '{interval}'")


async def change(lab: Lab, store: Store, what: str) -> None:
    await store.database.run(f"UPDATE sessions SET {what} WHERE id = $1", lab.session)
    async with lab.page.expect_response(re.compile(f"/api/sessions/{lab.session}$")):
        await lab.page.evaluate(LOOK_AGAIN)


@pytest.mark.parametrize("look", LOOKS, ids=NAMES)
async def test_the_end_is_told_at_15_5_and_1_minutes_and_put_off_by_one_click(
    make_lab: MakeLab, server: Server, student: User, store: Store, look: dict[str, Any]
) -> None:
    lab = await make_lab(server.url, **look)
    await lab.sign_in(student.email)
    await lab.start()
    await expect(left(lab)).to_have_text(re.compile(r"^4:00( left)?$"))
    await ends_in(lab, store, "15 minutes 6 seconds")
    await expect(left(lab)).to_have_text(re.compile(r"^0:16"))
    await expect(bar(lab)).to_have_count(0)
    await expect(bar(lab)).to_contain_text("This lab ends in 15 minutes", timeout=SOON)
    await said(lab, re.compile("This lab ends in 15 minutes"))
    await clean(lab, "ends in 15 minutes")
    assert not await lab.page.evaluate(SIDEWAYS)
    await bar(lab).get_by_role("button", name="Not now").click()
    await expect(bar(lab)).to_have_count(0)
    await ends_in(lab, store, "5 minutes 6 seconds")
    await expect(bar(lab)).to_have_count(0)
    await expect(bar(lab)).to_contain_text("This lab ends in 5 minutes", timeout=SOON)
    await said(lab, re.compile("This lab ends in 5 minutes"))
    await expect(bar(lab)).to_have_class(re.compile("bar-warn"))
    await ends_in(lab, store, "62 seconds")
    await expect(bar(lab)).to_contain_text(re.compile(r"This lab ends in (60|5\d) seconds"), timeout=SOON)
    await said(lab, re.compile(r"This lab ends in (60|5\d) seconds"))
    await clean(lab, "ends in a minute")
    await bar(lab).get_by_role("button", name="Extend").click()
    await expect(bar(lab)).to_have_count(0)
    await said(lab, re.compile("^Extended: 61 minutes left.$"))
    await expect(left(lab)).to_have_text(re.compile(r"^1:01"))
    extended = await store.database.value("SELECT extended FROM sessions WHERE id = $1", lab.session)
    assert extended == 1
    # What is typed goes on into the terminal.
    await lab.type("echo still\n")
    await lab.row("^still$")


async def test_a_lab_is_extended_from_the_header_until_it_can_not_be(lab: Lab, store: Store) -> None:
    await lab.start("tiny-system")
    await lab.page.get_by_role("button", name="Extend the lab").click()
    await expect(left(lab)).to_have_text("5:00 left")
    await change(lab, store, "live_at = now() - interval '23:50', deadline = now() + interval '10 minutes'")
    await expect(bar(lab)).to_contain_text("It can't be extended any further")
    await expect(lab.page.get_by_role("button", name="Extend")).to_have_count(0)
    await bar(lab).get_by_role("button", name="OK").click()
    await expect(bar(lab)).to_have_count(0)
    await change(lab, store, "deadline = now()")
    await lab.page.get_by_role("heading", name="The lab has ended: its time was over").wait_for(timeout=40_000)


async def test_who_uses_no_terminal_is_asked_before_the_lab_goes_to_sleep(lab: Lab, store: Store) -> None:
    await lab.start("tiny-system")
    await change(lab, store, "active_at = now() - interval '20 minutes'")
    await expect(left(lab)).to_be_visible()
    await expect(bar(lab)).to_have_count(0)  # its terminal is open
    await lab.press("Control+Shift+X")
    await expect(lab.page.get_by_role("tab")).to_have_count(0)
    await change(lab, store, "active_at = now() - interval '20 minutes'")
    await expect(bar(lab)).to_contain_text("Still here? Nobody uses this lab: in 10 minutes it is put to sleep")
    await said(lab, re.compile("Still here?"))
    await clean(lab, "idle")
    await bar(lab).get_by_role("button", name="Extend").click()
    await expect(bar(lab)).to_have_count(0)
    await said(lab, "The lab stays.")
    await expect(left(lab)).to_have_text("4:00 left")
    await change(lab, store, "rest = 'stopped', rested_at = now() - interval '149 minutes 30 seconds'")
    await expect(bar(lab)).to_contain_text(re.compile(r"in (30|2\d) seconds it ends, and everything in it is deleted"))


@pytest.mark.parametrize("look", LOOKS, ids=NAMES)
async def test_a_teacher_sees_what_sleeps_and_how_long_it_is_kept_and_extends_it(
    make_lab: MakeLab, server: Server, make_user: MakeUser, store: Store, look: dict[str, Any]
) -> None:
    ana, teacher = await make_user(server.url, name="Ana"), await make_user(server.url, role="instructor")
    session = await ana.start("tiny-system")
    await store.database.run("UPDATE sessions SET rest = 'asleep', rested_at = now() WHERE id = $1", session)
    board = await make_lab(server.url, **look)
    await board.sign_in(teacher.email)
    await board.open("/courses/linux-basics")
    row = board.page.locator("tr", has_text="Ana")
    await expect(row).to_contain_text("asleep")
    await expect(row).to_contain_text(re.compile(r"[34]:\d\d"))
    await clean(board, "asleep")
    assert not await board.page.evaluate(SIDEWAYS)
    await row.get_by_role("button", name="Extend Ana's lab by an hour").click()
    await said(board, "Ana's lab ends an hour later.")
    await expect(row).to_contain_text(re.compile(r"(5:00|4:59)"))
    await board.open("/courses/linux-basics/help")
    await expect(board.page.locator("tr[data-act]", has_text="Ana").first).to_contain_text("extended")
    await clean(board, "account")
