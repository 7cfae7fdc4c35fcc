"""A page lands on an instance that has no PostgreSQL, while another owns its terminal: it is served through that one."""

import asyncio
import json
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest
from redis.asyncio import Redis

from server.jobs import running
from terminals.fleet import tunnel
from terminals.fleet.feeds import Feeds
from terminals.fleet.tunnel import Message, Tunnel, closing
from tests.client import Closed, Page, User
from tests.conftest import Server
from tests.e2e.test_faults import postgresql
from tests.e2e.test_main_job import MakeUser, ask, shell
from tests.proxy import Proxy

__all__ = ["postgresql"]  # a fixture

NEVER_S = 60.0
SOON_S = 6.0
COUNT = "i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo N$i; sleep 0.02; done; echo ALL''DONE\r"


class Pair:
    """`owner` has everything; `beside` reaches PostgreSQL through `proxy`."""

    def __init__(self, owner: Server, beside: Server, proxy: Proxy) -> None:
        self.owner = owner
        self.beside = beside
        self.proxy = proxy

    async def move(self, page: Page) -> float:
        """The page comes back on the instance beside, by its ticket; seconds that took."""
        began = time.monotonic()
        page.drop()
        page.url = self.beside.url
        await page.connect(ticket=True)
        assert self.owner.logged("tunnel_begun")
        return time.monotonic() - began


@pytest.fixture
def pair(make_server: Callable[..., Server], postgresql: tuple[Proxy, str]) -> Pair:
    proxy, url = postgresql
    owner = make_server(INSTANCE="owner")
    owner.start()
    beside = make_server(PUBLIC_URL=owner.url, DATABASE_URL=url, INSTANCE="beside")
    beside.start()
    return Pair(owner, beside, proxy)


@pytest.fixture
async def student(pair: Pair, make_user: MakeUser) -> User:
    person: User = await make_user(pair.owner.url)
    return person


async def test_keys_sizes_titles_and_the_exit_pass_and_the_former_page_is_told(pair: Pair, student: User) -> None:
    _, page = await shell(student, "first-steps")
    pid = await ask(page, "echo $$")
    pair.proxy.cut()
    other = student.page(page.terminal, url=pair.beside.url)
    other.ticket = page.ticket
    attached = await other.connect(ticket=True)
    assert attached["role"] == "driver"
    assert (await page.message("role"))["role"] == "observer"
    assert await ask(other, "echo $$") == pid
    await other.resize(101, 33)
    assert await ask(other, "stty size") == "33 101"
    await other.ping(77)
    assert (await other.message("pong"))["nonce"] == 77
    await page.leave()
    await other.type("exit 3\r")
    assert (await other.message("exit"))["code"] == 3
    await other.leave()


async def test_output_is_contiguous_over_the_way_there_and_back_and_the_detour_ends_by_itself(
    pair: Pair, student: User
) -> None:
    _, page = await shell(student, "first-steps")
    await page.type(COUNT)
    await page.until(lambda: b"N50\r\n" in page.output)
    pair.proxy.cut()
    await pair.move(page)
    await page.until(lambda: b"N100\r\n" in page.output)
    pair.proxy.mend()
    assert (await page.closed()).code == 1012
    await page.connect()
    await page.expect("ALLDONE\r\n")
    assert [int(n) for n in re.findall(rb"(?<![\w$])N(\d+)\r\n", bytes(page.output))] == list(range(1, 401))
    assert (page.gaps, page.resets) == ([], 1)
    assert len(pair.beside.logged("terminal_claimed")) == 1
    await page.leave()


async def test_a_postgresql_that_hangs_costs_a_page_seconds_and_not_its_terminal(pair: Pair, student: User) -> None:
    _, page = await shell(student, "tiny-system")
    await ask(page, "echo one")
    pair.proxy.delay = NEVER_S
    assert await pair.move(page) < SOON_S
    assert await ask(page, "echo two") == "two"
    page.drop()
    pair.proxy.delay = 0


async def test_a_page_that_does_not_ack_holds_the_output_back_and_ctrl_c_is_felt(pair: Pair, student: User) -> None:
    _, page = await shell(student, "tiny-system")
    await ask(page, "echo one")
    pair.proxy.cut()
    await pair.move(page)
    page.auto_ack = False
    await page.ack()
    acked = page.offset
    await page.type("seq 1 300000; echo D''ONE\r")
    with suppress(TimeoutError):
        while True:
            await page.step(1.0)
    assert acked + 32_768 < page.offset < acked + 1_100_000
    page.auto_ack = True
    await page.ack()
    await page.expect("DONE\r\n", 60)
    await page.type("yes\r")
    await page.until(lambda at=page.offset: page.offset > at + 100_000)
    await page.type("\x03")
    assert await ask(page, "echo calm") == "calm"
    await page.leave()


async def test_a_page_that_sends_more_than_it_may_is_held_and_not_cut(pair: Pair, student: User) -> None:
    _, page = await shell(student, "tiny-system")
    await ask(page, "echo one")
    pair.proxy.cut()
    await pair.move(page)
    for nonce in range(1, 3001):
        await page.ping(nonce)
    await page.until(lambda: any(m.get("nonce") == 3000 for m in page.messages), 30)
    assert [m["nonce"] for m in page.messages if m["type"] == "pong"] == list(range(1, 3001))
    assert await ask(page, "echo two") == "two"
    await page.leave()


@pytest.mark.timeout(90)
async def test_an_owner_that_dies_ends_the_detour_and_with_postgresql_the_shell_is_back(
    pair: Pair, student: User
) -> None:
    _, page = await shell(student, "tiny-system")
    pid = await ask(page, "echo $$")
    pair.proxy.cut()
    await pair.move(page)
    pair.owner.kill()
    assert (await page.closed()).code == 4503
    with pytest.raises(Closed) as end:
        await page.connect(ticket=True)
    assert end.value.code == 4503
    assert "try again" in end.value.reason
    pair.proxy.mend()
    await page.connect()
    assert await ask(page, "echo $$") == pid
    await page.leave()


async def test_a_draining_owner_sends_the_page_away_at_once(pair: Pair, student: User) -> None:
    _, page = await shell(student, "tiny-system")
    await ask(page, "echo one")
    pair.proxy.cut()
    await pair.move(page)
    ending = asyncio.create_task(page.closed())
    assert await asyncio.to_thread(pair.owner.stop) < 8
    assert (await ending).code == 1012


class Dialler:
    """What an instance says to an owner, said by hand."""

    def __init__(self, redis: Redis) -> None:
        self.feeds = Feeds(redis, f"dialler-{secrets.token_hex(3)}")
        self.heard: list[Message] = []

    async def dial(self, owner: str, terminal: str, user: int, **hello: Any) -> tuple[int, str]:
        """The close that it is answered with."""
        name = secrets.token_hex(12)
        first = {"type": "attach", "writer": secrets.token_hex(8), "cols": 80, "rows": 24, **hello}
        end = Tunnel(self.feeds, name, owner=False, take=self.heard.extend)
        await end.open()
        said = {"terminal": terminal, "user": user, "name": "", "hello": json.dumps(first), "ticket": ""}
        self.feeds.tell(owner, "dial", tunnel=name, **said)
        async with running(end.run()), asyncio.timeout(10):
            while not any(message.kind == tunnel.CLOSE for message in self.heard):
                await asyncio.sleep(0.02)
            end.finish()
        return closing(next(message for message in self.heard if message.kind == tunnel.CLOSE))


@pytest.fixture
async def dialler(redis: Redis) -> AsyncIterator[Dialler]:
    made = Dialler(redis)
    async with running(made.feeds.read(), made.feeds.send()):
        yield made


async def test_an_owner_serves_only_its_own_terminals_and_only_their_student(
    pair: Pair, student: User, dialler: Dialler
) -> None:
    _, page = await shell(student, "tiny-system")
    await ask(page, "echo secret")
    user = int((await student.call("GET", "/api/me"))["user"]["id"])
    (line,) = pair.owner.logged("server_started")
    owner = str(json.loads(line)["instance"])
    assert (await dialler.dial(owner, page.terminal, user + 1))[0] == 4404
    dialler.heard.clear()
    assert (await dialler.dial(owner, "a" * 20, user))[0] == 4503
    dialler.heard.clear()
    assert (await dialler.dial(owner, page.terminal, user, writer="0" * 16))[0] == 4400
    assert b"secret" not in b"".join(message.data for message in dialler.heard)
    await page.leave()
