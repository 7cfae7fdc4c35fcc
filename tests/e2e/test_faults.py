"""A backing service goes away and comes back: what the student sees, and that all comes back by itself."""

import asyncio
import contextlib
import hashlib
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from terminals.store import Store
from tests.client import Page, User
from tests.conftest import Server
from tests.e2e.test_main_job import MakeUser, ask, shell
from tests.proxy import Proxy


@pytest.fixture
def postgresql(tmp_path: Path) -> Iterator[tuple[Proxy, str]]:
    """A proxy before PostgreSQL, and the DATABASE_URL through it."""
    url = urlsplit(os.environ["DATABASE_URL"])
    query = parse_qs(url.query)
    port = query.get("port", ["5432"])[0]
    with Proxy(f"{query['host'][0]}/.s.PGSQL.{port}", tmp_path / f".s.PGSQL.{port}") as proxy:
        yield proxy, url._replace(query=f"host={tmp_path}&port={port}").geturl()


@pytest.fixture
def redis_proxy(tmp_path: Path) -> Iterator[tuple[Proxy, str]]:
    """A proxy before Redis, and the REDIS_URL through it."""
    url = urlsplit(os.environ["REDIS_URL"])
    path = tmp_path / "redis.sock"
    with Proxy(url.path, path) as proxy:
        yield proxy, f"unix://{path}?{url.query}"


@pytest.fixture
def lxd_proxy(tmp_path: Path) -> Iterator[tuple[Proxy, str]]:
    """A proxy before LXD, and the LXD_URL through it."""
    path = tmp_path / "lxd.sock"
    with Proxy(os.environ["LXD_URL"], path) as proxy:
        yield proxy, str(path)


async def readyz(server: Server) -> dict[str, str]:
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}/readyz") as answer:
        assert answer.status == 200, "a missing dependency must not take the instance out of the balancer"
        found: dict[str, str] = (await answer.json())["dependencies"]
        return found


@pytest.mark.timeout(90)
async def test_a_postgresql_that_hangs_cuts_no_idle_terminal_though_somebody_watches(
    make_server: Callable[..., Server], make_user: MakeUser, postgresql: tuple[Proxy, str]
) -> None:
    proxy, url = postgresql
    server = make_server(DATABASE_URL=url)
    server.start()
    student, teacher = await make_user(server.url), await make_user(server.url, role="instructor")
    _, page = await shell(student, "tiny-system")
    observer = teacher.page(page.terminal, role="observer")
    await observer.connect()
    assert await ask(page, "echo before") == "before"
    page.messages.clear()
    for _ in range(2):
        proxy.freeze()
        await hear(page, 14)
    assert not server.logged("holder_silent")
    assert not [m for m in page.messages if m["type"] == "detached"]
    assert await ask(page, "echo after") == "after"
    await observer.leave()
    await page.leave()


async def hear(page: Page, seconds: float) -> None:
    """Reads what comes for so long, and says nothing."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                await page.step(seconds)


async def test_postgresql_away_typing_goes_on_and_opening_says_try_again(
    make_server: Callable[..., Server], make_user: MakeUser, postgresql: tuple[Proxy, str]
) -> None:
    proxy, url = postgresql
    server = make_server(DATABASE_URL=url)
    server.start()
    student: User = await make_user(server.url)
    _, page = await shell(student, "tiny-system")
    proxy.cut()
    assert await ask(page, "echo typing") == "typing"
    page.drop()
    # Back on the owning instance: the ticket needs no database, the terminal is still here.
    await page.connect(ticket=True)
    assert await ask(page, "echo back") == "back"
    async with student.http.get("/api/lessons") as response:
        assert response.status == 503
        assert (await response.json())["error"]["code"] == "unavailable"
    assert (await readyz(server))["postgresql"] != "ok"
    proxy.mend()
    assert (await student.call("GET", "/api/lessons"))["lessons"]
    assert (await readyz(server))["postgresql"] == "ok"
    await page.leave()


async def test_redis_away_typing_goes_on_and_sign_in_says_so(
    make_server: Callable[..., Server], make_user: MakeUser, redis_proxy: tuple[Proxy, str]
) -> None:
    proxy, url = redis_proxy
    server = make_server(REDIS_URL=url)
    server.start()
    student: User = await make_user(server.url)
    _, page = await shell(student, "tiny-system")
    proxy.cut()
    assert await ask(page, "echo typing") == "typing"
    page.drop()
    await page.connect(ticket=True)
    assert await ask(page, "echo back") == "back"
    async with student.http.post("/api/login", json={"email": student.email, "password": "demo-demo"}) as response:
        assert response.status == 503
        assert "Redis" in (await response.json())["error"]["message"]
    proxy.mend()
    assert (await student.call("GET", "/api/me"))["user"]["email"] == student.email
    await page.leave()


async def test_lxd_away_the_page_hears_of_it_and_the_same_shell_comes_back(
    make_server: Callable[..., Server], make_user: MakeUser, lxd_proxy: tuple[Proxy, str]
) -> None:
    proxy, url = lxd_proxy
    server = make_server(LXD_URL=url)
    server.start()
    student: User = await make_user(server.url)
    _, page = await shell(student, "first-steps")
    pid = await ask(page, "echo $$")
    await page.type("for i in $(seq 400); do echo line $i; sleep 0.01; done; echo ALL''LINES\r")
    await page.expect("line 50\r\n")
    proxy.cut()
    await page.message("detached")
    await asyncio.sleep(1)  # the loop goes on while nobody is attached
    proxy.mend()
    await page.attached()
    await page.expect("ALLLINES\r\n", 30)
    lines = bytes(page.output).count(b"\r\nline ") + bytes(page.output).count(b"\rline ")
    assert lines == 400
    assert await ask(page, "echo $$") == pid
    await page.leave()


async def test_cuts_during_a_flood_lose_nothing_and_never_stall(
    make_server: Callable[..., Server], make_user: MakeUser, lxd_proxy: tuple[Proxy, str]
) -> None:
    proxy, url = lxd_proxy
    server = make_server(LXD_URL=url)
    server.start()
    student: User = await make_user(server.url)
    _, page = await shell(student, "first-steps")
    await ask(page, "stty -echo")
    digest, lines = hashlib.sha256(), 600_000
    start = page.offset
    await page.type(f"seq 1 {lines}; echo ALL''LINES\r")
    for _ in range(6):
        await page.until(lambda at=page.offset: page.offset > at + 300_000)
        proxy.drop()
    await page.until(lambda: page.output.endswith(b"$ ") and b"ALLLINES" in page.output[-300:], 90)
    text = bytes(page.output)
    numbers = text[text.index(b"1\r\n2\r\n") : text.index(b"ALLLINES")]
    digest.update(numbers)
    expected = "".join(f"{n}\r\n" for n in range(1, lines + 1)).encode()
    assert digest.hexdigest() == hashlib.sha256(expected).hexdigest()
    assert page.offset - start > len(expected)
    await page.leave()


async def test_a_stopped_holder_harms_nobody_else_and_is_noticed(
    make_server: Callable[..., Server], make_user: MakeUser
) -> None:
    server = make_server()
    server.start()
    hostile: User = await make_user(server.url)
    neighbour: User = await make_user(server.url)
    _, page = await shell(hostile, "administer")
    _, other = await shell(neighbour, "tiny-system")
    await page.type("sudo pkill -STOP -P 1 -f /holder-\r")
    flooding = asyncio.create_task(flood(page))
    try:
        for number in range(20):
            assert await ask(other, f"echo {number}") == str(number)
            await asyncio.sleep(0.5)
        async with asyncio.timeout(30):
            while not server.logged("exec_cut"):
                await asyncio.sleep(0.2)
    finally:
        flooding.cancel()
        await asyncio.gather(flooding, return_exceptions=True)
    assert await ask(other, "echo unharmed") == "unharmed"
    await other.leave()
    await page.leave()


async def flood(page: Page) -> None:
    """Input without end, whatever the server answers."""
    while True:
        await page.type(b"x" * 16_000)
        page.unacknowledged.clear()
        await asyncio.sleep(0.01)


async def test_a_start_waits_for_an_lxd_that_is_away(
    alone: None, make_server: Callable[..., Server], make_user: MakeUser, lxd_proxy: tuple[Proxy, str]
) -> None:
    proxy, url = lxd_proxy
    server = make_server(LXD_URL=url)
    server.start()
    student: User = await make_user(server.url)
    proxy.cut()
    session = await delayed(student)
    proxy.mend()
    await student.until(session, "live")
    async with student.page(await student.first_terminal(session)) as page:
        assert await ask(page, "echo here") == "here"


async def test_a_start_that_has_waited_for_lxd_too_long_fails_in_words_and_can_be_tried_again(
    alone: None, make_server: Callable[..., Server], make_user: MakeUser, lxd_proxy: tuple[Proxy, str], store: Store
) -> None:
    proxy, url = lxd_proxy
    server = make_server(LXD_URL=url)
    server.start()
    student: User = await make_user(server.url)
    proxy.cut()
    session = await delayed(student)
    await store.database.run("UPDATE sessions SET picked_at = now() - interval '1 hour' WHERE id = $1", session)
    async with asyncio.timeout(30):
        while (shown := await student.call("GET", f"/api/sessions/{session}"))["state"] != "ended":
            await asyncio.sleep(0.1)
    assert shown["error"]["code"] == "unavailable"
    assert "LXD" in shown["error"]["message"]
    proxy.mend()
    await student.start("tiny-system")


async def delayed(student: User) -> str:
    """A session whose start was tried and waits for LXD, as its student is told."""
    session: str = (await student.call("POST", "/api/sessions", {"lesson": "tiny-system"}, 202))["id"]
    async with asyncio.timeout(60):
        while "restarting" not in (await student.call("GET", f"/api/sessions/{session}"))["progress"]["step"]:
            await asyncio.sleep(0.1)
    return session


async def test_every_service_down_at_start_the_server_starts_and_says_what_is_missing(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = make_server(
        DATABASE_URL=f"postgresql://nobody@/none?host={tmp_path}",
        REDIS_URL=f"unix://{tmp_path}/none.sock",
        LXD_URL=f"{tmp_path}/none.socket",
    )
    server.start()
    found = await readyz(server)
    assert all(answer != "ok" for answer in found.values())
    async with asyncio.timeout(10):
        while len(server.logged("dependency_away")) < 3:
            await asyncio.sleep(0.1)


async def test_an_unused_session_is_put_to_sleep_and_one_over_its_deadline_is_ended_by_the_sweep(
    make_server: Callable[..., Server], make_user: MakeUser, store: Store
) -> None:
    server = make_server(SWEEP_SECONDS="1")
    server.start()
    student, other = await make_user(server.url), await make_user(server.url)
    unused, over = await student.start("tiny-system"), await other.start("tiny-system")
    await store.database.run("UPDATE sessions SET active_at = now() - interval '31 minutes' WHERE id = $1", unused)
    await store.database.run("UPDATE sessions SET deadline = now() - interval '1 minute' WHERE id = $1", over)
    async with asyncio.timeout(60):
        while await store.containers.of_session(over) is not None:
            await asyncio.sleep(0.2)
        while (await student.call("GET", f"/api/sessions/{unused}"))["rest"] != "asleep":
            await asyncio.sleep(0.2)
    shown = await other.call("GET", f"/api/sessions/{over}")
    assert (shown["state"], shown["ended"]["by"]) == ("ended", "deadline")


def test_a_busy_port_is_said_plainly(make_server: Callable[..., Server]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = make_server(PORT=str(taken.getsockname()[1]))
        server.start(wait=False)
        assert server.process is not None
        assert server.process.wait(20) == 1
    text = server.log.read_text()
    assert "PORT" in text
    assert "Traceback" not in text
