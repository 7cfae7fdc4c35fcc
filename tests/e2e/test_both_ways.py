"""On one host frames go through a door; without one, or where a container can't come through, through LXD. The same shell."""

import asyncio
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.client import User
from tests.conftest import Server, container_of, lxc
from tests.e2e.test_main_job import MakeUser, ask, shell


def sockets() -> list[Path]:
    return [path for path in Path(os.environ["DOOR_DIR"]).iterdir() if path.is_socket()]


async def attached_by_door(server: Server) -> bool:
    return '"by_door": true' in server.logged("terminal_attached")[-1]


@pytest.mark.parametrize(
    "folder", ["", os.environ.get("DOOR_DIR", "no DOOR_DIR")], ids=["through LXD", "through a door"]
)
async def test_a_shell_outlives_its_server_both_ways(
    make_server: Callable[..., Server], make_user: MakeUser, folder: str
) -> None:
    server = make_server(DOOR_DIR=folder)
    server.start()
    student: User = await make_user(server.url)
    _, page = await shell(student, "first-steps")
    assert await attached_by_door(server) == bool(folder)
    pid = await ask(page, "echo $$")
    await page.type("for i in $(seq 3000); do echo line-$i; [ $((i % 100)) = 0 ] && sleep 0.02; done\r")
    await page.expect("line-500\r\n")
    server.kill()
    server.start()
    await page.connect()
    await page.expect("line-3000\r\n")
    numbers = [int(number) for number in re.findall(rb"line-(\d+)\r\n", page.output)]
    assert numbers == list(range(1, 3001))
    assert await ask(page, "echo $$") == pid
    assert await attached_by_door(server) == bool(folder)
    await page.leave()


async def test_a_container_from_before_the_door_goes_on_through_lxd(
    make_server: Callable[..., Server], make_user: MakeUser
) -> None:
    server = make_server(DOOR_DIR="")
    server.start()
    student: User = await make_user(server.url)
    _, page = await shell(student, "tiny-system")
    server.stop()
    server.settings["DOOR_DIR"] = os.environ["DOOR_DIR"]
    server.start()
    await page.connect()
    assert await ask(page, "echo still here") == "still here"
    assert not await attached_by_door(server)
    await page.leave()


async def test_a_container_can_neither_list_nor_write_where_the_doors_are(server: Server, student: User) -> None:
    session, page = await shell(student, "tiny-system")
    container = container_of(session)
    for attempt in ("ls /dev/.educenter-door", "touch /dev/.educenter-door/x", "rm -rf /dev/.educenter-door"):
        tried = lxc("exec", container, "--", "sh", "-c", f"{attempt} 2>&1 || echo REFUSED")
        assert "REFUSED" in tried, attempt
    assert await ask(page, "echo fine") == "fine"


async def test_no_socket_is_left_once_everybody_is_attached(server: Server, student: User) -> None:
    _, page = await shell(student, "tiny-system")
    async with asyncio.timeout(10):
        while sockets():
            await asyncio.sleep(0.05)
    assert await ask(page, "echo through") == "through"
