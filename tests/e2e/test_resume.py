"""The shell outlives the browser, the network and the server: contiguous output, input exactly once."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

from terminals.lxd import Lxd
from terminals.store import Store
from tests.client import Page, User
from tests.conftest import Server, lxc
from tests.e2e.test_main_job import MakeUser, ask, shell

COUNT = "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo N$i; [ $((i%50)) = 0 ] && sleep 0.2; done; echo ALL''DONE\r"


def numbers(page: Page) -> list[int]:
    """The numbered lines that the page was shown."""
    return [int(n) for n in re.findall(rb"(?<![\w$])N(\d+)\r\n", bytes(page.output))]


async def test_reattaching_sends_only_the_missing_bytes(student: User) -> None:
    _, page = await shell(student, "first-steps")
    await ask(page, "echo one")
    before = page.offset
    page.drop()
    await page.connect()
    assert (page.resets, page.offset >= before) == (1, True)  # the one at the first attach
    assert await ask(page, "echo two") == "two"
    await page.leave()


async def test_a_new_page_sees_the_same_screen(student: User) -> None:
    _, page = await shell(student, "first-steps")
    await page.type("echo the-screen\r")
    await page.expect("\rthe-screen\r\n")
    await page.ack()
    await page.leave()
    async with student.page(page.terminal) as fresh:
        await fresh.until(lambda: fresh.resets == 1)
        assert bytes(fresh.output).startswith(bytes(page.output))


async def test_a_killed_server_loses_and_doubles_nothing(
    make_server: Callable[..., Server], make_user: MakeUser
) -> None:
    server = make_server()
    server.start()
    student: User = await make_user(server.url)
    _, page = await shell(student, "first-steps")
    pid = await ask(page, "echo $$")
    await page.type(COUNT)
    for _ in range(4):
        await page.until(lambda at=page.offset: page.offset > at + 500)
        server.kill()
        typed = page.unacknowledged.copy()
        page.drop()
        server.start()
        await page.connect()
        assert not typed
    await page.expect("ALLDONE\r\n", 60)
    assert numbers(page) == list(range(1, 3001))
    assert page.gaps == []
    assert await ask(page, "echo $$") == pid
    await page.leave()


async def test_input_across_kills_is_executed_once_and_in_order(
    make_server: Callable[..., Server], make_user: MakeUser
) -> None:
    server = make_server()
    server.start()
    student: User = await make_user(server.url)
    _, page = await shell(student, "first-steps")
    # What is typed while readline still has the terminal in raw mode isn't cut into lines: wait until it has let go.
    await page.type("stty -echo; echo RE''ADY; cat > typed; stty echo\r")
    await page.expect("READY\r\n")
    for number in range(1, 301):
        await page.type(f"line {number}\r")
        if number % 75 == 0:
            # Keys are on their way when the server dies: some taken, some not, none acknowledged to the page yet.
            server.kill()
            page.drop()
            server.start()
            await page.connect()
    await page.until(lambda: not page.unacknowledged)
    await page.type("\x04")
    await page.until(lambda: page.output.endswith(b"$ "))
    lines = await ask(page, "awk '{print $2}' typed | tr '\\n' ' '")
    assert [int(n) for n in lines.split()] == list(range(1, 301))
    await page.leave()


async def test_the_later_of_two_servers_wins_and_the_former_page_is_told(
    make_server: Callable[..., Server], make_user: MakeUser
) -> None:
    first = make_server()
    first.start()
    second = make_server(PUBLIC_URL=first.url)
    second.start()
    student: User = await make_user(first.url)
    _, page = await shell(student, "first-steps")
    pid = await ask(page, "echo $$")
    other = student.page(page.terminal, url=second.url)
    await other.connect()
    assert (await page.closed()).code == 4409
    assert await ask(other, "echo $$") == pid
    # Taking it back is the person's choice; then the other is told.
    await page.connect()
    assert (await other.closed()).code == 4409
    assert await ask(page, "echo $$") == pid
    await page.leave()


async def test_a_second_page_drives_and_the_first_can_take_it_back(student: User) -> None:
    _, first = await shell(student, "first-steps")
    async with student.page(first.terminal) as second:
        told = await first.message("role")
        assert (told["role"], told["reason"]) == ("observer", "elsewhere")
        await first.type("echo from-the-observer\r")
        assert await ask(second, "echo from-the-driver") == "from-the-driver"
        await first.expect("from-the-driver")
        assert b"from-the-observer" not in second.output
        first.unacknowledged.clear()
        first.seq -= 1
        await first.say({"type": "take"})
        assert (await first.attached())["role"] == "driver"
        assert (await second.message("role"))["role"] == "observer"
        assert await ask(first, "echo again") == "again"
    await first.leave()


async def test_a_killed_exec_is_made_anew_on_the_same_socket(student: User, store: Store) -> None:
    session, page = await shell(student, "first-steps")
    pid = await ask(page, "echo $$")
    await page.type(COUNT)
    await page.until(lambda: page.offset > 3000)
    container = await store.containers.of_session(session)
    assert container is not None
    # The bridge is what LXD runs; SIGKILL is what LXD itself does to it when the control socket drops.
    lxc("exec", container, "--", "pkill", "-KILL", "-P", "0", "-f", "/holder-")
    await page.message("detached")
    await page.attached()
    await page.expect("ALLDONE\r\n", 60)
    assert numbers(page) == list(range(1, 3001))
    assert await ask(page, "echo $$") == pid
    await page.leave()


async def test_who_loses_the_terminal_while_its_path_is_mended_is_attached_again_too(
    student: User, store: Store
) -> None:
    session, first = await shell(student, "first-steps")
    container = await store.containers.of_session(session)
    assert container is not None
    async with student.page(first.terminal, role="observer") as second:
        for page in (first, second):
            page.messages.clear()
        lxc("exec", container, "--", "pkill", "-KILL", "-P", "0", "-f", "/holder-")
        await second.message("detached")
        # Waits in the server until there is a path: the driver's last seq is asked for at the same time.
        await second.say({"type": "take"})
        await second.until(lambda: any(m["type"] == "attached" and m["role"] == "driver" for m in second.messages))
        await first.message("role")
        await first.message("attached")
        assert await ask(second, "echo driven") == "driven"
    await first.leave()


async def test_a_resume_ticket_opens_the_socket_without_a_sign_in(student: User) -> None:
    _, page = await shell(student, "first-steps")
    await ask(page, "echo one")
    page.drop()
    student.http.cookie_jar.clear()
    await page.connect(ticket=True)
    assert await ask(page, "echo two") == "two"
    page.drop()
    page.ticket = "W10.forged"
    end: Any = None
    try:
        await page.connect(ticket=True)
    except Exception as error:  # noqa: BLE001 - the type is what is asserted
        end = error
    assert getattr(end, "code", None) == 4401


async def test_a_stopped_container_starts_again_and_says_that_the_shell_is_gone(
    student: User, store: Store, lxd: Lxd
) -> None:
    session, page = await shell(student, "first-steps")
    container = await store.containers.of_session(session)
    assert container is not None
    await lxd.stop(container)
    lost = await page.message("lost", 30)
    assert "your shell was lost" in lost["message"]
    await page.leave()
    fresh = (await student.call("POST", f"/api/sessions/{session}/terminals", status=201))["id"]
    async with student.page(fresh) as page:
        assert await ask(page, "echo here") == "here"


async def test_a_driver_that_does_not_ack_holds_the_output_back(student: User) -> None:
    session = await student.start("first-steps")
    page = student.page(await student.first_terminal(session), auto_ack=False)
    await page.connect()
    await page.type("seq 1 1000000\r")
    with_nothing_more = 0
    while with_nothing_more < 3:
        try:
            await page.step(0.5)
            with_nothing_more = 0
        except TimeoutError:
            with_nothing_more += 1
    assert 32_768 < page.offset < 1_100_000
    page.auto_ack = True
    await page.ack()
    await page.expect("\n1000000\r\n", 60)
    await page.leave()


async def test_a_browser_that_vanishes_while_output_streams_is_no_error(
    make_server: Callable[..., Server], make_user: MakeUser
) -> None:
    server = make_server()
    server.start()
    student: User = await make_user(server.url)
    _, page = await shell(student, "tiny-system")
    await page.type("yes\r")
    for attached in range(1, 6):
        await page.until(lambda at=page.offset: page.offset > at + 200_000)
        page.drop()
        async with asyncio.timeout(10):
            while len(server.logged("viewer_detached")) < attached:
                await asyncio.sleep(0.05)
        await page.connect()
    assert server.logged("socket_failed") == []
    assert server.logged("request_failed") == []
    await page.type("\x03")
    assert await ask(page, "echo calm") == "calm"
    await page.leave()


async def test_drain_sends_every_page_away_with_1012_and_leaves_the_shell(
    make_server: Callable[..., Server], make_user: MakeUser
) -> None:
    server = make_server()
    server.start()
    student: User = await make_user(server.url)
    _, page = await shell(student, "first-steps")
    pid = await ask(page, "echo $$")
    ending = asyncio.create_task(page.closed())
    await asyncio.to_thread(server.stop)
    assert (await ending).code == 1012
    assert server.process is not None
    assert server.process.returncode == 0
    server.start()
    await page.connect()
    assert await ask(page, "echo $$") == pid
    await page.leave()
