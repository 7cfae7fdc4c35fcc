"""What the page does around the shell: find, copy and paste, titles, the bell, names, sizes, themes."""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import MakeLab
from tests.browser.lab import Lab
from tests.client import User
from tests.conftest import Server

CLIPBOARD = "() => navigator.clipboard.readText()"
SET_CLIPBOARD = "(text) => navigator.clipboard.writeText(text)"
FONT = "() => window.educenterTerminal.options.fontSize"


async def clipboard(lab: Lab) -> None:
    await lab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])


async def test_find_goes_through_the_scrollback_from_the_latest_match(lab: Lab) -> None:
    await lab.start("tiny-system")
    await lab.type("seq 1 2000\n")
    await lab.row("^2000$")
    await lab.press("Control+Shift+F")
    found = lab.page.locator(".search-found")
    await lab.type("199")
    await expect(found).to_have_text("12 of 12")
    await lab.press("Enter")
    await expect(found).to_have_text("11 of 12")
    await lab.page.get_by_role("button", name="Regular expression").click()
    await lab.page.get_by_label("Find in the terminal").fill("^1[0-9]$")
    await expect(found).to_have_text("10 of 10")
    await lab.page.get_by_label("Find in the terminal").fill("(")
    await expect(found).to_have_text("not a valid expression")
    await lab.press("Escape")
    await lab.type("echo back\n")
    await lab.row("^back$")


async def test_several_lines_are_asked_about_where_they_would_run_at_once(lab: Lab) -> None:
    await clipboard(lab)
    await lab.start()
    await lab.page.evaluate(SET_CLIPBOARD, "echo one\necho two\n")
    # The prompt knows bracketed paste: it may hold several lines without running them.
    await lab.press("Control+Shift+V")
    await lab.row("echo two")
    await lab.press("Control+C")
    await lab.prompt()
    await lab.type("cat\n")
    await expect(lab.page.get_by_role("tab")).to_contain_text("cat")
    await lab.press("Control+Shift+V")
    dialog = lab.page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Paste 2 lines?")
    await dialog.get_by_role("button", name="Cancel").click()
    await lab.type("nothing\n")
    await lab.row("^nothing$")
    await lab.press("Control+Shift+V")
    await dialog.get_by_role("button", name="Paste as one line").click()
    await lab.type("\n")
    await lab.row("^echo one echo two$")
    await lab.press("Control+Shift+V")
    await dialog.get_by_role("button", name="Paste", exact=True).click()
    await lab.row("^echo two$")


async def test_a_program_gets_to_the_clipboard_only_when_allowed(lab: Lab) -> None:
    await clipboard(lab)
    await lab.start()
    await lab.page.evaluate(SET_CLIPBOARD, "mine")
    offer = "printf '\\033]52;c;%s\\007' $(printf theirs | base64)\n"
    await lab.type(offer)
    bar = lab.page.locator(".bar")
    await expect(bar).to_contain_text("theirs")
    assert await lab.page.evaluate(CLIPBOARD) == "mine"
    await bar.get_by_role("button", name="Not now").click()
    await expect(bar).to_have_count(0)
    assert await lab.page.evaluate(CLIPBOARD) == "mine"
    await lab.type(offer)
    await bar.get_by_role("button", name="Copy it").click()
    assert await lab.page.evaluate(CLIPBOARD) == "theirs"
    # Reading it is never answered.
    assert await lab.run("printf '\\033]52;c;?\\007'; read -t 1 -n 1 -s; echo got${REPLY}nothing") == "gotnothing"


async def test_the_selection_is_copied_by_its_key_or_when_it_is_made(lab: Lab) -> None:
    await clipboard(lab)
    await lab.start()
    await lab.type("clear; echo selected-word\n")
    await lab.row("^selected-word$")
    # The shell's own Ctrl+C stays its own.
    screen = await lab.page.locator(".xterm-screen").bounding_box()
    assert screen is not None
    await lab.page.mouse.dblclick(screen["x"] + 30, screen["y"] + 10)
    await lab.press("Control+Shift+C")
    assert await lab.page.evaluate(CLIPBOARD) == "selected-word"
    await lab.page.evaluate(SET_CLIPBOARD, "other")
    await lab.press("Control+Shift+M")
    await lab.page.get_by_label("Copy what is selected").check()
    await lab.press("Escape")
    await lab.page.mouse.dblclick(screen["x"] + 30, screen["y"] + 10)
    await lab.page.wait_for_function("async () => await navigator.clipboard.readText() === 'selected-word'")


async def test_a_bell_in_another_tab_is_a_dot_until_it_is_seen(lab: Lab) -> None:
    await lab.start()
    await lab.type("sleep 2; printf '\\a'\n")
    await lab.press("Control+Shift+Enter")
    tabs = lab.page.get_by_role("tab")
    await expect(tabs).to_have_count(2)
    await expect(tabs.nth(0)).to_contain_text("rang the bell")
    assert (await lab.page.title()).startswith("● ")
    await tabs.nth(0).click()
    await expect(tabs.nth(0)).not_to_contain_text("rang the bell")


async def test_a_tab_keeps_the_name_it_was_given(lab: Lab, make_lab: MakeLab) -> None:
    await lab.start()
    await lab.press("Control+Shift+F2")
    await lab.type("build\n")
    tab = lab.page.get_by_role("tab")
    await expect(tab).to_have_text("1 build")
    beside = await make_lab(lab.url, beside=lab)
    await beside.open(f"/sessions/{lab.session}")
    await expect(beside.page.get_by_role("tab")).to_have_text("1 build")
    await lab.page.get_by_role("tab").dblclick()
    await lab.page.get_by_role("textbox", name="Name").fill("")
    await lab.press("Enter")
    await expect(tab).to_have_text("1 bash")


async def test_a_programs_title_is_a_tabs_hint_without_tricks(lab: Lab) -> None:
    await lab.start("tiny-system")
    await lab.type("printf '\\033]0;safe\\342\\200\\256txt.exe\\n\\007'\n")
    await expect(lab.page.get_by_role("tab")).to_have_attribute("title", "safe txt.exe")


async def test_text_size_and_theme_are_remembered(lab: Lab) -> None:
    await lab.start()
    size = await lab.page.evaluate(FONT)
    await lab.press("Control+Shift+Period", "Control+Shift+Period")
    assert await lab.page.evaluate(FONT) == size + 2
    columns = await lab.page.evaluate("() => window.educenterTerminal.cols")
    assert (await lab.run("stty size")).split()[1] == str(columns)
    await lab.press("Control+Shift+M")
    await lab.page.get_by_label("Terminal colours").select_option("contrast")
    await lab.page.get_by_role("button", name="Appearance").click(click_count=2, delay=50)
    await lab.page.reload()
    await lab.prompt()
    assert await lab.page.evaluate(FONT) == size + 2
    assert await lab.page.evaluate("() => window.educenterTerminal.options.theme.background") == "#000000"
    assert await lab.page.evaluate("() => document.documentElement.dataset.theme") == "dark"
    # The next page comes in the chosen theme from its first byte on: nothing flashes.
    answer = await lab.page.context.request.get(f"{lab.url}/signin")
    assert 'data-theme="dark"' in await answer.text()


async def test_keys_that_the_browser_keeps_can_be_sent(lab: Lab) -> None:
    await lab.start()
    await lab.type("echo two words")
    await lab.press("Control+Shift+F1")
    await lab.page.get_by_role("button", name="Send Ctrl+W").click()
    await lab.press("Enter")
    await lab.row("^two$")


@pytest.mark.parametrize(
    "escape",
    ["printf '\\033]8;;https://example.test/a\\033\\\\here\\033]8;;\\033\\\\\\n'", "echo https://example.test/a"],
)
async def test_a_link_opens_by_a_click_with_ctrl_only(lab: Lab, escape: str) -> None:
    await lab.page.context.route("https://example.test/**", lambda route: route.fulfill(body="there"))
    await lab.start("tiny-system")
    await lab.type(f"clear; {escape}\n")
    await lab.page.wait_for_timeout(500)  # links are looked for a moment after the text is drawn
    screen = await lab.page.locator(".xterm-screen").bounding_box()
    assert screen is not None
    place = (screen["x"] + 20, screen["y"] + 10)
    await lab.page.mouse.move(*place, steps=3)
    await expect(lab.page.locator(".terminal-host")).to_have_attribute(
        "title", "Ctrl-click (⌘-click on a Mac) opens\nhttps://example.test/a"
    )
    await lab.page.mouse.click(*place)
    assert len(lab.page.context.pages) == 1
    async with lab.page.context.expect_page() as opened:
        await lab.page.keyboard.down("Control")
        await lab.page.mouse.click(*place)
        await lab.page.keyboard.up("Control")
    assert (await opened.value).url == "https://example.test/a"


async def test_a_storm_of_sizes_ends_at_the_right_one(make_lab: MakeLab, server: Server, student: User) -> None:
    lab = await make_lab(server.url)
    await lab.sign_in(student.email)
    await lab.start()
    for step in range(40):
        await lab.page.set_viewport_size({"width": 700 + step * 37 % 500, "height": 400 + step * 53 % 400})
    await lab.page.set_viewport_size({"width": 1200, "height": 700})
    await lab.page.wait_for_timeout(300)
    size = await lab.page.evaluate("() => `${window.educenterTerminal.rows} ${window.educenterTerminal.cols}`")
    assert await lab.run("stty size") == size


async def test_a_paste_can_not_leave_its_brackets_and_run(lab: Lab) -> None:
    await clipboard(lab)
    await lab.start()
    await lab.page.evaluate(SET_CLIPBOARD, "echo shown\x1b[201~\recho r''an\r")
    await lab.press("Control+Shift+V")
    await lab.row("echo shown")
    await lab.page.wait_for_timeout(500)
    assert not [row for row in await lab.rows() if row == "ran"]


async def test_the_menu_always_leads_back_into_the_terminal(lab: Lab) -> None:
    await lab.start()
    terminal = lab.page.locator(".xterm-helper-textarea")
    button = lab.page.get_by_role("button", name="Menu")
    await lab.press("Control+Shift+M", "Control+Shift+M")
    await expect(terminal).to_be_focused()
    await button.click()
    await button.click()
    await expect(terminal).to_be_focused()
    await lab.press("Control+Shift+Enter")
    await lab.prompt()
    await lab.page.get_by_title("Close terminal 1").click()
    await expect(lab.page.get_by_role("tab")).to_have_count(1)
    await expect(terminal).to_be_focused()


async def test_shortcuts_go_by_the_letters_of_the_persons_own_keyboard(lab: Lab) -> None:
    await lab.start()
    # On an AZERTY keyboard M is where a US keyboard has the semicolon, and M's place types a comma.
    press = """([key, code]) => document.activeElement.dispatchEvent(
      new KeyboardEvent("keydown", { key, code, ctrlKey: true, shiftKey: true, bubbles: true, cancelable: true }))"""
    menu = lab.page.locator(".menu")
    await lab.page.evaluate(press, ["?", "KeyM"])
    await expect(menu).to_have_count(0)
    await lab.page.evaluate(press, ["M", "Semicolon"])
    await expect(menu).to_have_count(1)
    await lab.press("Escape")
    # Cyrillic: no Latin letters, so the place counts.
    await lab.page.evaluate(press, ["\u042c", "KeyM"])
    await expect(menu).to_have_count(1)
