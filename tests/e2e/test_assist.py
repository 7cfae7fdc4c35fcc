"""Assisting: an instructor types only where the student or the course allows it; the student sees it; all is accounted for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from server import seed
from terminals.errors import Unavailable
from terminals.store import Store
from terminals.store.audits import Account
from tests.client import Closed, Page, User
from tests.conftest import Server
from tests.e2e.test_main_job import MakeUser, ask, shell
from tests.e2e.test_watching import elsewhere, server, student, teacher, two, watch, watched_by

__all__ = ["elsewhere", "server", "student", "teacher", "two"]
MakeServer = Callable[..., Server]


@pytest.fixture
async def policy(store: Store) -> AsyncIterator[Callable[[str, str], Any]]:
    """Changes a rule of the demo course until the test's end."""

    async def change(rule: str, value: str) -> None:
        await store.database.run(f"UPDATE courses SET {rule} = $1 WHERE id = $2", value, seed.COURSE)

    yield change
    await change("watching", "notice")
    await change("assisting", "ask")


def people(page: Page) -> list[dict[str, Any]]:
    """Who watches, as the student's page was told last."""
    told = [m["watchers"] for m in page.messages if m["type"] == "watchers"]
    return told[-1] if told else []


async def until_told(page: Page, **wanted: bool) -> dict[str, Any]:
    """Waits until the student's page was told so of the one who watches."""
    await page.until(lambda: [{name: each[name] for name in wanted} for each in people(page)] == [wanted])
    return people(page)[0]


async def role(page: Page, name: str) -> dict[str, Any]:
    found = await page.message("role")
    assert found["role"] == name, found
    return found


async def let_in(page: Page, helper: Page) -> dict[str, Any]:
    await helper.say({"type": "ask"})
    asker = await until_told(page, asks=True, types=False)
    await page.say({"type": "grant", "id": asker["id"], "allow": True})
    return await role(helper, "assistant")


async def accounts(store: Store, session: str, enough: Callable[[list[Account]], bool]) -> list[Account]:
    """The session's accounts, once they say enough."""
    async with asyncio.timeout(20):
        while not enough(found := await store.audits.of_session(session)):
            await asyncio.sleep(0.1)
    return found


@pytest.mark.parametrize("where", ["here", "elsewhere"])
async def test_an_instructor_types_once_the_student_allows_it_and_until_either_ends_it(
    server: Server, elsewhere: Server, student: User, teacher: User, store: Store, where: str
) -> None:
    session, page = await shell(student, "first-steps")
    helper = watch(teacher, page.terminal, server if where == "here" else elsewhere)
    await helper.connect()
    await watched_by(page, ["Ms Rivera"])
    # Before: nothing arrives.
    await helper.type("echo too''early\r")
    assert await ask(page, "echo quiet") == "quiet"
    helper.unacknowledged.clear()
    helper.seq = 0
    await let_in(page, helper)
    await until_told(page, asks=False, types=True)
    size = await ask(page, "stty size")
    typed = b"echo by-the''-helper\r"
    await helper.type(typed)
    await page.expect("by-the-helper\r\n")
    await helper.until(lambda: not helper.unacknowledged)
    await helper.resize(20, 10)
    assert await ask(page, "stty size") == size
    # The student types on meanwhile, and ends it with one click.
    person = people(page)[0]["id"]
    await page.say({"type": "grant", "id": person, "allow": False})
    assert (await role(helper, "observer"))["reason"] == "ended"
    await until_told(page, asks=False, types=False)
    await helper.type("echo too''late\r")
    assert await ask(page, "echo quiet again") == "quiet again"
    assert b"tooearly" not in page.output
    assert b"toolate" not in page.output
    (account,) = await accounts(store, session, lambda found: bool(found) and found[0].bytes > 0)
    assert (account.who_name, account.whom_name, account.role) == ("Ms Rivera", "Test Person", "assistant")
    assert (account.terminal_id, account.bytes) == (page.terminal, len(typed))
    await helper.leave()
    await page.leave()


async def test_every_key_of_a_helper_on_another_instance_is_taken_once_across_cuts_of_its_socket(
    elsewhere: Server, student: User, teacher: User, store: Store
) -> None:
    session, page = await shell(student, "first-steps")
    assert await ask(page, "stty -echo; echo ok") == "ok"
    helper = watch(teacher, page.terminal, elsewhere)
    await helper.connect()
    await let_in(page, helper)
    size = 0
    for turn in range(4):
        for number in range(turn * 25, turn * 25 + 25):
            line = f"echo N{number}\r".encode()
            size += len(line)
            await helper.type(line)
        helper.drop()
        await helper.connect()
        # The page asks again by itself; the student, who allowed it, isn't asked again.
        await helper.say({"type": "ask"})
        found = await role(helper, "assistant")
        for seq in [seq for seq in helper.unacknowledged if seq <= found["last_seq"]]:
            del helper.unacknowledged[seq]
        for seq, data in sorted(helper.unacknowledged.items()):
            await helper._send(b"I" + seq.to_bytes(8) + data)
    await page.expect("N99\r\n")
    lines = [line for line in bytes(page.output).decode().split("\r\n") if line.startswith("N")]
    assert [line.rpartition(" ")[2] for line in lines] == [f"N{number}" for number in range(100)]
    await helper.until(lambda: not helper.unacknowledged)
    await helper.say({"type": "release"})
    await role(helper, "observer")
    (written,) = await accounts(store, session, lambda all_: sum(each.bytes for each in all_) >= size)
    assert written.bytes == size
    await page.leave()


async def test_a_refusal_is_final_until_the_next_wish_and_a_release_ends_it(
    elsewhere: Server, student: User, teacher: User
) -> None:
    _, page = await shell(student, "tiny-system")
    helper = watch(teacher, page.terminal, elsewhere)
    await helper.connect()
    await helper.say({"type": "ask"})
    asker = await until_told(page, asks=True)
    await page.say({"type": "grant", "id": asker["id"], "allow": False})
    assert (await role(helper, "observer"))["reason"] == "refused"
    await until_told(page, asks=False, types=False)
    await let_in(page, helper)
    await helper.say({"type": "release"})
    assert (await role(helper, "observer"))["reason"] == "ended"
    await until_told(page, asks=False, types=False)
    # Somebody who isn't there can't be let in.
    await page.say({"type": "grant", "id": "0" * 16, "allow": True})
    await page.say({"type": "grant", "id": asker["id"], "allow": True})
    await helper.type("echo un''asked\r")
    assert await ask(page, "echo mine") == "mine"
    assert b"unasked" not in page.output
    await page.leave()


async def test_the_course_decides_whether_students_are_asked(
    elsewhere: Server, student: User, teacher: User, policy: Any
) -> None:
    _, page = await shell(student, "tiny-system")
    helper = watch(teacher, page.terminal, elsewhere)
    await helper.connect()
    await policy("assisting", "off")
    await helper.say({"type": "ask"})
    assert (await role(helper, "observer"))["reason"] == "off"
    await policy("assisting", "allow")
    await helper.say({"type": "ask"})
    await role(helper, "assistant")
    await until_told(page, asks=False, types=True)
    await policy("assisting", "off")
    assert (await role(helper, "observer"))["reason"] == "ended"
    await until_told(page, asks=False, types=False)
    await policy("watching", "off")
    assert (await helper.closed()).code == 4404
    with pytest.raises(Closed) as refused:
        await helper.connect()
    assert refused.value.code == 4404
    await page.leave()


async def test_only_who_watches_may_ask_and_only_the_student_may_answer(
    server: Server, student: User, teacher: User, make_user: MakeUser
) -> None:
    _, page = await shell(student, "tiny-system")
    second: User = await make_user(server.url, role="instructor", name="Mr Chen")
    helper, other = watch(teacher, page.terminal, server), watch(second, page.terminal, server)
    own = student.page(page.terminal, role="observer")
    for each in (helper, other, own):
        await each.connect()
    await own.say({"type": "ask"})
    await helper.say({"type": "ask"})
    await page.until(lambda: any(each["asks"] for each in people(page)))
    asker = next(each for each in people(page) if each["asks"])
    assert asker["name"] == "Ms Rivera"
    assert asker["id"] != helper.writer
    for cheat in (helper, other):
        await cheat.say({"type": "grant", "id": asker["id"], "allow": True})
    await other.type("echo cheat''ed\r")
    await helper.type("echo cheat''ed\r")
    assert await ask(page, "echo mine") == "mine"
    assert b"cheated" not in page.output
    assert any(each["asks"] for each in people(page))
    # Another page of the student's own may answer.
    await own.say({"type": "grant", "id": asker["id"], "allow": True})
    await role(helper, "assistant")
    await page.say({"type": "grant", "id": 7, "allow": "yes"})
    assert (await page.closed()).code == 4400


async def test_a_new_owner_lets_nobody_type_until_asked_again(
    server: Server, elsewhere: Server, student: User, teacher: User
) -> None:
    _, page = await shell(student, "first-steps")
    helper = watch(teacher, page.terminal, elsewhere)
    await helper.connect()
    await let_in(page, helper)
    await asyncio.to_thread(server.kill)
    page.drop()
    page.url = elsewhere.url
    await page.connect()
    assert (await helper.closed()).code == 1012
    await helper.connect()
    await helper.type("echo un''asked\r")
    assert await ask(page, "echo mine") == "mine"
    assert b"unasked" not in page.output
    await let_in(page, helper)
    await page.leave()


async def test_the_account_can_only_grow(store: Store) -> None:
    for sql in ("UPDATE audits SET bytes = 0", "DELETE FROM audits", "TRUNCATE audits"):
        with pytest.raises(Unavailable, match="InsufficientPrivilege"):
            await store.database.run(sql)
