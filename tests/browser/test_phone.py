"""On a phone: the row of keys, Ctrl and Alt that stick, swipes, and nothing behind the soft keyboard."""

from playwright.async_api import CDPSession, expect

from tests.browser.conftest import MakeLab, shared_loop
from tests.browser.lab import Lab
from tests.client import User
from tests.conftest import Server

PHONE = {"viewport": {"width": 390, "height": 780}, "has_touch": True, "is_mobile": True, "device_scale_factor": 3}


@shared_loop
async def phone(make_lab: MakeLab, server: Server, student: User) -> Lab:
    lab = await make_lab(server.url, **PHONE)
    await lab.sign_in(student.email)
    await lab.start()
    return lab


async def tap(lab: Lab, key: str) -> None:
    await lab.page.get_by_role("toolbar").get_by_role("button", name=key, exact=True).tap()


async def stroke(touch: CDPSession, start: tuple[int, int], stop: tuple[int, int]) -> None:
    """One finger from here to there, quickly."""
    await touch.send(
        "Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": start[0], "y": start[1]}]}
    )
    for step in range(1, 9):
        x, y = (start[axis] + (stop[axis] - start[axis]) * step / 8 for axis in (0, 1))
        await touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": x, "y": y}]})
    await touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


async def test_the_key_row_types_what_soft_keyboards_lack(phone: Lab) -> None:
    await phone.page.locator(".terminal-host").tap()
    await phone.type("cat\n")
    await expect(phone.page.get_by_role("tab")).to_contain_text("cat")
    await tap(phone, "Ctrl")
    await expect(phone.page.locator(".key-once")).to_have_text("Ctrl")
    await phone.type("c")
    await phone.row(r"\^C$")
    await phone.prompt()
    await expect(phone.page.locator(".xterm-helper-textarea")).to_be_focused()
    await tap(phone, "Up")
    await phone.row(r"\$ cat$")
    await tap(phone, "Ctrl")
    await phone.type("u")
    await phone.type("echo /etc/host")
    await tap(phone, "Tab")
    await phone.type("name\n")
    await phone.row("^/etc/hostname$")


async def test_alt_sticks_and_ctrl_locks(phone: Lab) -> None:
    await phone.page.locator(".terminal-host").tap()
    await phone.type("echo one two three")
    await tap(phone, "Alt")
    await phone.type("b")
    await tap(phone, "Ctrl")
    await phone.page.get_by_role("toolbar").get_by_role("button", name="Ctrl, for the next key").tap()
    await phone.type("kw")
    await phone.page.get_by_role("toolbar").get_by_role("button", name="Ctrl, locked").tap()
    await phone.type("\n")
    await phone.row("^one$")


async def test_a_swipe_changes_between_lesson_and_terminal(phone: Lab) -> None:
    touch = await phone.page.context.new_cdp_session(phone.page)
    lesson, terminal = phone.page.locator("#pane-lesson"), phone.page.locator("#pane-terminal")
    await expect(lesson).to_be_hidden()
    await stroke(touch, (60, 400), (330, 410))
    await expect(lesson).to_be_visible()
    await expect(terminal).to_be_hidden()
    # Up and down is reading, not changing.
    await stroke(touch, (200, 600), (230, 300))
    await expect(lesson).to_be_visible()
    await stroke(touch, (330, 400), (60, 410))
    await expect(terminal).to_be_visible()
    await phone.page.get_by_role("button", name="Lesson", exact=True).tap()
    await phone.page.get_by_role("button", name="Run").first.tap()
    await expect(terminal).to_be_visible()
    await phone.row("^student$")


async def test_a_finger_scrolls_the_terminal(phone: Lab) -> None:
    await phone.page.locator(".terminal-host").tap()
    await phone.type("seq 300\n")
    await phone.row("^300$")
    bottom: int = await phone.page.evaluate("() => window.educenterTerminal.buffer.active.viewportY")
    touch = await phone.page.context.new_cdp_session(phone.page)
    await stroke(touch, (200, 200), (200, 600))
    await phone.page.wait_for_function("(y) => window.educenterTerminal.buffer.active.viewportY < y - 5", arg=bottom)


async def test_the_prompt_stays_above_a_soft_keyboard(phone: Lab) -> None:
    await phone.page.locator(".terminal-host").tap()
    await phone.type("seq 300\n")
    await phone.row("^300$")
    rows: int = await phone.page.evaluate("() => window.educenterTerminal.rows")
    # The keyboard takes its part of the viewport.
    await phone.page.set_viewport_size({"width": 390, "height": 430})
    await phone.page.wait_for_function("(rows) => window.educenterTerminal.rows < rows", arg=rows)
    await phone.prompt()
    keys = await phone.page.get_by_role("toolbar").bounding_box()
    assert keys is not None
    assert keys["y"] + keys["height"] <= 430
    cursor = "() => { const b = window.educenterTerminal.buffer.active; return b.baseY - b.viewportY; }"
    assert await phone.page.evaluate(cursor) == 0, "the end is in view"
    # iPhones only move the page under the keyboard: there the visual viewport tells.
    await phone.page.evaluate(
        """() => {
          Object.defineProperty(visualViewport, "height", { value: 300, configurable: true });
          visualViewport.dispatchEvent(new Event("resize"));
        }"""
    )
    lab = await phone.page.locator(".lab").bounding_box()
    assert lab is not None
    assert lab["height"] == 300


async def test_a_tapped_link_is_asked_about(phone: Lab) -> None:
    await phone.page.locator(".terminal-host").tap()
    await phone.type("clear; echo https://example.test/a\n")
    await phone.row("^https://example.test/a$")
    await phone.prompt()
    screen = await phone.page.locator(".xterm-screen").bounding_box()
    assert screen is not None
    for _ in range(2):
        # The first tap lets the link be found, as hovering does with a mouse.
        await phone.page.touchscreen.tap(screen["x"] + 40, screen["y"] + 10)
        await phone.page.wait_for_timeout(300)
    dialog = phone.page.get_by_role("dialog")
    await expect(dialog).to_contain_text("https://example.test/a")
    await dialog.get_by_role("button", name="Cancel").tap()
    await expect(dialog).to_have_count(0)
    assert len(phone.page.context.pages) == 1


async def test_a_flick_along_the_keys_moves_only_them(phone: Lab) -> None:
    touch = await phone.page.context.new_cdp_session(phone.page)
    keys = await phone.page.get_by_role("toolbar").bounding_box()
    assert keys is not None
    middle = int(keys["y"] + keys["height"] / 2)
    await stroke(touch, (330, middle), (60, middle))
    await stroke(touch, (60, middle), (330, middle))
    await phone.page.wait_for_timeout(300)
    await expect(phone.page.locator("#pane-terminal")).to_be_visible()
    await expect(phone.page.locator("#pane-lesson")).to_be_hidden()
