"""Restart ends every program and keeps every file; an instructor may do it, reset or end, and that is written down."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from server.seed import COURSE
from terminals.store import Store
from tests.client import Closed, User
from tests.conftest import Server
from tests.e2e.test_main_job import MakeUser, ask, shell

LESSON = "tiny-system"


async def terminals(student: User, session: str) -> list[dict[str, Any]]:
    """Once it isn't restarting any more."""
    async with asyncio.timeout(90):
        while (shown := await student.call("GET", f"/api/sessions/{session}"))["restarting"]:
            await asyncio.sleep(0.1)
    found: list[dict[str, Any]] = shown["terminals"]
    return found


async def closed(page: Any) -> int | None:
    with pytest.raises(Closed) as end:
        await page.until(lambda: False)
    return end.value.code


async def test_a_restart_ends_the_programs_and_keeps_the_files(
    student: User, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    session, page = await shell(student, LESSON)
    await ask(page, "echo precious > /root/mine; echo x > /tmp/x; (sleep 1000 &) ; cat /proc/sys/kernel/random/boot_id")
    second = (await student.call("POST", f"/api/sessions/{session}/terminals", status=201))["id"]
    other = student.page(second)
    await other.connect()
    began = time.monotonic()
    await student.call("POST", f"/api/sessions/{session}/restart")
    took = time.monotonic() - began
    assert [await closed(page), await closed(other)] == [4404, 4404]
    (fresh,) = await terminals(student, session)
    assert fresh["position"] == 1
    assert fresh["id"] not in (page.terminal, second)
    async with student.page(fresh["id"]) as again:
        assert await ask(again, "cat /root/mine") == "precious"
        assert await ask(again, "ps | grep -c '[s]leep 1000'") == "0"
    with capsys.disabled():
        print(f"\n  restart {took:.2f} s")


async def test_a_restart_closes_the_terminals_on_every_instance_and_others_are_refused_meanwhile(
    make_server: Callable[..., Server], make_user: MakeUser
) -> None:
    near, far = make_server(), None
    near.start()
    far = make_server(PUBLIC_URL=near.url)
    far.start()
    student: User = await make_user(near.url)
    session = await student.start(LESSON)
    page = student.page(await student.first_terminal(session), url=far.url)
    await page.connect()
    await ask(page, "echo there")
    restarting = asyncio.create_task(student.call("POST", f"/api/sessions/{session}/restart"))
    assert await closed(page) == 4404
    refused = await student.call("POST", f"/api/sessions/{session}/terminals", status=409)
    assert refused["error"]["code"] == "restarting"
    await student.call("POST", f"/api/sessions/{session}/restart", status=409)
    await restarting
    (fresh,) = await terminals(student, session)
    async with student.page(fresh["id"], url=far.url) as again:
        assert await ask(again, "echo back") == "back"


@pytest.mark.parametrize("after", [0.05, 0.3, 1.2])
async def test_a_restart_that_an_instance_died_over_is_finished_by_another(
    make_server: Callable[..., Server], make_user: MakeUser, store: Store, after: float
) -> None:
    victim = make_server()
    victim.start()
    student: User = await make_user(victim.url)
    session, page = await shell(student, LESSON)
    await ask(page, "echo precious > /root/mine")
    restarting = asyncio.create_task(student.call("POST", f"/api/sessions/{session}/restart"))
    await asyncio.sleep(after)
    victim.kill()
    await asyncio.gather(restarting, return_exceptions=True)
    await store.database.run("UPDATE sessions SET restarting_at = restarting_at - interval '1 minute'")
    other = make_server(PUBLIC_URL=victim.url)
    other.start()
    student.go_to(other.port)
    (fresh,) = await terminals(student, session)
    async with student.page(fresh["id"], url=other.url) as again:
        assert await ask(again, "cat /root/mine") == "precious"


async def test_an_instructor_restarts_resets_and_ends_and_it_is_written_down(
    server: Server, student: User, make_user: MakeUser, store: Store
) -> None:
    teacher: User = await make_user(server.url, role="instructor", name="Teacher of acts")
    session, page = await shell(student, LESSON)
    await ask(page, "echo precious > /root/mine")

    async def act(kind: str, of: str, status: int = 202) -> Any:
        return await teacher.call("POST", f"/api/courses/{COURSE}/sessions/{of}/acts", {"act": kind}, status)

    await act("restart", session)
    assert await closed(page) == 4404
    shown = await student.call("GET", f"/api/sessions/{session}")
    assert (shown["acted"]["who"], shown["acted"]["act"]) == ("Teacher of acts", "restart")
    await act("reset", session)
    shown = await student.call("GET", f"/api/sessions/{session}")
    assert (shown["ended"]["by"], shown["acted"]["act"]) == ("reset", "reset")
    new = shown["ended"]["successor"]
    await student.until(new, "live")
    assert (await student.call("GET", f"/api/sessions/{new}"))["kept"] is not None
    await act("burn", new, 400)
    await act("end", new)
    shown = await student.call("GET", f"/api/sessions/{new}")
    assert (shown["ended"]["by"], shown["acted"]["who"]) == ("other", "Teacher of acts")
    await act("end", new, 404)
    told = (await teacher.call("GET", f"/api/courses/{COURSE}/acts"))["acts"]
    told = [each for each in told if each["session"] in (session, new)]
    assert [(each["act"], each["session"]) for each in told] == [("end", new), ("reset", session), ("restart", session)]
    assert {(each["who"], each["whom"], each["lesson"]) for each in told} == {
        ("Teacher of acts", "Test Person", "A tiny system: busybox")
    }


async def test_nobody_can_change_what_was_written_down(store: Store) -> None:
    for sql in ("UPDATE acts SET who = 1", "DELETE FROM acts", "TRUNCATE acts"):
        with pytest.raises(Exception, match="InsufficientPrivilege"):
            await store.database.run(sql)
