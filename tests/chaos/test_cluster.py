"""An LXD cluster of three: labs are spread, and one member that is away costs nobody elsewhere anything."""

import asyncio
import os
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from server import seed
from terminals.store import Store
from terminals.store.database import Database
from tests.client import Page, User
from tests.cluster import Cluster
from tests.conftest import ROOT, Server, password_hash
from tests.e2e.test_main_job import ask

pytestmark = pytest.mark.timeout(300)
LESSON = "tiny-system"
TOLD_S, BACK_S = 45.0, 60.0
"""LXD takes 20 s to call a member offline; on a busy machine."""


@dataclass
class Lab:
    """One that is open."""

    student: User
    session: str
    page: Page
    container: str
    member: str


class School:
    """Two instances on the cluster, and students."""

    def __init__(self, cluster: Cluster, store: Store, servers: list[Server]) -> None:
        self.cluster, self.store, self.servers = cluster, store, servers
        self.open: list[Lab] = []
        self._stack = AsyncExitStack()

    async def student(self, at: int = 0) -> User:
        email = f"t{secrets.token_hex(6)}@example.test"
        user = await self.store.users.put(email, "Test Person", password_hash())
        await self.store.courses.enrol(seed.COURSE, user, "student")
        person = User(self.servers[at].url, email)
        self._stack.push_async_callback(person.http.close)
        await person.sign_in()
        return person

    async def lab(self, at: int = 0) -> Lab:
        student = await self.student(at)
        session = await student.start(LESSON)
        page = student.page(await student.first_terminal(session))
        await page.connect()
        self._stack.push_async_callback(page.leave)
        # Its shell throws away what is typed before its first prompt.
        await page.expect("# ")
        assert await ask(page, "echo here") == "here"
        container = str(await self.store.containers.of_session(session))
        member = (await self.store.containers.made(container)).member
        self.open.append(Lab(student, session, page, container, member))
        return self.open[-1]

    async def labs_everywhere(self) -> dict[str, Lab]:
        """One on each member."""
        found: dict[str, Lab] = {}
        while len(found) < len(self.cluster.members):
            lab = await self.lab()
            assert lab.member not in found, "they aren't spread"
            found[lab.member] = lab
        return found

    async def over(self) -> None:
        for lab in self.open:
            await lab.student.end(lab.session)
        await self._stack.aclose()
        async with asyncio.timeout(BACK_S):
            while await self.store.database.value("SELECT count(*) FROM containers"):
                await asyncio.sleep(0.2)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    made = Cluster(Path(os.environ["LXD_URL"]).parent.parent)
    try:
        made.raise_()
        yield made
    finally:
        made.raze()


@pytest.fixture
async def school(cluster: Cluster, make_server: Callable[..., Server]) -> AsyncIterator[School]:
    servers = [make_server(**cluster.environment, SWEEP_SECONDS="2") for _ in range(2)]
    for server in servers:
        await asyncio.to_thread(server.start)
    async with Database.connected(cluster.environment["DATABASE_URL"]) as database:
        school = School(cluster, Store.over(database), servers)
        yield school
        await school.over()


async def until(holds: Callable[[], Any], seconds: float = BACK_S) -> float:
    """Seconds until it holds; what it asks of the cluster is asked beside."""
    began = time.monotonic()
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(holds):
            await asyncio.sleep(0.2)
    return time.monotonic() - began


def said(page: Page, words: str) -> bool:
    return any(message["type"] == "progress" and words in message["step"] for message in page.messages)


async def echo(page: Page, *, broken: bool = False) -> float:
    """Seconds until what is typed now is answered; `broken`: by way of another path, which isn't there yet."""
    began = time.monotonic()
    mark = secrets.token_hex(4)
    await page.type(f"echo {mark[:4]}''{mark[4:]}\r")
    if broken:
        await page.attached()
    await page.expect(f"{mark}\r\n")
    return time.monotonic() - began


def command(school: School, *words: str) -> str:
    done = subprocess.run(
        (sys.executable, "-m", "server", *words),
        cwd=ROOT,
        env=school.servers[0].settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


async def test_labs_are_spread_and_operators_see_where_and_how_much_room_each_member_has(school: School) -> None:
    labs = await school.labs_everywhere()
    for member, lab in labs.items():
        assert await asyncio.to_thread(school.cluster.where, lab.container) == member
    status = await asyncio.to_thread(command, school, "pool", "status")
    rows = {line.split("\t")[0]: line.split("\t")[1:] for line in status.splitlines() if "\t" in line}
    for member in labs:
        assert (rows[member][0], rows[member][-1]) == ("1", "yes"), status
    listed = await asyncio.to_thread(command, school, "containers", "list")
    assert all(f"\t{member}\t{lab.session}\t" in listed for member, lab in labs.items()), listed


async def test_one_whose_cable_is_out_says_so_others_go_on_and_its_shells_are_back_whole(
    school: School, told: Callable[[str, list[float]], None]
) -> None:
    labs = await school.labs_everywhere()
    lost = labs.pop("n2")
    pid = await ask(lost.page, "echo $$")
    await lost.page.type("i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo tick-$i; sleep 1; done\r")
    await lost.page.expect("tick-2\r\n")
    lost.page.messages.clear()
    began = time.monotonic()
    with school.cluster.cut("n2"):
        waiting = asyncio.create_task(lost.page.until(lambda: said(lost.page, "(n2) doesn't answer"), TOLD_S))
        echoes = [await echo(lab.page) for _ in range(20) for lab in labs.values()]
        told("beside a member without a cable, others' echo", echoes)
        await waiting
        told("its page hears that the member is away", [time.monotonic() - began])
        took = []
        for _ in range(4):
            began = time.monotonic()
            fresh = await school.lab()
            took.append(time.monotonic() - began)
            assert fresh.member != "n2"
        told("new labs meanwhile, to the prompt", took)
    began = time.monotonic()
    await lost.page.expect("tick-60\r\n", timeout=120)
    text = lost.page.output.decode()
    assert [text.count(f"tick-{k}\r\n") for k in range(1, 61)] == [1] * 60
    assert await ask(lost.page, "echo $$") == pid


async def test_the_one_that_is_asked_loses_its_power_others_go_on_and_its_files_are_back_with_it(
    school: School, told: Callable[[str, list[float]], None]
) -> None:
    labs = await school.labs_everywhere()
    lost = labs.pop("n1")
    await ask(lost.page, "echo mine > file")
    given_up = await school.lab()
    while given_up.member != "n1":
        given_up = await school.lab()
    lost.page.messages.clear()
    began = time.monotonic()
    await asyncio.to_thread(school.cluster.kill, "n1")
    took = await asyncio.gather(*(echo(lab.page, broken=True) for lab in labs.values()))
    told("LXD's address is dead: what others type is answered", took)
    await lost.page.until(lambda: said(lost.page, "(n1) doesn't answer"), TOLD_S)
    told("its page hears that the member is away", [time.monotonic() - began])
    await given_up.student.end(given_up.session)
    began = time.monotonic()
    session = await given_up.student.start(LESSON)
    given_up.session = session
    again = given_up.student.page(await given_up.student.first_terminal(session))
    await again.connect()
    assert await ask(again, "echo elsewhere") == "elsewhere"
    told("who ends the lab and starts it again has a prompt", [time.monotonic() - began])
    assert (await school.store.containers.made(str(await school.store.containers.of_session(session)))).member != "n1"
    await again.leave()
    lost.page.messages.clear()
    began = time.monotonic()
    await asyncio.to_thread(school.cluster.boot, "n1")
    await lost.page.until(lambda: any(message["type"] == "lost" for message in lost.page.messages), BACK_S)
    told("its LXD runs again, its page hears that the container is started", [time.monotonic() - began])
    fresh = (await lost.student.call("POST", f"/api/sessions/{lost.session}/terminals", status=201))["id"]
    async with lost.student.page(fresh) as back:
        assert await ask(back, "cat file") == "mine"
    await until(lambda: given_up.container not in school.cluster.lxc("list", "-c", "n", "-f", "csv"))


async def test_an_evacuated_lab_is_on_another_member_with_its_files_and_runs_again(
    school: School, told: Callable[[str, list[float]], None]
) -> None:
    labs = await school.labs_everywhere()
    moved = labs["n3"]
    await ask(moved.page, "echo mine > file")
    moved.page.messages.clear()
    began = time.monotonic()
    await asyncio.to_thread(school.cluster.lxc, "cluster", "evacuate", "n3", "--force")
    assert await asyncio.to_thread(school.cluster.where, moved.container) != "n3"
    await moved.page.until(lambda: any(message["type"] == "lost" for message in moved.page.messages), BACK_S)
    told("evacuated, its page hears that a new shell can be had", [time.monotonic() - began])
    assert said(moved.page, "(n3) was taken out of service")
    fresh = (await moved.student.call("POST", f"/api/sessions/{moved.session}/terminals", status=201))["id"]
    async with moved.student.page(fresh) as back:
        assert await ask(back, "cat file") == "mine"
    others = [await school.lab() for _ in range(3)]
    assert "n3" not in {lab.member for lab in others}
    status = await asyncio.to_thread(command, school, "pool", "status")
    assert "none: it is evacuated" in status
    async with asyncio.timeout(BACK_S):
        while (await school.store.containers.made(moved.container)).member == "n3":
            await asyncio.sleep(0.2)
    await asyncio.to_thread(school.cluster.lxc, "cluster", "restore", "n3", "--force")
    async with asyncio.timeout(BACK_S):
        while (await school.lab()).member != "n3":
            pass


async def test_a_member_that_is_gone_for_good_ends_its_labs_in_words_and_no_others(school: School) -> None:
    labs = await school.labs_everywhere()
    lost = labs.pop("n3")
    await asyncio.to_thread(school.cluster.kill, "n3")
    await until(lambda: school.cluster.status("n3") == "OFFLINE")
    # What LXD knew of it is gone then, and the member can't come back as it was.
    await asyncio.to_thread(school.cluster.lxc, "cluster", "remove", "n3", "--force", "--yes")
    # A minute passes.
    await school.store.database.run(
        "UPDATE containers SET heard_at = now() - interval '1 hour' WHERE name = $1", lost.container
    )
    ended = await lost.student.until(lost.session, "ended")
    assert ended["error"]["code"] == "container_gone"
    for lab in labs.values():
        lab.page.drop()
        await lab.page.connect()
        assert await ask(lab.page, "echo still here") == "still here"
    school.open.remove(lost)
