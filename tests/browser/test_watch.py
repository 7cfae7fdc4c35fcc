"""Watching in two windows: the teacher sees the student's screen, the student sees who watches."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.async_api import expect

from tests.browser.conftest import MakeLab, shared_loop
from tests.browser.lab import Lab, Offset
from tests.browser.test_connection import FAILS
from tests.conftest import Server
from tests.e2e.test_main_job import MakeUser
from tests.proxy import Proxy

PROGRAMS = {
    "vim": ("vim -c 'syntax on' /usr/lib/python3.11/abc.py\n", "Copyright 2007 Google"),
    "less": ("less -N /etc/passwd\n", "1 root:x:0:0"),
    "colours": ('clear; for i in $(seq 31 36); do printf "\\e[${i}m█ $i \\e[0m"; done; echo 你好 👩‍💻 é\n', "你好"),
}


@dataclass
class Room:
    """A student's live lab on the first instance, and a teacher whose connections go to the second, as behind a balancer."""

    lab: Lab
    student: Offset
    first: Server
    board: Lab
    teacher: Offset
    second: Server


@pytest.fixture(scope="module")
def house(seeded: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Proxy, Server, Server]]:
    """Two instances behind a front; whole again before each test."""
    folder = tmp_path_factory.mktemp("house")
    with Proxy(0) as front:
        url = f"http://127.0.0.1:{front.port}"
        first, second = (Server(folder / f"{name}.log", PUBLIC_URL=url) for name in ("first", "second"))
        yield front, first, second
        for instance in (first, second):
            if instance.process is not None:
                instance.stop()


@shared_loop
async def room(house: tuple[Proxy, Server, Server], make_lab: MakeLab, make_user: MakeUser) -> Room:
    """New connections go to the second instance by now, the student's, too."""
    front, first, second = house
    for instance in (first, second):
        await asyncio.to_thread(instance.complete)
    front.target = first.port
    url = first.settings["PUBLIC_URL"]
    student, teacher = await make_user(url, name="Ana"), await make_user(url, role="instructor", name="Ms Rivera")
    lab, board = await make_lab(url), await make_lab(url)
    room = Room(lab, Offset(lab.page), first, board, Offset(board.page), second)
    for one in (lab, board):
        one.forgive(FAILS)  # an instance may be killed
    await lab.sign_in(student.email)
    await lab.start()
    front.target = second.port
    await board.sign_in(teacher.email)
    return room


@pytest.fixture
def pair(room: Room) -> tuple[Lab, Lab]:
    """The student's page and the teacher's."""
    return room.lab, room.board


async def watch(board: Lab, student: str = "Ana") -> None:
    await board.page.get_by_role("link", name="Live terminals").click()
    await board.page.get_by_role("link", name=f"Watch {student}").click()
    await board.until_state("live")


@pytest.mark.parametrize("program", PROGRAMS)
async def test_the_watcher_sees_the_very_screen(pair: tuple[Lab, Lab], program: str) -> None:
    lab, board = pair
    command, shows = PROGRAMS[program]
    await lab.type(command)
    await lab.row(shows)
    await watch(board)
    await board.row(shows)
    await expect(lab.page.locator(".watchers")).to_contain_text("Ms Rivera is watching")
    await board.page.wait_for_timeout(300)
    seen, shown = await lab.screen(), await board.screen()
    for what in ("type", "size", "cursor"):
        assert seen[what] == shown[what], what
    assert seen["rows"] == shown["rows"]


async def test_the_student_is_told_and_never_disturbed(pair: tuple[Lab, Lab]) -> None:
    lab, board = pair
    size = await lab.run("stty size")
    await watch(board)
    mark = lab.page.locator(".watchers")
    await expect(mark).to_contain_text("Ms Rivera is watching")
    await expect(board.page.get_by_role("heading", level=1)).to_contain_text("First steps in a shell")
    await expect(mark).to_have_attribute("title", re.compile("Ms Rivera, since"))
    await board.page.locator(".terminal-host").click()
    await board.type("echo from-the-teacher\n")
    await board.page.set_viewport_size({"width": 700, "height": 500})
    assert await lab.run("stty size") == size
    assert not [row for row in await lab.rows() if "from-the-teacher" in row]
    await lab.type("echo from-the-student\n")
    await board.row("^from-the-student$")
    await board.page.get_by_role("link", name="Live terminals").click()
    await expect(mark).to_have_count(0)
    await lab.prompt()
