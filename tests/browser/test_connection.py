"""The states of a connection, each provoked for real: the network cut, the laptop offline, sign-in revoked, page asleep."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import pytest
from playwright.async_api import WebSocketRoute, expect

from terminals.lxd.whereabouts import away
from tests.browser.conftest import MakeLab, shared_loop
from tests.browser.lab import Lab
from tests.client import PASSWORD, User
from tests.conftest import Server
from tests.e2e.test_main_job import MakeUser
from tests.e2e.test_refusals import revoke
from tests.proxy import Proxy

FAILS = "ERR_CONNECTION|ERR_EMPTY_RESPONSE|ERR_INTERNET_DISCONNECTED|WebSocket connection|ERR_NETWORK"


@shared_loop
async def front(make_server: Callable[..., Server]) -> AsyncIterator[Proxy]:
    with Proxy(0) as proxy:
        server = make_server(PUBLIC_URL=f"http://127.0.0.1:{proxy.port}")
        await asyncio.to_thread(server.start)
        proxy.target = server.port
        yield proxy


@shared_loop
async def far(front: Proxy, make_user: MakeUser, make_lab: MakeLab) -> Lab:
    """A live lab behind a network that can be cut."""
    url = f"http://127.0.0.1:{front.port}"
    student: User = await make_user(url)
    lab = await make_lab(url)
    lab.forgive(FAILS)
    await lab.sign_in(student.email)
    await lab.start()
    return lab


async def test_a_cut_network_counts_down_and_says_that_programs_run_on(far: Lab, front: Proxy) -> None:
    state = far.page.locator(".state")
    await expect(state).to_contain_text("live")
    await expect(state).to_contain_text(" ms")
    front.cut()
    await expect(state).to_contain_text("reconnecting in", timeout=20_000)
    await expect(state).to_contain_text("your programs keep running")
    await expect(far.page.locator(".panel-dim")).to_have_count(1)
    await far.type("echo typed-while-away\n")
    await state.get_by_role("button", name="now").click()
    front.mend()
    await far.row("^typed-while-away$")
    assert len([row for row in await far.rows() if row == "typed-while-away"]) == 1


async def test_a_silent_network_is_noticed_within_seconds(far: Lab, front: Proxy) -> None:
    front.freeze()
    await far.until_state("reconnecting", 8000)
    front.thaw()
    await far.until_state("live")


async def test_keys_that_waited_long_are_shown_before_they_are_sent(far: Lab, front: Proxy) -> None:
    front.cut()
    await far.until_state("reconnecting")
    await far.type("echo sent-after-asking\n")
    await asyncio.sleep(11)
    front.mend()
    bar = far.page.locator(".bar")
    await expect(bar).to_contain_text("echo sent-after-asking⏎", timeout=20_000)
    assert not [row for row in await far.rows() if row == "sent-after-asking"]
    await bar.get_by_role("button", name="Send").click()
    await far.row("^sent-after-asking$")


async def test_offline_is_said_and_left_by_itself(far: Lab, front: Proxy) -> None:
    await far.page.context.set_offline(True)
    front.drop()  # the browser keeps open sockets when it goes offline; a real network doesn't
    await far.until_state("offline")
    await expect(far.page.locator(".state")).to_contain_text("your programs keep running")
    await far.page.context.set_offline(False)
    await far.until_state("live")
    assert await far.run("echo back") == "back"


async def test_a_revoked_sign_in_leads_back_to_the_same_lab(make_lab: MakeLab, server: Server, student: User) -> None:
    lab = await make_lab(server.url)
    lab.forgive("401")
    await lab.sign_in(student.email)
    await lab.start()
    pid = await lab.run("echo $$")
    await revoke(student.email, server)
    await lab.page.get_by_role("heading", name="Sign in").wait_for()
    await lab.page.get_by_label("E-mail").fill(student.email)
    await lab.page.get_by_label("Password").fill(PASSWORD)
    await lab.press("Enter")
    await lab.prompt()
    assert await lab.run("echo $$") == pid


async def test_a_page_that_slept_wakes_up_where_it_was(far: Lab, front: Proxy) -> None:
    # A frozen page is what a sleeping laptop or a tab in the background is.
    tool = await far.page.context.new_cdp_session(far.page)
    await far.type("for i in $(seq 8); do echo tick$i; sleep 1; done\n")
    await far.row("^tick2$")
    await tool.send("Page.setWebLifecycleState", {"state": "frozen"})
    await asyncio.sleep(4)
    front.drop()
    await asyncio.sleep(3)
    await tool.send("Page.setWebLifecycleState", {"state": "active"})
    await far.row("^tick8$")
    await far.prompt()
    rows = await far.rows()
    assert [row for row in rows if row.startswith("tick")] == [f"tick{number}" for number in range(1, 9)]


async def test_another_device_takes_over_and_gives_back(make_lab: MakeLab, server: Server, student: User) -> None:
    laptop, phone = await make_lab(server.url), await make_lab(server.url, viewport={"width": 390, "height": 780})
    await laptop.sign_in(student.email)
    await laptop.start()
    pid = await laptop.run("echo $$")
    await phone.sign_in(student.email)
    await phone.page.get_by_role("link", name="Continue").click()
    await phone.prompt()
    await laptop.until_state("elsewhere")
    await expect(laptop.page.locator(".bar")).to_contain_text("used on another page or device")
    assert await phone.run("echo $$") == pid
    columns = "() => window.educenterTerminal.cols"
    assert await laptop.page.evaluate(columns) == await phone.page.evaluate(columns), (
        "who watches shows the driver's size"
    )
    await laptop.page.get_by_role("button", name="Continue here").click()
    await laptop.until_state("live")
    assert int(await laptop.run("tput cols")) == await laptop.page.evaluate(columns) > 60


@pytest.mark.parametrize("width", [1000, 390])
async def test_what_the_server_explains_at_length_stands_over_the_terminal_and_hides_no_button(
    lab: Lab, width: int
) -> None:
    sockets: list[WebSocketRoute] = []

    def through(route: WebSocketRoute) -> None:
        route.connect_to_server()
        sockets.append(route)

    await lab.page.route_web_socket("**/ws/terminals/*", through)
    await lab.page.set_viewport_size({"width": width, "height": 720})
    await lab.start()
    words = away("n2").message
    sockets[-1].send(json.dumps({"type": "progress", "step": words}))
    bar = lab.page.locator(".bar")
    await expect(bar).to_have_text(f"{words}.")
    assert await lab.page.evaluate("document.documentElement.scrollWidth") <= width
    menu = await lab.page.get_by_role("button", name="Menu").bounding_box()
    assert menu is not None
    assert menu["x"] + menu["width"] <= width, "the lab can't be ended"
    state = lab.page.locator("[data-state]")
    await expect(state).to_contain_text("reconnecting")
