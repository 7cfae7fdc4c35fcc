"""Helping in two windows: the teacher asks to type, the student allows it, sees it and ends it, and it is accounted for."""

import re

from playwright.async_api import expect

from tests.browser.lab import Lab
from tests.browser.test_accessibility import clean
from tests.browser.test_watch import house, pair, room, watch

__all__ = ["house", "pair", "room"]


async def test_a_teacher_asks_types_and_stops_and_the_student_sees_all_of_it(pair: tuple[Lab, Lab]) -> None:
    lab, board = pair
    await lab.run("true")
    await watch(board)
    await board.page.get_by_role("button", name="Ask to type").click()
    note = board.page.locator(".watch-note")
    await expect(note).to_contain_text("Waiting for Ana")
    asks = lab.page.locator(".bar", has_text="Ms Rivera asks to type here")
    await expect(asks).to_be_visible()
    # The question leaves the focus where it is: the student types on.
    await lab.type("echo still-mine\n")
    await lab.row("^still-mine$")
    await clean(lab, "asked by a teacher")
    await clean(board, "waiting for the student")
    await asks.get_by_role("button", name="Allow").click()
    await expect(note).to_contain_text("You can type")
    await expect(lab.page.locator(".watchers")).to_contain_text("Ms Rivera can type")
    size = await lab.page.evaluate("() => [educenterTerminal.cols, educenterTerminal.rows]")
    await board.type("echo typed-by-the-teacher\n")
    for one in pair:
        await one.row("^typed-by-the-teacher$")
    # Queries are answered by the student's page alone, however many pages may type.
    await board.type(
        "printf '\\e[6n'; IFS= read -rsd R -t 2 a; printf '\\e[6n'; IFS= read -rsd R -t 2 b; read -rsn1 -t 1 c; echo \"[$c]\"\n"
    )
    await lab.row(r"^\[\]$")
    assert size == await lab.page.evaluate("() => [educenterTerminal.cols, educenterTerminal.rows]")
    await clean(lab, "with a teacher who types")
    await clean(board, "typing")
    bar = lab.page.locator(".bar", has_text="Ms Rivera can type here")
    await bar.get_by_role("button", name="End").click()
    await expect(note).to_contain_text("Typing is over")
    await expect(bar).to_have_count(0)
    await board.type("echo too''-late\n")
    await lab.type("echo mine-again\n")
    await lab.row("^mine-again$")
    assert not [row for row in await lab.rows() if "too-late" in row]
    # The account says who, whom, when and how much, and never what.
    await board.page.get_by_role("link", name="Live terminals").click()
    await board.page.get_by_role("link", name="Watching and typing").click()
    row = board.page.locator("tr[data-audit]").first
    await expect(row).to_contain_text(re.compile(r"Ms Rivera\s*Ana.*bytes"))
    await expect(board.page.get_by_text("typed-by-the-teacher")).to_have_count(0)
    await clean(board, "the account")


async def test_a_student_says_no_and_the_course_may_say_so_for_all(pair: tuple[Lab, Lab]) -> None:
    lab, board = pair
    await watch(board)
    await board.page.get_by_role("button", name="Ask to type").click()
    await lab.page.get_by_role("button", name="Not now").click()
    note = board.page.locator(".watch-note")
    await expect(note).to_contain_text("Ana doesn't want help just now")
    # From another tab of the student's: the question says which terminal is meant.
    await lab.page.get_by_role("button", name="New terminal").click()
    await lab.prompt()
    await board.page.get_by_role("button", name="Ask to type").click()
    await expect(lab.page.locator(".bar", has_text="asks to type in terminal 1")).to_be_visible()
    await board.page.get_by_role("button", name="Cancel").click()
    await expect(lab.page.locator(".bar", has_text="asks to type")).to_have_count(0)
    await board.page.get_by_role("link", name="Live terminals").click()
    await board.page.get_by_role("link", name="Watching and typing").click()
    choice = board.page.get_by_label("Typing in them")
    try:
        await choice.select_option("off")
        await expect(choice).to_have_value("off")
        await board.page.go_back()
        await board.page.get_by_role("link", name="Watch Ana").first.click()
        await board.until_state("live")
        await board.page.get_by_role("button", name="Ask to type").click()
        await expect(note).to_contain_text("In this course nobody types")
    finally:
        await board.open("/courses/linux-basics/help")
        await choice.select_option("ask")
        await expect(choice).to_have_value("ask")
