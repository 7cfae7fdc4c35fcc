"""Everybody can use it: axe-core on every page and state, a whole lab by keyboard, a terminal that is read out as text."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from terminals.store import Store
from terminals.store.lessons import Text, Wants
from tests.browser.conftest import MakeLab
from tests.browser.lab import Lab
from tests.client import PASSWORD, User
from tests.conftest import ROOT, Server
from tests.e2e.test_main_job import MakeUser

AXE = ROOT / "static/node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
VIOLATIONS = """async (rules) => {
  const found = await axe.run(document, { runOnly: rules, resultTypes: ["violations"] });
  const places = (rule) => rule.nodes.map((node) => `\\n  ${node.target} ${node.failureSummary}`).join("");
  return found.violations.map((rule) => `${rule.id}: ${rule.help}${places(rule)}`);
}"""
LOOKS: list[dict[str, Any]] = [
    {"color_scheme": "light"},
    {"color_scheme": "dark"},
    {"color_scheme": "light", "viewport": {"width": 390, "height": 780}, "has_touch": True, "is_mobile": True},
]
NAMES = ["light", "dark", "phone"]


async def clean(lab: Lab, state: str) -> None:
    """axe has nothing to say about the page as it is now. It comes by the debugger, past the content policy."""
    await lab.page.evaluate(AXE.read_text())
    found = await lab.page.evaluate(VIOLATIONS, RULES)
    assert not found, f"{state}:\n" + "\n".join(found)


@pytest.mark.parametrize("look", LOOKS, ids=NAMES)
async def test_sign_in_and_lessons_are_clean(
    make_lab: MakeLab, server: Server, make_user: MakeUser, look: dict[str, Any]
) -> None:
    student, nobody = await make_user(server.url), await make_user(server.url, role=None)
    lab = await make_lab(server.url, **look)
    lab.forgive("401")
    await lab.open("/signin")
    await clean(lab, "sign in")
    await lab.press("Enter")
    await clean(lab, "sign in, empty")
    await lab.fill(student.email, "wrong")
    await lab.page.get_by_text("don't match").wait_for()
    await clean(lab, "sign in, refused")
    await lab.sign_in(student.email)
    await lab.page.locator(".lesson").first.wait_for()
    await clean(lab, "lessons")
    lab.forgive("404")
    await lab.page.get_by_label("Course code").fill("nothing")
    await lab.press("Enter")
    await lab.page.get_by_text("No course has this code").wait_for()
    await clean(lab, "unknown code")
    await lab.open("/sessions/aaaaaaaaaaaaaaaaaaaa")
    await lab.page.get_by_role("heading", name="There is nothing here").wait_for()
    await clean(lab, "error page")
    empty = await make_lab(server.url, **look)
    await empty.sign_in(nobody.email)
    await empty.page.get_by_text("No lessons yet").wait_for()
    await clean(empty, "no lessons")


@pytest.mark.parametrize("look", LOOKS, ids=NAMES)
async def test_the_lab_is_clean_in_every_state(
    make_lab: MakeLab, server: Server, make_user: MakeUser, look: dict[str, Any]
) -> None:
    student = await make_user(server.url)
    lab = await make_lab(server.url, **look)
    await lab.sign_in(student.email)
    await lab.start()
    await clean(lab, "live")
    steps: list[tuple[str, Callable[[], Awaitable[None]]]] = [
        ("menu", lambda: lab.press("Control+Shift+M")),
        ("search", lambda: lab.press("Control+Shift+F")),
        ("rename", lambda: lab.press("Control+Shift+F2")),
        ("keys", lambda: lab.press("Control+Shift+F1")),
        ("output", lambda: lab.press("Control+Shift+O")),
    ]
    for name, step in steps:
        await step()
        await lab.page.wait_for_timeout(200)
        await clean(lab, name)
        await lab.press("Escape")
    if "has_touch" in look:
        await lab.page.get_by_role("button", name="Lesson", exact=True).click()
        await lab.page.locator("#pane-lesson").wait_for()
        await clean(lab, "lesson")
        await lab.page.get_by_role("button", name="Terminal", exact=True).click()
    second = await make_lab(server.url, beside=lab)
    await second.open(f"/sessions/{lab.session}")
    await second.prompt()
    await lab.until_state("elsewhere")
    await clean(lab, "elsewhere")
    await lab.page.get_by_role("button", name="Continue here").click()
    await lab.until_state("live")
    await lab.type("exit 3\n")
    await lab.until_state("exited")
    await clean(lab, "exited")
    await lab.menu("End the lab")
    await clean(lab, "end?")
    await lab.page.get_by_role("dialog").get_by_role("button", name="End the lab").click()
    await lab.page.locator('[data-view="ended"]').wait_for()
    await clean(lab, "ended")


@pytest.mark.parametrize("look", LOOKS, ids=NAMES)
async def test_failures_and_the_teachers_page_are_clean(
    make_lab: MakeLab, server: Server, make_user: MakeUser, store: Store, look: dict[str, Any]
) -> None:
    student, teacher = await make_user(server.url, name="Ana"), await make_user(server.url, role="instructor")
    await store.lessons.put("no-image", "linux-basics", 90, Text("No image", 10), Wants(image="does-not-exist"))
    lab = await make_lab(server.url, **look)
    await lab.sign_in(student.email)
    await lab.page.locator('[data-lesson="no-image"]').get_by_role("button", name="Start").click()
    await lab.page.locator('[data-view="failed"]').wait_for()
    await clean(lab, "failed")
    await student.start("tiny-system")
    board = await make_lab(server.url, **look)
    await board.sign_in(teacher.email)
    await clean(board, "a teacher's lessons")
    await board.page.get_by_role("link", name="Live terminals").click()
    await board.page.get_by_role("rowheader", name="Ana").wait_for()
    await clean(board, "live terminals")


async def test_a_whole_lab_by_keyboard_alone(make_lab: MakeLab, server: Server, student: User) -> None:
    lab = await make_lab(server.url)
    await lab.open("/signin")
    await lab.type(student.email)
    await lab.press("Tab")
    await lab.type(PASSWORD + "\n")
    await lab.page.get_by_role("heading", name="My lessons").wait_for()
    await lab.page.locator(".lesson").first.wait_for()
    await tab_to(lab, r"Start\b")
    await lab.press("Enter")
    await lab.prompt(60_000)
    await lab.type("echo by-keyboard\n")
    await lab.row("^by-keyboard$")
    # Out of the terminal, said aloud, and on with Tab.
    await lab.press("Control+Shift+Escape")
    await expect(lab.page.get_by_role("status").filter(has_text="Left the terminal")).to_have_count(1)
    await expect(lab.page.get_by_role("tab")).to_be_focused()
    await lab.press("F2")
    await lab.type("mine\n")
    await expect(lab.page.get_by_role("tab")).to_have_text("1 mine")
    await lab.press("Control+Shift+ArrowUp", "Enter")
    await expect(lab.page.locator(".xterm-helper-textarea")).to_be_focused()
    await lab.press("Control+Shift+ArrowDown")
    await expect(lab.page.locator("#pane-lesson")).to_be_focused()
    await tab_to(lab, "Run")
    await lab.press("Enter")
    await lab.row("^student$")
    await lab.press("Control+Shift+Enter")
    await expect(lab.page.get_by_role("tab")).to_have_count(2)
    await lab.prompt()
    await expect(lab.page.locator("[role=tab][data-running]")).to_have_count(0)
    await lab.press("Control+Shift+X")
    await expect(lab.page.get_by_role("tab")).to_have_count(1)
    await lab.press("Control+Shift+M")
    await lab.press("ArrowUp")
    await expect(lab.page.locator(".menu-danger", has_text="End the lab")).to_be_focused()
    await lab.press("Enter")
    await expect(lab.page.get_by_role("dialog")).to_contain_text("End this lab?")
    await lab.press("Escape")
    await expect(lab.page.locator(".xterm-helper-textarea")).to_be_focused()
    await lab.press("Control+Shift+M", "ArrowUp", "Enter", "Tab", "Enter")
    await lab.page.locator('[data-view="ended"]').wait_for()


async def tab_to(lab: Lab, name: str) -> None:
    """Presses Tab until the button of this name has the focus."""
    for _ in range(40):
        await lab.press("Tab")
        if re.match(name, await lab.page.evaluate("() => document.activeElement.textContent ?? ''")):
            return
    raise AssertionError(f"no Tab leads to {name}")


async def test_the_terminal_is_read_out_in_reader_mode(lab: Lab, tmp_path: Path) -> None:
    await lab.start()
    await lab.page.get_by_role("button", name="Menu").click()
    await lab.page.get_by_label("Screen reader mode").check()
    await lab.press("Escape")
    await lab.type("printf 'first line\\nsecond line\\n'\n")
    tree = lab.page.locator(".xterm-accessibility-tree")
    await expect(tree).to_contain_text("second line")
    rows = [row.strip() for row in await tree.get_by_role("listitem").all_inner_texts()]
    said = "\n".join(row for row in rows if row)
    (tmp_path / "read-out.txt").write_text(said)
    assert re.search(r"^first line\nsecond line\nstudent@lab:~\$$", said, re.MULTILINE), said
    # What is new is spoken by itself.
    live = lab.page.locator(".xterm-accessibility .live-region")
    await expect(live).to_contain_text("second line")


async def test_the_last_output_is_there_as_text(lab: Lab) -> None:
    await lab.start()
    await lab.type("seq 3\n")
    await lab.prompt()
    await lab.type("clear -x\n")
    await lab.prompt()
    await lab.type(f"echo {'long ' * 60}\n")
    await lab.prompt()
    await lab.press("Control+Shift+O")
    text = lab.page.get_by_role("region", name="Output as text")
    await expect(text).to_be_focused()
    assert await text.inner_text() == ("long " * 60).strip()
    await lab.page.get_by_role("button", name="Everything").click()
    await expect(text).to_contain_text("1\n2\n3")
    await lab.press("Escape")
    await lab.prompt()


async def test_nothing_moves_for_who_asks_for_less_motion(make_lab: MakeLab, server: Server, student: User) -> None:
    lab = await make_lab(server.url, reduced_motion="reduce")
    await lab.sign_in(student.email)
    await lab.start("tiny-system")
    assert await lab.page.evaluate("() => window.educenterTerminal.options.cursorBlink") is False
    durations = """() => [...document.querySelectorAll("*")]
      .map((element) => getComputedStyle(element).transitionDuration).filter((duration) => duration !== "0s")"""
    assert await lab.page.evaluate(durations) == []


async def test_two_hundred_percent_loses_nothing(make_lab: MakeLab, server: Server, student: User) -> None:
    # Zoom is a viewport of half the size: 1280 × 800 becomes 640 × 400.
    lab = await make_lab(server.url, viewport={"width": 640, "height": 400}, device_scale_factor=2)
    await lab.sign_in(student.email)
    await lab.start()
    sideways = "() => document.documentElement.scrollWidth <= innerWidth"
    assert await lab.page.evaluate(sideways)
    await lab.page.get_by_role("button", name="Menu").click()
    box = await lab.page.locator(".menu").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["y"] + box["height"] <= 400
    await lab.page.locator(".menu").get_by_role("button", name="End the lab").scroll_into_view_if_needed()
    await lab.press("Escape")
    await lab.page.get_by_role("button", name="Lesson", exact=True).click()
    await expect(lab.page.get_by_role("button", name="Run").first).to_be_visible()
    assert await lab.page.evaluate(sideways)
