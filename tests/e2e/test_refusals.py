"""Bad input and what isn't yours: a clear error, no leak, nothing left behind."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from terminals.errors import Refused
from terminals.lxd import Lxd
from terminals.store import Store
from terminals.store.lessons import Text, Wants
from tests.client import PASSWORD, Closed, Page, User
from tests.conftest import Server, container_of, lxc
from tests.e2e.test_main_job import MakeUser, ask, shell

SMALL = "640MiB"
"""A disk that has room for the image, and is soon full."""
FILL_S = 90.0
"""That may take so long on a busy host."""
FORK_BOMB = """
import os, signal, sys
count = 0
try:
    while count < 1000:
        if os.fork() == 0:
            signal.pause()
        count += 1
except OSError as error:
    print("full", "after", count, error, flush=True)
for line in sys.stdin:
    print("read", line, flush=True)
""".replace("\n", "\r")


async def refused(person: User, method: str, path: str, status: int, code: str, **options: Any) -> str:
    """The message of an error answer."""
    async with person.http.request(method, path, **options) as response:
        body = await response.json()
        assert (response.status, body["error"]["code"]) == (status, code), body
        message: str = body["error"]["message"]
        return message


async def close_code(page: Page, first: str | bytes | None = None) -> int | None:
    """The close code that the server answers a bad first message with."""
    socket = await page.open()
    if isinstance(first, bytes):
        await socket.send_bytes(first)
    elif first is not None:
        await socket.send_str(first)
    return (await page.closed()).code


def attach(**changes: Any) -> str:
    hello = {"type": "attach", "writer": "00000000000000aa", "role": "driver", "cols": 80, "rows": 24, "offset": 0}
    return json.dumps(hello | changes)


async def test_without_a_sign_in_nothing_is_open(server: Server) -> None:
    async with User(server.url, "nobody@example.test") as nobody:
        for method, path in (("GET", "/api/me"), ("GET", "/api/lessons"), ("GET", "/api/sessions/" + "a" * 20)):
            await refused(nobody, method, path, 401, "not_signed_in")
        await refused(nobody, "POST", "/api/sessions", 401, "not_signed_in", json={"lesson": "first-steps"})
        async with nobody.http.get("/", allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (303, "/signin")
        assert await close_code(nobody.page("a" * 20), attach()) == 4401


async def test_unknown_and_foreign_are_both_not_found(student: User, server: Server, make_user: MakeUser) -> None:
    session, page = await shell(student, "tiny-system")
    stranger: User = await make_user(server.url)
    messages = set()
    for session_id in (session, "a" * 20):
        messages.add(await refused(stranger, "GET", f"/api/sessions/{session_id}", 404, "not_found"))
        messages.add(await refused(stranger, "DELETE", f"/api/sessions/{session_id}", 404, "not_found"))
        messages.add(await refused(stranger, "POST", f"/api/sessions/{session_id}/terminals", 404, "not_found"))
    assert len(messages) == 1
    reasons = set()
    for terminal in (page.terminal, "a" * 20):
        other = stranger.page(terminal)
        await (await other.open()).send_str(attach())
        end = await other.closed()
        assert end.code == 4404
        reasons.add(end.reason)
    assert len(reasons) == 1
    assert await ask(page, "echo still-mine") == "still-mine"
    await page.leave()


async def test_who_is_in_no_course_sees_no_lesson(server: Server, make_user: MakeUser) -> None:
    outsider: User = await make_user(server.url, role=None)
    assert (await outsider.call("GET", "/api/lessons"))["lessons"] == []
    await refused(outsider, "POST", "/api/sessions", 404, "not_found", json={"lesson": "first-steps"})


@pytest.mark.parametrize(
    "first",
    [
        "not json",
        "[]",
        json.dumps({"type": "hello"}),
        attach(writer="zz"),
        attach(writer="0" * 16),
        attach(writer=7),
        attach(birth="12"),
        attach(role="owner"),
        attach(cols=0),
        attach(cols="80"),
        attach(rows=100_000),
        attach(offset=-1),
        attach(offset=1.5),
        attach(ticket=7),
        b"I" + bytes(9),
    ],
)
async def test_a_malformed_attach_is_closed_with_4400(student: User, first: str | bytes) -> None:
    assert await close_code(student.page("a" * 20), first) == 4400


async def test_malformed_and_oversized_frames_close_the_socket_and_spare_the_shell(student: User) -> None:
    _, page = await shell(student, "tiny-system")
    for bad in (b"", b"?", b"I" + bytes(9), b"A123", b"R" + bytes(4), b"P1"):
        assert page._socket is not None
        await page._send(bad)
        assert (await page.closed()).code == 4400
        page.drop()
        await page.connect()
    await page._send(b"I" + bytes(40_000))
    assert (await page.closed()).code == 1009
    await page.connect()
    assert await ask(page, "echo fine") == "fine"
    await page.leave()


@pytest.mark.parametrize("origin", [None, "https://evil.example", "null", "http://127.0.0.1:1"])
async def test_a_socket_needs_an_origin_on_the_list(student: User, origin: str | None) -> None:
    headers = {"Origin": origin} if origin else {}
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await student.http.ws_connect("/ws/terminals/" + "a" * 20, headers=headers)
    assert refusal.value.status == 403


async def test_a_write_from_another_site_is_refused(student: User) -> None:
    evil = {"Origin": "https://evil.example"}
    await refused(student, "POST", "/api/logout", 403, "bad_origin", headers=evil)
    await refused(student, "POST", "/api/sessions", 415, "not_json", data={"lesson": "first-steps"})
    await refused(student, "POST", "/api/sessions", 400, "invalid", json=["lesson"])
    await refused(student, "POST", "/api/sessions", 400, "invalid", json={"lesson": 7})
    await refused(student, "POST", "/api/sessions", 413, "too_big", json={"lesson": "x" * 100_000})


async def test_guessing_passwords_is_slowed_down(server: Server, make_user: MakeUser, redis: Redis) -> None:
    person: User = await make_user(server.url)
    for _ in range(10):
        wrong = {"email": person.email, "password": "wrong-wrong"}
        await refused(person, "POST", "/api/login", 401, "bad_credentials", json=wrong)
    right = {"email": person.email, "password": PASSWORD}
    async with person.http.post("/api/login", json=right) as response:
        assert response.status == 429
        assert 0 < int(response.headers["Retry-After"]) <= 300
    await redis.delete(*await redis.keys("attempts:*"))


async def test_an_unknown_address_and_a_wrong_password_look_the_same(server: Server, make_user: MakeUser) -> None:
    person: User = await make_user(server.url)
    messages = {
        await refused(
            person, "POST", "/api/login", 401, "bad_credentials", json={"email": email, "password": "no-no-no"}
        )
        for email in (person.email, "nobody@example.test")
    }
    assert len(messages) == 1


async def test_signing_in_draws_a_new_id_and_voids_the_old(student: User, redis: Redis) -> None:
    def cookie() -> str:
        return next(c.value for c in student.http.cookie_jar if c.key == "educenter")

    old = cookie()
    await student.sign_in()
    assert cookie() != old
    assert await redis.exists(f"educenter_{old}") == 0
    last = cookie()
    async with student.http.post("/api/logout") as response:
        assert response.status == 204
    assert await redis.exists(f"educenter_{last}") == 0
    await refused(student, "GET", "/api/me", 401, "not_signed_in", headers={"Cookie": f"educenter={last}"})


async def test_a_revoked_user_is_out_at_once(student: User, store: Store, server: Server) -> None:
    _, page = await shell(student, "tiny-system")
    await revoke(student.email, server)
    assert (await page.closed()).code == 4401
    await refused(student, "GET", "/api/me", 401, "not_signed_in")
    with_ticket = student.page(page.terminal)
    await (await with_ticket.open()).send_str(attach(ticket=page.ticket))
    assert (await with_ticket.closed()).code == 4401


async def test_demo_accounts_work_only_in_a_demo(make_server: Callable[..., Server]) -> None:
    server = make_server(DEMO="off")
    server.start()
    async with User(server.url, "student01@demo.test") as demo:
        body = {"email": demo.email, "password": PASSWORD}
        await refused(demo, "POST", "/api/login", 401, "bad_credentials", json=body)


async def test_an_image_that_does_not_exist_fails_with_a_reason_and_leaves_nothing(
    student: User, store: Store, lxd: Lxd
) -> None:
    await store.lessons.put("no-image", "linux-basics", 90, Text("No image", 10), Wants(image="does-not-exist"))
    error = await failed_start(student, store, lxd, "no-image")
    assert error["code"] == "no_image"
    assert "does-not-exist" in error["message"]


async def test_what_lxd_refuses_is_said_and_leaves_nothing(student: User, store: Store, lxd: Lxd) -> None:
    await store.lessons.put("odd", "linux-basics", 94, Text("Odd", 10), Wants(image="lab", memory="0MiB"))
    error = await failed_start(student, store, lxd, "odd")
    assert error["code"] == "lxd_refused"
    assert "tell your teacher" in error["message"]
    assert "/" not in error["message"], "folders of the host are for its log"


async def test_odd_bytes_and_deep_json_are_bad_input_not_a_crash(student: User) -> None:
    for email in ("a\0@example.test", "a\ud800@example.test"):
        body = json.dumps({"email": email, "password": "whatever"})
        async with student.http.post("/api/login", data=body, headers={"Content-Type": "application/json"}) as response:
            assert response.status in (400, 401), await response.text()
    deep = {"data": "[" * 30_000, "headers": {"Content-Type": "application/json"}}
    await refused(student, "POST", "/api/sessions", 400, "invalid", **deep)
    await refused(student, "GET", "/api/sessions/%00", 404, "not_found")
    assert await close_code(student.page("a" * 20), "[" * 30_000) == 4400
    assert await close_code(student.page("%00"), attach()) == 4404


async def test_terminals_that_are_added_at_once_all_come(student: User) -> None:
    session = await student.start("tiny-system")
    adding = [student.call("POST", f"/api/sessions/{session}/terminals", status=201) for _ in range(6)]
    made = {answer["id"] for answer in await asyncio.gather(*adding)}
    assert len(made) == 6
    shown = await student.call("GET", f"/api/sessions/{session}")
    assert len(shown["terminals"]) == 7


async def test_end_while_it_starts_leaves_nothing(student: User, store: Store, lxd: Lxd) -> None:
    for pause in (0.0, 0.05, 0.3):
        session = (await student.call("POST", "/api/sessions", {"lesson": "first-steps"}, 202))["id"]
        await asyncio.sleep(pause)
        await student.end(session)
        async with asyncio.timeout(60):
            while await store.containers.of_session(session) is not None or made_for(session):
                await asyncio.sleep(0.1)


async def test_at_most_eight_terminals(student: User) -> None:
    session = await student.start("tiny-system")
    for _ in range(7):
        await student.call("POST", f"/api/sessions/{session}/terminals", status=201)
    await refused(student, "POST", f"/api/sessions/{session}/terminals", 409, "too_many")


async def test_a_full_disk_and_a_full_process_table_do_not_take_the_shell(student: User, store: Store) -> None:
    wants = Wants(image="lab", disk=SMALL, processes=40)
    await store.lessons.put("tight", "linux-basics", 92, Text("Tight", 10), wants)
    session, page = await shell(student, "tight")
    assert "quota exceeded" in await ask(page, "head -c 1200M /dev/zero > big", FILL_S)
    assert await ask(page, "echo typed-anyway") == "typed-anyway"
    fresh = (await student.call("POST", f"/api/sessions/{session}/terminals", status=201))["id"]
    async with student.page(fresh) as second:
        assert await ask(second, "echo also") == "also"
    await page.type(f"python3 -c '{FORK_BOMB}'\r")
    await page.expect("full after")
    page.drop()
    await page.connect()
    await page.type("still there\r")
    await page.expect("read still there")
    another = (await student.call("POST", f"/api/sessions/{session}/terminals", status=201))["id"]
    with pytest.raises(Closed, match="process"):
        await student.page(another).connect()
    await page.type("\x03")
    await page.until(lambda: b"KeyboardInterrupt" in page.output and page.output.endswith(b"$ "))
    assert await ask(page, "echo over") == "over"
    async with student.page(another) as third:
        assert await ask(third, "echo room-again") == "room-again"
    await page.leave()


async def test_a_container_that_stopped_with_a_full_disk_starts_again(student: User, store: Store, lxd: Lxd) -> None:
    session = await full(student, store)
    container = container_of(session)
    await lxd.halt(container)  # which LXD may refuse at first: it has no block left to tidy up with
    with pytest.raises(Refused):
        await lxd.start(container)
    fresh = (await student.call("POST", f"/api/sessions/{session}/terminals", status=201))["id"]
    async with student.page(fresh) as again:
        assert await ask(again, "rm big; echo works > now; cat now") == "works"
    await student.end(session)


async def test_a_disk_full_to_its_last_block_is_said_and_can_be_deleted(student: User, store: Store, lxd: Lxd) -> None:
    session = await full(student, store)
    container = container_of(session)
    # Filled from inside, a block that was only reserved comes free when btrfs likes: the quota is drawn in instead.
    pool = Path(os.environ["LXD_URL"]).parent / "storage-pools" / os.environ["LXD_POOL"]
    root = pool / "containers" / f"{os.environ['LXD_PROJECT']}_{container}"
    draw = ["btrfs", "qgroup", "limit", "1M", str(root)]
    await asyncio.to_thread(subprocess.run, draw, check=True, timeout=30)
    with pytest.raises(Refused, match="quota exceeded"):
        await lxd.stop(container)
    fresh = (await student.call("POST", f"/api/sessions/{session}/terminals", status=201))["id"]
    with pytest.raises(Closed, match="disk is full"):
        await student.page(fresh).connect()
    await student.end(session)
    async with asyncio.timeout(30):
        while container in await lxd.names():
            await asyncio.sleep(0.1)


async def full(student: User, store: Store) -> str:
    """A session whose disk is full. Its page is closed again."""
    await store.lessons.put("full", "linux-basics", 93, Text("Full", 10), Wants(image="lab", disk=SMALL))
    session, page = await shell(student, "full")
    assert "quota exceeded" in await ask(page, "head -c 1200M /dev/zero > big", FILL_S)
    await page.leave()
    return session


def made_for(session: str) -> list[str]:
    """What LXD has that was made for a session."""
    return lxc("list", f"user.educenter.session={session}", "-c", "n", "-f", "csv").split()


async def failed_start(student: User, store: Store, lxd: Lxd, lesson: str) -> dict[str, str]:
    """The error of a session that can't start; nothing of it may be left."""
    session = (await student.call("POST", "/api/sessions", {"lesson": lesson}, 202))["id"]
    async with asyncio.timeout(60):
        while (shown := await student.call("GET", f"/api/sessions/{session}"))["state"] != "ended":
            await asyncio.sleep(0.05)
        while await store.containers.of_session(session) is not None:
            await asyncio.sleep(0.05)
    assert not made_for(session)
    assert await store.terminals.of_session(session) == []
    error: dict[str, str] = shown["error"]
    return error


async def revoke(email: str, server: Server) -> None:
    """`python -m server user revoke`, as operators run it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "server", "user", "revoke", email, env=server.settings
    )
    assert await asyncio.wait_for(process.wait(), 30) == 0
