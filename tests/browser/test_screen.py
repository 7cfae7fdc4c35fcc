"""What stands on the screen is what the programs put there: full screen programs, widths, several tabs, the end."""

import asyncio

import pytest
from playwright.async_api import expect

from terminals.lxd import Lxd
from terminals.store import Store
from tests.browser.conftest import MakeLab
from tests.browser.lab import Lab
from tests.client import User
from tests.conftest import Server

TECHNICIAN = "\U0001f469\u200d\U0001f4bb"  # woman, zero-width joiner, laptop: one character, two cells
PRETEND_GPU = """{
  const ask = WebGL2RenderingContext.prototype.getParameter;
  WebGL2RenderingContext.prototype.getParameter = function (name) {
    return name === 0x9246 ? "A GPU" : ask.call(this, name); // UNMASKED_RENDERER_WEBGL
  };
}"""
ALTERNATE = "(wanted) => window.educenterTerminal.buffer.active.type === wanted"


async def test_vim_opens_edits_writes_quits_and_the_screen_is_back(lab: Lab) -> None:
    await lab.start()
    assert await lab.run("echo before") == "before"
    await lab.type("echo stays; vim note.txt\n")
    await lab.page.wait_for_function(ALTERNATE, arg="alternate")
    await lab.row(r"^~ *$")
    await lab.type("iHello from Chromium")
    await lab.press("Escape")
    await lab.row("^Hello from Chromium$")
    await lab.type(":wq\n")
    await lab.page.wait_for_function(ALTERNATE, arg="normal")
    await lab.prompt()
    shown = await lab.rows()
    assert [row for row in shown if row == "stays"] == ["stays"]
    assert not [row for row in shown if row.strip() == "~" or "Hello" in row]
    assert await lab.run("cat note.txt") == "Hello from Chromium"


async def test_emoji_cjk_and_combining_characters_have_the_right_widths(lab: Lab) -> None:
    await lab.start()
    line = "printf 'W\\U0001F469\\u200D\\U0001F4BB|\\u4F60\\u597D|e\\u0301|\\u0928\\u093F|'; read -r"
    await lab.type(line + "\n")
    await lab.row(r"^W\P{ASCII}")
    cells = await lab.cells("W" + TECHNICIAN)
    assert cells == [
        ("W", 1),
        *((TECHNICIAN, 2), ("", 0), ("|", 1)),
        *(("你", 2), ("", 0), ("好", 2), ("", 0), ("|", 1)),
        *(("e\u0301", 1), ("|", 1)),
        *(("नि", 1), ("|", 1)),
    ]
    assert (await lab.cursor())[0] == len(cells)
    await lab.press("Enter")
    await lab.prompt()
    # Typed ones take as many cells as the shell thinks: the cursor comes back to where it was.
    start = await lab.cursor()
    await lab.page.keyboard.insert_text("你好é")
    await lab.row("你好é$")
    assert (await lab.cursor())[0] == start[0] + 5
    await lab.press("Backspace", "Backspace", "Backspace")
    await lab.page.wait_for_function("(x) => window.educenterTerminal.buffer.active.cursorX === x", arg=start[0])


async def test_colours_and_the_size_of_the_window_reach_the_shell(lab: Lab) -> None:
    await lab.start()
    assert await lab.run("tput colors; printf '\\033[31mred\\033[0m\\n'") == "256\nred"
    size = await lab.page.evaluate("() => [window.educenterTerminal.rows, window.educenterTerminal.cols]")
    assert await lab.run("stty size") == f"{size[0]} {size[1]}"
    await lab.page.set_viewport_size({"width": 800, "height": 500})
    await lab.page.wait_for_function("(cols) => window.educenterTerminal.cols < cols", arg=size[1])
    size = await lab.page.evaluate("() => [window.educenterTerminal.rows, window.educenterTerminal.cols]")
    assert await lab.run("stty size") == f"{size[0]} {size[1]}"


async def without(lab: Lab, text: str) -> None:
    """Waits until another terminal is shown: the tab is marked a moment before."""
    async with asyncio.timeout(10):
        while any(text in row for row in await lab.rows()):
            await asyncio.sleep(0.05)


async def test_tabs_are_added_switched_and_closed(lab: Lab) -> None:
    await lab.start()
    tabs = lab.page.get_by_role("tab")
    first = await lab.run("echo $$")
    await lab.type("echo in-the-first\n")
    await lab.row("^in-the-first$")
    await lab.page.get_by_role("button", name="New terminal").click()
    await expect(tabs).to_have_count(2)
    await without(lab, "in-the-first")
    await lab.prompt()
    assert await lab.run("echo $$") != first
    await tabs.nth(0).click()
    await lab.row("^in-the-first$")
    await lab.type("echo again-in-the-first\n")
    await lab.row("^again-in-the-first$")
    await lab.press("Control+Shift+ArrowRight")
    await expect(tabs.nth(1)).to_have_attribute("aria-selected", "true")
    await without(lab, "in-the-first")
    await lab.prompt()
    # A program that runs is asked about; the waiting shell is not.
    await lab.type("sleep 1000\n")
    await expect(tabs.nth(1)).to_contain_text("sleep")
    await lab.page.get_by_title("Close terminal 2").click()
    dialog = lab.page.get_by_role("dialog")
    await expect(dialog).to_contain_text("sleep is still running")
    await dialog.get_by_role("button", name="Close it").click()
    await expect(tabs).to_have_count(1)
    await lab.prompt()
    assert await lab.run("echo $$; pgrep -c -x sleep -u student") == f"{first}\n0"
    # The holder tells what runs once a second at most: pgrep still counts for a moment.
    await expect(lab.page.locator("[role=tab][data-running]")).to_have_count(0)
    await lab.press("Control+Shift+X")
    await expect(tabs).to_have_count(0)
    await lab.page.get_by_role("button", name="New terminal").last.click()
    await lab.prompt()


async def test_the_exit_code_is_shown_and_a_new_terminal_offered(lab: Lab) -> None:
    await lab.start()
    await lab.type("exit 7\n")
    await lab.until_state("exited")
    await expect(lab.page.locator(".bar")).to_contain_text("exited with code 7")
    await lab.page.reload()
    await lab.until_state("exited")
    await expect(lab.page.locator(".bar")).to_contain_text("exited with code 7")
    await lab.row("exit 7$")
    await lab.page.locator(".bar").get_by_role("button", name="New terminal").click()
    await lab.prompt()
    assert await lab.run("echo fresh") == "fresh"


async def test_ending_the_lab_shows_so_and_deletes_the_container(lab: Lab, store: Store, lxd: Lxd) -> None:
    await lab.start("tiny-system")
    session = lab.session
    container = await store.containers.of_session(session)
    assert container in await lxd.names()
    await lab.menu("End the lab")
    dialog = lab.page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Cancel").click()
    assert await lab.state() == "live"
    await lab.menu("End the lab")
    await dialog.get_by_role("button", name="End the lab").click()
    await lab.page.locator('[data-view="ended"]').wait_for()
    assert await lab.state() == "ended"
    async with asyncio.timeout(20):
        while await store.containers.of_session(session) is not None:
            await asyncio.sleep(0.1)
    assert container not in await lxd.names()
    await lab.page.reload()
    await lab.page.locator('[data-view="ended"]').wait_for()


@pytest.mark.parametrize("gpu", [False, True], ids=["without-a-gpu", "with-a-gpu"])
async def test_webgl_draws_only_where_a_gpu_does_it(
    make_lab: MakeLab, server: Server, student: User, gpu: bool
) -> None:
    lab = await make_lab(server.url)
    if gpu:
        # There is none here: the software renderer passes for one, which shows that the way through WebGL works, too.
        await lab.page.add_init_script(PRETEND_GPU)
    await lab.sign_in(student.email)
    await lab.start()
    assert await lab.page.locator(".xterm-screen canvas").count() == (2 if gpu else 0)
    assert await lab.page.locator(".xterm-rows").count() == (0 if gpu else 1)
    assert await lab.run("echo $((6*7))") == "42"


async def test_a_terminal_that_another_device_opens_appears_here(lab: Lab, make_lab: MakeLab) -> None:
    await lab.start("tiny-system")
    beside = await make_lab(lab.url, beside=lab)
    await beside.open(f"/sessions/{lab.session}")
    await beside.prompt()
    await beside.press("Control+Shift+Enter")
    await expect(beside.page.get_by_role("tab")).to_have_count(2)
    await beside.prompt()
    # The page asks again when it is looked at, and every half minute.
    await expect(lab.page.get_by_role("tab")).to_have_count(2, timeout=40_000)
    await expect(lab.page.get_by_role("tab").nth(1)).to_contain_text("2 ")
