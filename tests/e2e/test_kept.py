"""Reset is a fresh lab at once and keeps the old one for a week, restore brings back every file, and no death loses any."""

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from terminals.lxd import Lxd
from terminals.store import Store
from terminals.store.kept import DAYS
from tests.client import Closed, User
from tests.conftest import Server, lxc
from tests.e2e.test_main_job import MakeUser, ask, shell
from tests.e2e.test_pool import stocked, until

__all__ = ["stocked"]  # a fixture

LESSON = "tiny-system"


async def exchange(student: User, session: str, verb: str) -> str:
    """Resets or restores; the new session, live."""
    new: str = (await student.call("POST", f"/api/sessions/{session}/{verb}", status=202))["id"]
    await student.until(new, "live")
    return new


async def look(student: User, session: str, command: str, url: str | None = None) -> str:
    async with student.page(await student.first_terminal(session), url=url) as page:
        return await ask(page, command)


async def kept(store: Store, student: User) -> list[str]:
    sql = """
        SELECT c.name FROM containers c JOIN users u ON u.id = c.kept_user WHERE c.state = 'kept' AND u.email = $1
        ORDER BY c.kept_at"""
    return [row["name"] for row in await store.database.fetch(sql, student.email)]


async def rests(lxd: Lxd, name: str) -> bool:
    return bool((await lxd.instance(name))["status"] == "Stopped")


async def test_a_reset_lab_begins_anew_and_can_be_had_back_with_every_file_and_that_undone(
    student: User, store: Store, lxd: Lxd, capsys: pytest.CaptureFixture[str]
) -> None:
    session, page = await shell(student, LESSON)
    await ask(
        page, "echo precious > /root/mine; ln -s mine /root/link; chmod 640 /root/mine; mkdir /srv; echo x > /srv/x"
    )
    look_of_it = await ask(page, "ls -ln --full-time /root /srv")
    container = await store.containers.of_session(session)
    assert (await student.call("GET", f"/api/sessions/{session}"))["kept"] is None
    began = time.monotonic()
    second = await exchange(student, session, "reset")
    reset_s = time.monotonic() - began
    with pytest.raises(Closed) as closed:
        await page.until(lambda: False)
    assert closed.value.code == 4408
    assert (
        await look(student, second, "echo new > /root/second; ls -A /root; test -e /srv || echo fresh")
        == "second\r\nfresh"
    )
    old = await student.call("GET", f"/api/sessions/{session}")
    assert (old["state"], old["ended"]["by"], old["ended"]["successor"]) == ("ended", "reset", second)
    shown = (await student.call("GET", f"/api/sessions/{second}"))["kept"]
    left = datetime.fromisoformat(shown["until"]) - datetime.now(UTC)
    assert timedelta(days=DAYS, hours=-1) < left <= timedelta(days=DAYS)
    assert await kept(store, student) == [container]
    await until(lambda: rests(lxd, str(container)))
    done = {lesson["id"]: lesson["done"] for lesson in (await student.call("GET", "/api/lessons"))["lessons"]}
    assert not done[LESSON], "a reset one isn't done"
    began = time.monotonic()
    third = await exchange(student, second, "restore")
    restore_s = time.monotonic() - began
    assert await store.containers.of_session(third) == container
    assert await look(student, third, "cat /root/link") == "precious"
    assert await look(student, third, "ls -ln --full-time /root /srv") == look_of_it
    # It can be undone: what was there in between is kept in its turn.
    fourth = await exchange(student, third, "restore")
    assert await look(student, fourth, "cat /root/second") == "new"
    assert await kept(store, student) == [container]
    with capsys.disabled():
        print(f"\n  reset {reset_s:.2f} s, restore {restore_s:.2f} s")


async def test_a_reset_takes_a_waiting_container(
    stocked: Server, make_user: MakeUser, capsys: pytest.CaptureFixture[str]
) -> None:
    student: User = await make_user(stocked.url)
    session, page = await shell(student, LESSON)
    began = time.monotonic()
    new: str = (await student.call("POST", f"/api/sessions/{session}/reset", status=202))["id"]
    async with student.page((await student.until(new, "live"))["terminals"][0]["id"]) as fresh:
        await fresh.until(lambda: bool(fresh.output))
        reset_s = time.monotonic() - began
        assert await ask(fresh, "echo $((6*7))") == "42"
    await page.leave()
    began = time.monotonic()
    restored = await exchange(student, new, "restore")
    async with student.page(await student.first_terminal(restored)) as back:
        await back.until(lambda: bool(back.output))
    with capsys.disabled():
        print(f"\n  from a pool: a prompt {reset_s:.2f} s after reset, {time.monotonic() - began:.2f} s after restore")


async def test_what_is_not_there_to_do_is_said(student: User, make_user: MakeUser) -> None:
    session = await student.start(LESSON)
    refused = await student.call("POST", f"/api/sessions/{session}/restore", status=409)
    assert refused["error"]["code"] == "nothing_kept"
    assert (await student.call("GET", f"/api/sessions/{session}"))["state"] == "live", "nothing was done"
    both = [student.http.post(f"/api/sessions/{session}/reset") for _ in range(2)]
    assert sorted([answer.status for answer in await asyncio.gather(*both)]) == [202, 409]
    other: User = await make_user(student.url)
    mine = await other.start(LESSON)
    refused = await other.call("POST", f"/api/sessions/{mine}/restore", status=409)
    assert refused["error"]["code"] == "nothing_kept", "somebody else's isn't theirs"
    await other.end(mine)
    refused = await other.call("POST", f"/api/sessions/{mine}/reset", status=409)
    assert refused["error"]["code"] == "not_live"


async def test_only_the_newest_is_kept_and_only_for_its_week(
    make_server: Callable[..., Server], make_user: MakeUser, store: Store, lxd: Lxd
) -> None:
    server = make_server()
    server.start()
    student: User = await make_user(server.url)
    first = await student.start(LESSON)
    older = await store.containers.of_session(first)
    second = await exchange(student, first, "reset")
    newer = await store.containers.of_session(second)
    await exchange(student, second, "reset")
    assert await kept(store, student) == [newer]
    server.stop()
    await store.database.run(
        "UPDATE containers SET heard_at = now() - interval '1 hour' WHERE state IN ('kept', 'gone')"
    )
    server.start()
    await until(lambda: _absent(lxd, older))
    assert await kept(store, student) == [newer], "the janitor leaves it alone"
    await until(lambda: rests(lxd, str(newer)))
    server.stop()
    await store.database.run("UPDATE containers SET kept_until = now() WHERE name = $1", newer)
    server.start()
    await until(lambda: _absent(lxd, newer))
    await until(lambda: _forgotten(store, newer))


async def _forgotten(store: Store, name: str | None) -> bool:
    return name not in await store.containers.names()


async def _absent(lxd: Lxd, name: str | None) -> bool:
    return name not in await lxd.names()


async def test_a_stop_that_comes_late_does_not_hit_who_was_restored(student: User, store: Store) -> None:
    session = await student.start(LESSON)
    names = {await store.containers.of_session(session)}
    # Each is restored while it is being stopped, or before that has begun.
    for number in range(6):
        session = await exchange(student, session, "reset" if number == 0 else "restore")
        names.add(await store.containers.of_session(session))
        async with student.page(await student.first_terminal(session)) as page:
            pid = await ask(page, "echo $$")
            await ask(page, f"echo {number} >> /root/rounds")
            if number % 2:
                assert await ask(page, "sleep 3; echo $$") == pid
    assert len(names) == 2
    assert await look(student, session, "cat /root/rounds") == "1\r\n3\r\n5"


async def test_a_restore_that_fails_loses_nothing(student: User, store: Store, lxd: Lxd) -> None:
    first, page = await shell(student, LESSON)
    await ask(page, "echo precious > /root/mine")
    await page.leave()
    container = await store.containers.of_session(first)
    assert container is not None
    second = await exchange(student, first, "reset")
    between = await store.containers.of_session(second)
    await until(lambda: rests(lxd, container))
    # In the one folder of the host's that the project may have devices of.
    source = Path(os.environ["DOOR_DIR"]) / f"there-{container}"
    source.mkdir()
    device = ("config", "device", "add", container, "nothing", "disk", f"source={source}", "path=/mnt")
    await until(lambda: _done(*device))  # LXD may still be at its end of the stop
    source.rmdir()
    third = (await student.call("POST", f"/api/sessions/{second}/restore", status=202))["id"]
    await until(lambda: _ended(student, third))
    shown = await student.call("GET", f"/api/sessions/{third}")
    assert shown["error"]["code"] == "lxd_refused"
    assert await kept(store, student) == [container, between]
    lxc("config", "device", "remove", container, "nothing")
    await store.database.run("UPDATE containers SET kept_at = now() WHERE name = $1", container)
    fourth = await exchange(student, await student.start(LESSON), "restore")
    assert await look(student, fourth, "cat /root/mine") == "precious"


async def _done(*words: str) -> bool:
    try:
        await asyncio.to_thread(lxc, *words)
    except subprocess.CalledProcessError:
        return False
    return True


async def _ended(student: User, session: str) -> bool:
    return bool((await student.call("GET", f"/api/sessions/{session}"))["state"] == "ended")


# A request that its server dies under leaves its connection to the collector.
@pytest.mark.filterwarnings("ignore:Unclosed connection:ResourceWarning")
@pytest.mark.parametrize("verb", ["reset", "restore"])
@pytest.mark.parametrize("after", [0.0, 0.03, 0.1, 0.4, 1.0])
async def test_an_instance_killed_over_it_leaves_what_another_mends(
    make_server: Callable[..., Server], make_user: MakeUser, store: Store, lxd: Lxd, verb: str, after: float
) -> None:
    victim = make_server()
    victim.start()
    student: User = await make_user(victim.url)
    session, page = await shell(student, LESSON)
    await ask(page, "echo precious > /root/mine")
    if verb == "restore":
        session = await exchange(student, session, "reset")

    async def press() -> None:
        async with student.http.post(f"/api/sessions/{session}/{verb}") as answer:
            await answer.read()

    asking = asyncio.create_task(press())
    await asyncio.sleep(after)
    victim.kill()
    with contextlib.suppress(aiohttp.ClientError):
        await asking
    await store.database.run("UPDATE sessions SET heard_at = now() - interval '1 minute' WHERE state = 'starting'")
    other = make_server(PUBLIC_URL=victim.url)
    other.start()
    student.go_to(other.port)
    running = (await student.call("POST", "/api/sessions", {"lesson": LESSON}, 202))["id"]
    await student.until(running, "live")
    done = running != session
    found = await look(student, running, "cat /root/mine", other.url)
    at_hand = (verb == "restore") == done
    assert (found == "precious") == at_hand
    assert len(await kept(store, student)) == (1 if done or verb == "restore" else 0)
    for name in await kept(store, student):
        await until(lambda name=name: rests(lxd, name), 90)
    if not at_hand:
        back = await exchange(student, running, "restore")
        assert await look(student, back, "cat /root/mine", other.url) == "precious"
