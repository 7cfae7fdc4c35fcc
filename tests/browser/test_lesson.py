"""The lesson beside the terminal: its text, its commands that run at a click, and the splitter between."""

import pytest
from playwright.async_api import Locator, expect

from tests.browser.conftest import MakeLab
from tests.browser.lab import Lab
from tests.client import User
from tests.conftest import Server


def block(lab: Lab, command: str) -> Locator:
    """The code block of the lesson that begins so."""
    return lab.page.locator(".code", has_text=command).first


async def test_the_lesson_stands_beside_the_terminal(lab: Lab) -> None:
    await lab.start()
    lesson = lab.page.get_by_role("complementary", name="Lesson")
    await expect(lesson.get_by_role("heading", level=2).first).to_be_visible()
    box, terminal = await lesson.bounding_box(), await lab.page.locator(".panels").bounding_box()
    assert box is not None
    assert terminal is not None
    assert box["x"] + box["width"] <= terminal["x"]
    await expect(lab.page.get_by_role("heading", level=1)).to_contain_text("First steps in a shell")


async def test_a_click_runs_the_lessons_command(lab: Lab) -> None:
    await lab.start()
    await lab.type("half a word")
    await block(lab, "pwd").get_by_role("button", name="Run").click()
    await lab.row("^/home/student$")
    await lab.prompt()
    assert not [row for row in await lab.rows() if "half a wordpwd" in row], "what stood there half-typed is gone"


async def test_a_command_is_never_sent_into_a_full_screen_program(lab: Lab) -> None:
    await lab.start()
    await lab.type("vim\n")
    await expect(lab.page.get_by_role("tab")).to_contain_text("vim")
    code = block(lab, "pwd")
    await code.get_by_role("button", name="Run").click()
    await expect(code).to_contain_text("vim fills the terminal")
    await lab.page.locator(".xterm-helper-textarea").focus()
    await lab.type(":echo mode() . line('$')\n")
    await lab.row("^n1 ")


async def test_a_command_beside_a_running_one_is_asked_about(lab: Lab) -> None:
    await lab.start()
    await lab.type("cat\n")
    await expect(lab.page.get_by_role("tab")).to_contain_text("cat")
    await block(lab, "pwd").get_by_role("button", name="Run").click()
    dialog = lab.page.get_by_role("dialog")
    await expect(dialog).to_contain_text("cat is still running")
    await dialog.get_by_role("button", name="Cancel").click()
    await lab.type("nothing came\n")
    await lab.row("^nothing came$")
    await block(lab, "pwd").get_by_role("button", name="Run").click()
    await dialog.get_by_role("button", name="Send it").click()
    await lab.row("^pwd$")


async def test_copy_puts_the_command_on_the_clipboard(lab: Lab) -> None:
    await lab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await lab.start()
    code = block(lab, "pwd")
    await code.get_by_role("button", name="Copy").click()
    await expect(code).to_contain_text("Copied.")
    assert await lab.page.evaluate("() => navigator.clipboard.readText()") == "pwd"


async def test_output_of_a_lesson_has_no_run_button(lab: Lab) -> None:
    await lab.start()
    shown = lab.page.locator(".code", has=lab.page.locator("code.language-text")).first
    await expect(shown.get_by_role("button", name="Copy")).to_be_visible()
    await expect(shown.get_by_role("button", name="Run")).to_have_count(0)


async def test_the_splitter_moves_by_keys_and_mouse_and_is_remembered(lab: Lab) -> None:
    await lab.start()
    splitter = lab.page.get_by_role("separator", name="Width of the lesson")
    columns = "() => window.educenterTerminal.cols"
    wide: int = await lab.page.evaluate(columns)
    await splitter.focus()
    await lab.press("End")
    await expect(splitter).to_have_attribute("aria-valuenow", "70")
    await lab.page.wait_for_function("(wide) => window.educenterTerminal.cols < wide - 10", arg=wide)
    box = await splitter.bounding_box()
    assert box is not None
    await lab.page.mouse.move(box["x"] + 4, box["y"] + 200)
    await lab.page.mouse.down()
    await lab.page.mouse.move(640, box["y"] + 200, steps=4)
    await lab.page.mouse.up()
    await expect(splitter).to_have_attribute("aria-valuenow", "50")
    await lab.page.reload()
    await lab.prompt()
    await expect(splitter).to_have_attribute("aria-valuenow", "50")
    size = await lab.run("tput cols")
    assert int(size) == await lab.page.evaluate(columns)


async def test_the_lesson_hides_and_comes_back(lab: Lab) -> None:
    await lab.start()
    lesson = lab.page.locator("#pane-lesson")
    await lab.press("Control+Shift+L")
    await expect(lesson).to_be_hidden()
    await lab.type("echo still-typing\n")
    await lab.row("^still-typing$")
    await lab.page.reload()
    await lab.prompt()
    await expect(lesson).to_be_hidden()
    await lab.press("Control+Shift+ArrowDown")
    await expect(lesson).to_be_focused()


@pytest.mark.parametrize("lesson", ["first-steps", "files", "administer", "tiny-system"])
async def test_every_command_of_the_demo_lessons_runs(
    make_lab: MakeLab, server: Server, student: User, lesson: str
) -> None:
    lab = await make_lab(server.url, viewport={"width": 1600, "height": 900})
    await lab.sign_in(student.email)
    await lab.start(lesson)
    buttons = lab.page.locator(".code").get_by_role("button", name="Run")
    count = await buttons.count()
    assert count >= 3
    for number in range(count):
        await buttons.nth(number).click()
        await lab.prompt(10_000)
    rows = await lab.rows()
    assert not [row for row in rows if "not found" in row or "No such file" in row], rows


async def test_the_lessons_width_changes_without_dragging(lab: Lab) -> None:
    await lab.start()
    splitter = lab.page.get_by_role("separator", name="Width of the lesson")
    await expect(splitter).to_have_attribute("aria-valuenow", "36")
    await lab.page.get_by_role("button", name="Menu").click()
    await lab.page.get_by_role("button", name="Wider lesson").click()
    await expect(splitter).to_have_attribute("aria-valuenow", "41")
    await lab.page.get_by_role("button", name="Narrower lesson").click()
    await lab.page.get_by_role("button", name="Narrower lesson").click()
    await expect(splitter).to_have_attribute("aria-valuenow", "31")
