"""The main job: a student opens a lesson and types in a real container; what it leaves behind is nothing."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis

from terminals.lxd import Lxd
from terminals.store import Store
from tests.client import WAIT_S, User
from tests.conftest import Server

MakeUser = Callable[..., Any]
_marks = itertools.count(1)


async def shell(student: User, lesson: str) -> tuple[str, Any]:
    """A live session and a page on its first terminal."""
    session = await student.start(lesson)
    page = student.page(await student.first_terminal(session))
    await page.connect()
    return session, page


async def ask(page: Any, command: str, timeout: float = WAIT_S) -> str:
    """What a command prints. The marks are typed in two parts, so that the echo of the typing isn't taken for the answer."""
    number = next(_marks)
    await page.type(f"echo BEG''IN{number}; {command}; echo E''ND{number}\r")
    await page.expect(f"END{number}\r\n", timeout)
    text: str = page.output.decode(errors="replace")
    return text.split(f"BEGIN{number}\r\n", 1)[1].split(f"END{number}\r\n", 1)[0].strip()


async def test_a_student_signs_in_starts_a_lesson_and_types(student: User) -> None:
    lessons = (await student.call("GET", "/api/lessons"))["lessons"]
    assert {"first-steps", "tiny-system"} <= {lesson["id"] for lesson in lessons}
    session, page = await shell(student, "first-steps")
    assert await ask(page, "echo $((6*7))") == "42"
    assert await ask(page, "id -un; pwd; echo $TERM $COLORTERM $LANG") == (
        "student\r\n/home/student\r\nxterm-256color truecolor C.UTF-8"
    )
    assert "xterm" in await ask(page, "command -v vim nano less man git curl python3 ps >/dev/null && echo xterm")
    again = await student.call("POST", "/api/sessions", {"lesson": "first-steps"}, 202)
    assert again["id"] == session
    running = (await student.call("GET", "/api/lessons"))["lessons"][0]
    assert running["session"] == {"id": session, "state": "live", "seconds": running["session"]["seconds"]}
    assert 0 <= running["session"]["seconds"] < 60
    await page.leave()


async def test_nothing_is_left_in_lxd_postgresql_and_redis_after_end(
    student: User, store: Store, lxd: Lxd, redis: Redis
) -> None:
    keys_before = set(await redis.keys("*"))
    session, page = await shell(student, "tiny-system")
    container = await store.containers.of_session(session)
    assert container in await lxd.names()
    await student.end(session)
    assert (await page.closed()).code == 4408
    async with asyncio.timeout(20):
        while await store.containers.of_session(session) is not None:
            await asyncio.sleep(0.1)
    assert container not in await lxd.names()
    assert await store.terminals.of_session(session) == []
    async with asyncio.timeout(5):
        while not set(await redis.keys("*")) <= keys_before:  # presence is told every 2 s
            await asyncio.sleep(0.1)
    shown = await student.call("GET", f"/api/sessions/{session}")
    assert (shown["state"], shown["terminals"], shown["error"]) == ("ended", [], None)
    await student.end(session)


async def test_any_image_works_busybox_too(student: User) -> None:
    _, page = await shell(student, "tiny-system")
    assert await ask(page, "id -u; echo ok") == "0\r\nok"
    await page.leave()


async def test_only_a_root_lesson_gives_sudo(student: User) -> None:
    _, page = await shell(student, "first-steps")
    assert "password is required" in await ask(page, "sudo -n id -u")
    await page.leave()
    _, page = await shell(student, "administer")
    assert await ask(page, "sudo -n id -u") == "0"
    await page.leave()


async def test_limits_come_from_the_lesson_and_there_is_no_network(student: User, store: Store, lxd: Lxd) -> None:
    session, page = await shell(student, "first-steps")
    name = await store.containers.of_session(session)
    assert name is not None
    found = await lxd.instance(name)
    assert found["config"]["limits.memory"] == "512MiB"
    assert found["config"]["limits.processes"] == "500"
    assert found["config"]["boot.autostart"] == "false"
    assert found["config"]["user.educenter.session"] == session
    assert found["expanded_devices"]["root"]["size"] == "3GiB"
    assert not [device for device in found["expanded_devices"].values() if device["type"] == "nic"]
    assert await ask(page, "command ls /sys/class/net") == "lo"
    assert await ask(page, "free -m | awk '/Mem/{print ($2 <= 512)}'") == "1"
    await page.leave()


async def test_several_terminals_are_separate_shells_and_close_by_themselves(student: User) -> None:
    session, first = await shell(student, "first-steps")
    second_id = (await student.call("POST", f"/api/sessions/{session}/terminals", status=201))["id"]
    async with student.page(second_id) as second:
        pid = await ask(second, "echo $$")
        assert pid != await ask(first, "echo $$")
        await second.type("sleep 1000\r")
        await student.call("DELETE", f"/api/sessions/{session}/terminals/{second_id}", status=204)
        assert (await second.closed()).code == 4404
    shown = await student.call("GET", f"/api/sessions/{session}")
    assert second_id not in [terminal["id"] for terminal in shown["terminals"]]
    assert await ask(first, "pgrep -c -u student -x sleep") == "0"
    await first.leave()


async def test_the_exit_code_is_shown_also_to_who_comes_later(student: User) -> None:
    _, page = await shell(student, "first-steps")
    await page.type("exit 7\r")
    assert (await page.message("exit"))["code"] == 7
    await page.leave()
    async with student.page(page.terminal) as later:
        assert (await later.message("exit"))["code"] == 7
        assert b"exit 7" in later.output


async def test_one_request_id_goes_from_the_request_to_the_call_to_lxd(
    make_server: Callable[..., Server], make_user: MakeUser
) -> None:
    server = make_server(LOG_LEVEL="debug")
    server.start()
    student: User = await make_user(server.url)
    async with student.http.post(
        "/api/sessions", json={"lesson": "tiny-system"}, headers={"X-Request-Id": "abc123"}
    ) as response:
        assert response.headers["X-Request-Id"] == "abc123"
        session = (await response.json())["id"]
    await student.until(session, "live")
    calls = [line for line in server.logged("lxd_called") if '"request": "abc123"' in line]
    assert any('"operation": "create"' in call for call in calls)
    assert any('"operation": "start"' in call for call in calls)
    assert "secret=" not in server.log.read_text()


async def test_a_terminal_whose_page_reads_nothing_is_closed_at_once(server: Server, student: User) -> None:
    session, page = await shell(student, "tiny-system")
    await page.type("yes\r")
    await page.expect("y\r\ny\r\n")
    await asyncio.sleep(1)  # until the window is full, which nothing shows from here
    page.drop()
    # Nobody acks its output now: the exit must not wait behind it for as long as a vanished driver is waited for.
    async with asyncio.timeout(10):
        await student.call("DELETE", f"/api/sessions/{session}/terminals/{page.terminal}", status=204)
