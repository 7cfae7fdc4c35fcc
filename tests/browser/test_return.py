"""The person comes back, by a reload, from another page or after the server died, and finds the shell as it was."""

import re
from collections.abc import Callable

import pytest
from playwright.async_api import expect

from terminals.lxd import Lxd
from terminals.store import Store
from tests.browser.conftest import MakeLab
from tests.browser.lab import WAIT_MS, Lab
from tests.client import User
from tests.conftest import Server
from tests.e2e.test_main_job import MakeUser

LAST = 1200
# Without echo, keys typed meanwhile don't stand among the numbers; the shell reads them afterwards.
COUNT = (
    f"stty -echo; i=0; while [ $i -lt {LAST} ]; do i=$((i+1)); echo N$i; [ $((i%10)) = 0 ] && sleep 0.05; done; "
    "stty echo; echo ALL''DONE\n"
)


@pytest.mark.parametrize("lines_before", [0, 200_000], ids=["all-is-kept", "more-than-is-kept"])
async def test_a_reload_inside_vim_shows_the_same_screen(lab: Lab, lines_before: int) -> None:
    await lab.start()
    if lines_before:
        await lab.type(f"seq {lines_before}\n")
        await lab.row(f"^{lines_before}$", 60_000)
    await lab.run(
        "python3 -c \"print('\\n'.join(f'def line_{n}(): return {n} # 你好' for n in range(300)))\" > many.py"
    )
    await lab.type("vim -c 'syntax on' -c 'set number' -c 123 many.py\n")
    await lab.row(r"123 def line_122\(\): return 122 # 你好")
    await lab.type("ochanged, not written")
    await lab.press("Escape")
    await lab.row("changed, not written")
    before = await settled(lab)
    assert before["type"] == "alternate"
    for _ in range(2):
        # The server hears once a second that a program fills the screen.
        await expect(lab.page.get_by_role("tab")).to_have_attribute("data-running", "vim")
        await lab.page.reload()
        await lab.until_state("live")
        await lab.row("changed, not written")
        after = await settled(lab)
        assert after == before
    await lab.type(":wq\n")
    await lab.prompt()
    assert await lab.run("grep -c . many.py; grep changed many.py") == "301\nchanged, not written"


async def test_a_reload_shows_the_same_scrollback_and_types_nothing(lab: Lab) -> None:
    await lab.start()
    # Queries whose answers a replay must not type again, and more lines than the screen has.
    await lab.type("seq 1 200; printf '\\033[c\\033[6n'; read -t 1 -n 40 -s; clear -x; echo R''EADY\n")
    await lab.row("^READY$")
    await lab.prompt()
    before = await settled(lab)
    await lab.page.reload()
    await lab.prompt()
    after = await settled(lab)
    assert after == before
    assert await lab.run("echo clean") == "clean"


async def test_a_killed_server_is_waited_for_and_nothing_is_lost_or_typed_twice(
    make_server: Callable[..., Server], make_user: MakeUser, make_lab: MakeLab
) -> None:
    server = make_server()
    server.start()
    student: User = await make_user(server.url)
    lab = await make_lab(server.url)
    lab.forgive("ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE")
    await lab.sign_in(student.email)
    await lab.start()
    pid = await lab.run("echo $$")
    await lab.type(COUNT)
    for kill, number in enumerate((100, 600)):
        await lab.row(f"^N{number}$")
        server.kill()
        await lab.until_state("reconnecting")
        await expect(lab.page.locator(".state")).to_contain_text("reconnecting")
        await lab.type(f"echo typed-{kill}-$((40+2))\n")
        assert await lab.state() == "reconnecting"
        server.start()
        await lab.until_state("live")
    await lab.row("^ALLDONE$", 60_000)
    await lab.row("^typed-1-42$")
    await lab.prompt()
    rows = await lab.rows()
    assert [int(row[1:]) for row in rows if re.fullmatch(r"N\d+", row)] == list(range(1, LAST + 1))
    assert [row for row in rows if row.startswith("typed-")] == ["typed-0-42", "typed-1-42"]
    assert await lab.run("echo $$") == pid


async def test_a_second_page_drives_and_the_first_gets_it_back_by_continue_here(lab: Lab, make_lab: MakeLab) -> None:
    await lab.start()
    pid = await lab.run("echo $$")
    second = await make_lab(lab.url, beside=lab)
    await second.open(f"/sessions/{lab.session}")
    await second.prompt()
    await lab.until_state("elsewhere")
    back = lab.page.get_by_role("button", name="Continue here")
    await expect(back).to_be_visible()
    assert await second.run("echo $$") == pid
    await second.type("echo seen-by-both\n")
    await lab.row("^seen-by-both$")
    # What the former page types goes nowhere.
    await lab.page.bring_to_front()
    await lab.page.locator(".xterm-helper-textarea").focus()
    await lab.type("echo from-the-reader\n")
    await back.click()
    await lab.prompt()
    await second.until_state("elsewhere")
    await expect(second.page.get_by_role("button", name="Continue here")).to_be_visible()
    assert not [row for row in await lab.rows() if "from-the-reader" in row]
    assert await lab.run("echo $$") == pid


async def test_a_stopped_container_is_said_and_a_new_terminal_starts_in_it(lab: Lab, store: Store, lxd: Lxd) -> None:
    await lab.start()
    await lab.run("echo kept > note.txt")
    container = await store.containers.of_session(lab.session)
    assert container is not None
    await lxd.stop(container)
    await lab.until_state("lost")
    bar = lab.page.locator(".bar")
    await expect(bar).to_contain_text("Your shell was lost")
    await bar.get_by_role("button", name="New terminal").click()
    await lab.prompt()
    assert await lab.run("cat note.txt") == "kept"


async def settled(lab: Lab) -> dict[str, object]:
    """The screen, once two looks at it are the same."""
    before = await lab.screen()
    for _ in range(WAIT_MS // 250):
        await lab.page.wait_for_timeout(250)
        now = await lab.screen()
        if now == before:
            return now
        before = now
    raise AssertionError("the screen never stood still")
