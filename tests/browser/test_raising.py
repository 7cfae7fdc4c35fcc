"""Raised hands in two windows: the student asks, a teacher comes, and both see what the other does."""

import re
from typing import Any

import pytest
from playwright.async_api import Locator, expect

from tests.browser.conftest import MakeLab
from tests.browser.lab import Lab
from tests.browser.test_accessibility import LOOKS, NAMES, clean
from tests.client import User
from tests.conftest import Server
from tests.e2e.test_main_job import MakeUser

SIDEWAYS = "() => document.documentElement.scrollWidth > innerWidth"


def help_button(lab: Lab) -> Locator:
    return lab.page.get_by_role("button", name="Help: raise your hand")


def standing(lab: Lab) -> Locator:
    return lab.page.locator(".hand-standing")


async def said(lab: Lab, words: str | re.Pattern[str]) -> None:
    """A screen reader hears this."""
    await expect(lab.page.locator("body > .voice")).to_have_text(words)


@pytest.mark.parametrize("look", LOOKS, ids=NAMES)
async def test_a_teacher_comes_to_a_raised_hand_and_both_see_it(
    make_lab: MakeLab, server: Server, make_user: MakeUser, look: dict[str, Any]
) -> None:
    student, teacher = (
        await make_user(server.url, name="Ana"),
        await make_user(server.url, role="instructor", name="Ms Rivera"),
    )
    lab, board = await make_lab(server.url, **look), await make_lab(server.url, **look)
    await lab.sign_in(student.email)
    await lab.start()
    await board.sign_in(teacher.email)
    await board.page.get_by_role("link", name="Live terminals").click()
    await board.page.get_by_role("rowheader", name="Ana").wait_for()
    await expect(board.page.get_by_role("heading", name="Hands")).to_have_count(0)

    await help_button(lab).click()
    await expect(standing(lab)).to_contain_text(re.compile(r"Hand raised(,| ·) (next|\d+(st|nd|rd|th)) in line"))
    await said(lab, re.compile("^Hand raised, .* in line$"))
    await clean(lab, "hand raised")
    assert not await lab.page.evaluate(SIDEWAYS)
    hand = board.page.get_by_role("listitem").filter(has_text="Ana")
    await expect(hand).to_contain_text("First steps in a shell")
    await expect(hand).to_contain_text("second")
    await said(board, re.compile("raised"))
    await expect(board.page.get_by_role("rowheader", name="Ana").get_by_label("hand raised")).to_be_visible()
    await clean(board, "hands")
    assert not await board.page.evaluate(SIDEWAYS)

    await hand.get_by_role("button", name="Claim Ana's hand").focus()
    await board.press("Enter")
    await expect(hand.get_by_role("link", name="Watch Ana")).to_be_focused()
    await expect(standing(lab)).to_contain_text("Ms Rivera is coming")
    await said(lab, "Ms Rivera is coming")
    await clean(lab, "hand claimed")
    assert not await lab.page.evaluate(SIDEWAYS)
    await clean(board, "hand claimed")
    await board.press("Enter")
    await board.until_state("live")
    await expect(board.page.get_by_role("heading", level=1)).to_contain_text("First steps in a shell")
    await board.page.get_by_role("link", name="Live terminals").click()

    await hand.get_by_role("button", name="Done: Ana has been helped").click()
    await expect(board.page.get_by_role("heading", name="Hands")).to_have_count(0)
    await expect(help_button(lab)).to_be_visible()
    await said(lab, "Your hand is down.")


async def test_a_hand_goes_up_and_down_by_keyboard_and_menu(lab: Lab) -> None:
    await lab.start()
    await lab.type("echo still-")
    await lab.press("Control+Shift+H")
    await expect(standing(lab)).to_contain_text("Hand raised")
    await lab.type("typing\n")
    await lab.row("^still-typing$")
    await lab.press("Control+Shift+H")
    await expect(help_button(lab)).to_be_visible()
    await lab.menu("Raise your hand")
    await expect(standing(lab)).to_contain_text("Hand raised")
    await lab.page.reload()
    await lab.prompt()
    await expect(standing(lab)).to_contain_text("Hand raised")
    # The button keeps the focus, from one state to the other.
    await lab.page.get_by_role("button", name="Lower hand").focus()
    await lab.press("Enter")
    await expect(help_button(lab)).to_be_focused()
    await lab.press("Control+Shift+F1")
    await expect(lab.page.get_by_role("dialog")).to_contain_text("Raise or lower your hand")
    await lab.press("Escape")
    # With the mouse, the terminal keeps it.
    await lab.page.locator(".terminal-host").click()
    await help_button(lab).click()
    await expect(standing(lab)).to_contain_text("Hand raised")
    await expect(lab.page.locator(".xterm-helper-textarea")).to_be_focused()


async def test_a_teacher_who_comes_second_is_told_who_was_first(
    make_lab: MakeLab, server: Server, make_user: MakeUser, student: User
) -> None:
    session = await student.start("tiny-system")
    first: User = await make_user(server.url, role="instructor", name="Ms Rivera")
    second = await make_user(server.url, role="instructor", name="Mr Okafor")
    await student.call("POST", f"/api/sessions/{session}/hand", {}, 201)
    board = await make_lab(server.url)
    board.forgive("409")
    await board.sign_in(second.email)
    await board.open("/courses/linux-basics")
    claim = board.page.get_by_role("button", name="Claim Test Person's hand")
    await claim.wait_for()
    # The page doesn't hear of it: its next question waits until it has claimed.
    await board.page.route("**/live", lambda route: route.abort())
    board.forgive("ERR_FAILED")
    [hand] = [
        each
        for each in (await first.call("GET", "/api/courses/linux-basics/live"))["hands"]
        if each["session"] == session
    ]
    await first.call("POST", f"/api/hands/{hand['id']}/claim")
    await claim.click()
    await said(board, "Ms Rivera has claimed this hand already.")
    await board.page.unroute("**/live")
    await expect(board.page.get_by_role("listitem")).to_contain_text("Claimed by Ms Rivera", timeout=10_000)
    await expect(claim).to_have_count(0)
