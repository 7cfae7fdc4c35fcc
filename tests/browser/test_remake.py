"""Restart, reset and restore in the page: explained, asked about, and the student is never left without a terminal or a word."""

import pytest
from playwright.async_api import expect

from tests.browser.lab import Lab
from tests.browser.test_accessibility import clean
from tests.browser.test_watch import house, pair, room

__all__ = ["house", "pair", "room"]


async def sure(lab: Lab, action: str) -> None:
    await lab.page.get_by_role("dialog").get_by_role("button", name=action).click()


async def test_a_restart_is_explained_and_ends_in_a_new_terminal_with_the_same_files(lab: Lab) -> None:
    await lab.start()
    await lab.run("echo precious > mine; (sleep 1000 &)")
    await lab.menu("Restart the container")
    dialog = lab.page.get_by_role("dialog")
    await expect(dialog).to_contain_text("What is lost")
    await expect(dialog).to_contain_text("All your files")
    await expect(dialog).to_contain_text("reload it with the browser")
    await expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    await clean(lab, "asked about a restart")
    await sure(lab, "Cancel")
    assert await lab.run("pgrep -xf 'sleep 1000' | wc -l") == "1"
    await lab.menu("Restart the container")
    await sure(lab, "Restart")
    await lab.page.get_by_text("Restarting your container").first.wait_for()
    await lab.prompt(60_000)
    assert await lab.run("cat mine; pgrep -xf 'sleep 1000' | wc -l") == "precious\n0"
    await expect(lab.page.get_by_role("tab")).to_have_count(1)


async def test_a_reset_leads_to_a_fresh_lab_and_restore_back(lab: Lab) -> None:
    await lab.start()
    first = lab.session
    await lab.run("echo precious > mine")
    menu = lab.page.locator(".menu")
    await lab.page.get_by_role("button", name="Menu").click()
    await expect(menu).to_contain_text("Back to the lesson's start")
    await expect(menu.get_by_role("button", name="Restore earlier files")).to_have_count(0)
    await lab.press("Escape")
    await lab.menu("Reset the lab")
    await clean(lab, "asked about a reset")
    await sure(lab, "Reset")
    await lab.page.wait_for_url(lambda url: first not in url, wait_until="commit")
    await lab.prompt(60_000)
    notice = lab.page.locator("[data-notice]")
    await expect(notice).to_contain_text("kept for a week")
    await clean(lab, "after a reset")
    assert await lab.run("ls") == ""
    await notice.get_by_role("button", name="OK").click()
    await expect(notice).to_have_count(0)
    await lab.page.get_by_role("button", name="Menu").click()
    await expect(menu).to_contain_text("From before the reset of")
    await clean(lab, "the menu with something to restore")
    await lab.press("Escape")
    second = lab.session
    await lab.menu("Restore earlier files")
    await sure(lab, "Restore")
    await lab.page.wait_for_url(lambda url: second not in url, wait_until="commit")
    await lab.prompt(60_000)
    await expect(notice).to_contain_text("Your files are back")
    assert await lab.run("cat mine") == "precious"


async def test_what_a_teacher_does_is_asked_about_told_to_the_student_and_written_down(pair: tuple[Lab, Lab]) -> None:
    lab, board = pair
    await lab.run("echo precious > mine")
    first = lab.session
    await board.page.get_by_role("link", name="Live terminals").click()
    await board.page.get_by_role("button", name="Reset Ana's lab").click()
    await expect(board.page.get_by_role("dialog")).to_contain_text("written down")
    await clean(board, "asked about a student's reset")
    await sure(board, "Reset")
    await lab.page.wait_for_url(lambda url: first not in url, wait_until="commit")
    await lab.prompt(60_000)
    await expect(lab.page.locator("[data-notice]")).to_contain_text("Ms Rivera has reset this lab for you")
    await expect(board.page.get_by_role("button", name="Restart Ana's container")).not_to_have_attribute(
        "aria-disabled", "true"
    )
    await board.page.get_by_role("button", name="Restart Ana's container").click()
    await sure(board, "Restart")
    await lab.page.get_by_text("Ms Rivera restarts your container").wait_for()
    await lab.prompt(60_000)
    await board.page.get_by_role("button", name="End Ana's lab", exact=True).click()
    await sure(board, "End the lab")
    await lab.page.get_by_role("heading", name="Ms Rivera has ended the lab").wait_for()
    await clean(lab, "ended by a teacher")
    await board.page.get_by_role("link", name="Watching and typing").click()
    rows = board.page.locator("tr[data-act]")
    for number, act in enumerate(("ended", "restarted", "reset")):
        await expect(rows.nth(number)).to_contain_text(act)
        await expect(rows.nth(number)).to_contain_text("Ms Rivera")
    await clean(board, "the account of what was done")


@pytest.mark.parametrize("verb", ["Reset", "Restart"])
async def test_another_page_of_the_same_student_follows(lab: Lab, make_lab: object, verb: str) -> None:
    await lab.start("tiny-system")
    first = lab.session
    beside = await make_lab(lab.url, beside=lab)  # type: ignore[operator]
    await beside.open(f"/sessions/{first}")
    await beside.prompt()
    await lab.menu(verb)
    await sure(lab, verb)
    if verb == "Reset":
        await beside.page.wait_for_url(lambda url: first not in url, wait_until="commit")
        await beside.page.locator("[data-notice]").wait_for()
    else:
        await beside.page.get_by_text("Restarting your container").first.wait_for()
    # Whichever page came last drives the new terminal.
    await beside.page.wait_for_function(
        "() => ['live', 'elsewhere'].includes(document.documentElement.dataset.terminalState)"
    )
