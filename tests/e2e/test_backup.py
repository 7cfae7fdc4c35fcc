"""Backup, wipe, restore, adopt, reconcile: what is back and what isn't, as docs/operations.md says it."""

import asyncio
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import pytest
from argon2 import PasswordHasher
from redis.asyncio import Redis

from server.seed import COURSE
from terminals.errors import Unavailable
from terminals.labs.adoption import KEPT, LIVE, NEW_USER, NO_USER, TABS, UNTOLD
from terminals.labs.reconcile import MOST, ORPHANED
from terminals.labs.templates import DEPLOYMENT
from terminals.lxd import Lxd
from terminals.store import Store
from terminals.store.database import Database
from tests.client import PASSWORD, Page, User
from tests.conftest import ROOT, Server
from tests.e2e.test_main_job import ask, shell
from tests.e2e.test_pool import until, waiting
from tests.e2e.test_reconcile import House, house, reconciler

__all__ = ["house"]  # a fixture
pytestmark = pytest.mark.timeout(240)

LESSON = "tiny-system"
COUNT = "i=0; while [ ! -e /root/enough ]; do i=$((i+1)); echo N$i; echo $i >> /root/count; sleep 0.1; done; echo ALL''DONE\r"


@dataclass(frozen=True)
class Place:
    """A database, a part of Redis and a deployment of the test's own, in the services that there are."""

    settings: dict[str, str]
    folder: Path

    async def command(self, *words: str) -> tuple[int, str]:
        """One of the server's: its status and what it printed."""
        environment = {**os.environ, **self.settings, "PUBLIC_URL": "http://127.0.0.1:8000"}
        return await ran(sys.executable, "-m", "server", *words, environment=environment)

    async def back_up(self, name: str) -> float:
        """Seconds."""
        began = time.monotonic()
        await done("pg_dump", "-Fc", "-f", str(self.folder / name), self.settings["DATABASE_URL"])
        return time.monotonic() - began

    async def restore(self, name: str) -> float:
        """Into an empty database, and an empty Redis: all that was is lost. Seconds."""
        began = time.monotonic()
        url = self.settings["DATABASE_URL"]
        await asyncio.to_thread(recreate, url)
        await done("pg_restore", "-d", url, "--single-transaction", str(self.folder / name))
        redis = Redis.from_url(self.settings["REDIS_URL"])
        await redis.flushdb()
        await redis.aclose()
        status, told = await self.command("migrate")
        assert (status, told.strip()) == (0, "Nothing to do.")
        return time.monotonic() - began


async def ran(*words: str, environment: dict[str, str] | None = None) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    printed, _ = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode is not None
    return process.returncode, printed.decode()


async def done(*words: str) -> None:
    status, told = await ran(*words)
    assert status == 0, told


def recreate(url: str, *, make: bool = True) -> None:
    """The database is dropped, with all who are in it, and made again, empty."""
    name = urlsplit(url).path.removeprefix("/")
    connection = psycopg2.connect(os.environ["DATABASE_URL"])
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            if make:
                cursor.execute(f"CREATE DATABASE {name}")
    finally:
        connection.close()


@pytest.fixture
async def place(tmp_path: Path, lxd: Lxd) -> AsyncIterator[Place]:
    name = f"backup_{secrets.token_hex(4)}"
    url = urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}"))
    redis = re.sub(r"db=0$", "db=7", os.environ["REDIS_URL"])
    assert redis != os.environ["REDIS_URL"], "it will be emptied"
    found = Place({"DATABASE_URL": url, "REDIS_URL": redis, "DEPLOYMENT": name.replace("_", "-")}, tmp_path)
    await asyncio.to_thread(recreate, url)
    try:
        for words in (("migrate",), ("seed", "--demo")):
            status, told = await found.command(*words)
            assert status == 0, told
        yield found
    finally:
        for instance in await lxd.instances():
            if instance["config"].get(DEPLOYMENT) == found.settings["DEPLOYMENT"] and instance["name"].startswith("c-"):
                await lxd.delete(instance["name"])
        await asyncio.to_thread(recreate, url, make=False)


@pytest.fixture
async def rows(place: Place) -> AsyncIterator[Store]:
    async with Database.connected(place.settings["DATABASE_URL"]) as database:
        yield Store.over(database)


class Story:
    """A class whose database is backed up in the middle, lost and restored; what each claim of the runbook's table says of it."""

    def __init__(self, place: Place, server: Server, rows: Store, lxd: Lxd) -> None:
        self.place = place
        self.server = server
        self.rows = rows
        self.lxd = lxd
        self.people: dict[str, User] = {}
        self.labs: dict[str, str] = {}
        """Name → session."""
        self.in_lxd: dict[str, str] = {}
        """Name → container."""
        self.pages: dict[str, Page] = {}
        self.said: dict[str, str] = {}
        """Name → the number of their shell's process."""

    async def come(self, *names: str) -> None:
        """Each signs in."""
        for name in names:
            email = {"teacher": "teacher@demo.test", "late": "late@example.test"}.get(
                name, f"student{len(self.people) + 1:02d}@demo.test"
            )
            self.people[name] = User(self.server.url, email)
            await self.people[name].sign_in()

    async def begin(self, name: str) -> None:
        session, page = await shell(self.people[name], LESSON)
        self.labs[name], self.pages[name] = session, page
        self.in_lxd[name] = str(await self.rows.containers.of_session(session))
        self.said[name] = await ask(page, "echo $$")

    async def write(self, name: str, text: str) -> None:
        await ask(self.pages[name], f"echo {text} >> /root/mine")

    async def extend(self, name: str) -> None:
        """Written down for good: in acts."""
        where = f"/api/courses/{COURSE}/sessions/{self.labs[name]}/acts"
        await self.people["teacher"].call("POST", where, {"act": "extend"}, status=202)

    # -- what happens --------------------------------------------------------------------------------------------------

    async def before(self) -> None:
        await self.come("teacher", "runs", "ends", "anew", "resets", "begins")
        for name in ("runs", "ends", "anew", "resets"):
            await self.begin(name)
            await self.write(name, "before")
        await self.pages["runs"].type(COUNT)
        await self.pages["runs"].expect("N3\r\n")
        await self.extend("runs")
        await until(self._waits)

    async def _waits(self) -> bool:
        return len(await waiting(self.rows, False)) == 1

    async def since(self) -> None:
        (waits,) = await waiting(self.rows, False)
        await self.begin("begins")
        assert self.in_lxd["begins"] == waits, "the backup says of it that it waits for anybody"
        await self.write("begins", "since")
        await self.extend("begins")
        await self.people["ends"].end(self.labs["ends"])
        await self.people["anew"].end(self.labs["anew"])
        self.said["ended"] = self.labs["anew"]
        await self.begin("anew")
        await self.write("anew", "since")
        await self.write("resets", "and-since")
        reset = await self.people["resets"].call("POST", f"/api/sessions/{self.labs['resets']}/reset", status=202)
        self.labs["reset"] = reset["id"]
        await self.people["resets"].until(reset["id"], "live")
        async with self.people["resets"].page(await self.people["resets"].first_terminal(reset["id"])) as page:
            await ask(page, "echo after-reset > /root/mine")
        await self._tab()
        user = await self.rows.users.put("late@example.test", "Late", PasswordHasher().hash(PASSWORD))
        await self.rows.courses.enrol(COURSE, user, "student")
        await self.come("late")
        await self.begin("late")
        await until(self._deleted)

    async def _tab(self) -> None:
        """One more, in a lab that the backup knows."""
        new = await self.people["runs"].call("POST", f"/api/sessions/{self.labs['runs']}/terminals", status=201)
        self.labs["tab"] = new["id"]
        async with self.people["runs"].page(new["id"]) as page:
            self.said["tab"] = await ask(page, "echo $$")

    async def _deleted(self) -> bool:
        return self.in_lxd["ends"] not in await self.lxd.names()

    async def lose(self) -> float:
        """All instances stop, database and Redis are lost, and the backup is restored; it is as of hours ago."""
        self.server.stop()
        seconds = await self.place.restore("backup")
        # Else labs that were used and extended all the time end at the first sweep, by what the backup says.
        await self.rows.database.run(
            """UPDATE sessions SET created_at = created_at - interval '6 hours', live_at = live_at - interval '6 hours',
                active_at = active_at - interval '6 hours', rest = 'stopped', rested_at = now() - interval '6 hours',
                deadline = NULL"""
        )
        await self.rows.database.run("UPDATE containers SET heard_at = heard_at - interval '6 hours'")
        return seconds

    async def adopt(self) -> float:
        """As the runbook says; seconds."""
        before = await self._all_rows()
        status, looked = await self.place.command("containers", "adopt", "--dry-run")
        assert (status, looked.splitlines()[-1]) == (0, "Nothing was changed.")
        assert await self._all_rows() == before
        began = time.monotonic()
        status, told = await self.place.command("containers", "adopt")
        took = time.monotonic() - began
        assert status == 0, told
        said = dict(line.split("\t") for line in told.splitlines() if "\t" in line)
        assert said[self.in_lxd["begins"]] == said[self.in_lxd["anew"]] == LIVE
        assert said[self.in_lxd["late"]] == NO_USER
        assert said[self.in_lxd["runs"]] == TABS.format(count=1)
        assert f"{self.said['ended']}\tended: its container is gone" in told
        once = await self._all_rows()
        status, again = await self.place.command("containers", "adopt")
        assert (status, await self._all_rows()) == (0, once), again
        status, told = await self.place.command("containers", "clean")
        assert status == 0, told
        # The same, but for the patience with young ones.
        found = await reconciler(self.rows, self.lxd, self.place.settings["DEPLOYMENT"]).run()
        assert self.in_lxd["late"] in found.orphans
        assert not set(found.orphans) & {self.in_lxd[name] for name in ("runs", "begins", "anew", "resets")}
        return took

    async def _all_rows(self) -> dict[str, list[str]]:
        """Of those that adoption writes, without the moments."""
        columns = {
            "sessions": "id, user_id, lesson_id, state, rest",
            "containers": "name, session_id, state, kept_user, network, needs",
            "terminals": "id, session_id, position, epoch, birth",
        }
        return {
            table: sorted(map(str, await self.rows.database.fetch(f"SELECT {names} FROM {table}")))
            for table, names in columns.items()
        }

    # -- what the runbook's table says ---------------------------------------------------------------------------------

    async def sign_ins(self) -> None:
        for name, person in self.people.items():
            await person.call("GET", "/api/me", status=401)
            if name != "late":
                await person.sign_in()

    async def ran(self) -> None:
        student, page = self.people["runs"], self.pages["runs"]
        shown = await student.call("GET", f"/api/sessions/{self.labs['runs']}")
        assert shown["state"] == "live"
        assert 55 * 60 < shown["deadline"]["seconds_left"] <= 60 * 60, shown
        await page.connect()
        seen = counted(page)[-1]
        async with student.page(self.labs["tab"]) as tab:
            assert await ask(tab, "echo $$") == self.said["tab"]
            await ask(tab, "touch /root/enough")
            await page.expect("ALLDONE\r\n")
            counts = counted(page)
            assert counts == list(range(1, counts[-1] + 1))
            assert counts[-1] > seen
            assert await ask(tab, "cat /root/count") == "\r\n".join(map(str, counts))
        assert page.gaps == []
        assert await ask(page, "echo $$") == self.said["runs"]

    async def began(self) -> None:
        for name in ("begins", "anew"):
            await self.people[name].until(self.labs[name], "live")
            page = self.pages[name]
            await page.connect()
            assert await ask(page, "echo $$; cat /root/mine") == f"{self.said[name]}\r\nsince"

    async def ended(self) -> None:
        for name, session in (("ends", self.labs["ends"]), ("anew", self.said["ended"])):
            shown = await self.people[name].call("GET", f"/api/sessions/{session}")
            assert (shown["state"], shown["error"]["code"]) == ("ended", "container_gone")
            assert "gone from the host" in shown["error"]["message"]

    async def was_reset(self) -> None:
        student, session = self.people["resets"], self.labs["resets"]
        assert await self._reads(student, session) == "before\r\nand-since"
        new = (await student.call("POST", f"/api/sessions/{session}/restore", status=202))["id"]
        await student.until(new, "live")
        assert await self._reads(student, new) == "after-reset"

    async def _reads(self, student: User, session: str) -> str:
        terminals = (await student.call("POST", f"/api/sessions/{session}/terminals", status=201))["id"]
        async with student.page(terminals) as page:
            return await ask(page, "cat /root/mine")

    async def waited(self) -> None:
        assert self.in_lxd["begins"] not in await waiting(self.rows)
        student = self.people["ends"]
        session = await student.start(LESSON)
        async with student.page(await student.first_terminal(session)) as page:
            assert await ask(page, "ls /root") == "", "nobody's files"

    async def made_since(self) -> None:
        await self.people["late"].call(
            "POST", "/api/login", {"email": "late@example.test", "password": PASSWORD}, status=401
        )
        instance = await self.lxd.instance(self.in_lxd["late"])
        assert (instance["status"], ORPHANED in instance["config"]) == ("Stopped", True)
        # Whoever is made now may have the same number.
        user = await self.rows.users.put("other@example.test", "Other", PasswordHasher().hash(PASSWORD))
        await self.rows.courses.enrol(COURSE, user, "student")
        assert instance["config"]["user.educenter.user"] == str(user), "the danger that is meant"
        status, told = await self.place.command("containers", "adopt")
        assert (status, f"{self.in_lxd['late']}\t{NEW_USER}" in told) == (0, True), told

    async def audited(self) -> None:
        acts = (await self.people["teacher"].call("GET", f"/api/courses/{COURSE}/acts"))["acts"]
        assert [act["session"] for act in acts] == [self.labs["runs"]]
        with pytest.raises(Unavailable, match="PostgreSQL refused"):
            await self.rows.database.run("UPDATE acts SET who_name = 'Nobody'")

    async def close(self) -> None:
        for page in self.pages.values():
            await page.leave()
        for person in self.people.values():
            await person.http.close()


@pytest.fixture
async def story(place: Place, rows: Store, lxd: Lxd, make_server: Callable[..., Server]) -> AsyncIterator[Story]:
    await rows.database.run("DELETE FROM lessons WHERE id <> $1", LESSON)  # the pool has one kind
    server = make_server(**place.settings, POOL_READY="1", POOL_AWAKE="1", POOL_SPARE="0", SWEEP_SECONDS="1")
    server.start()
    told = Story(place, server, rows, lxd)
    try:
        yield told
    finally:
        await told.close()
        server.stop()


@pytest.fixture
async def halted(story: Story) -> Story:
    """Four with a lab each, a file in it; all instances are stopped, as the runbook says."""
    names = ("aside", "anew", "asleep", "starts")
    await story.come(*names)
    for name in names:
        await story.begin(name)
        await story.write(name, "mine")
    # Whoever is root there can say that there are other shells.
    await ask(story.pages["asleep"], "cd /dev/.educenter; touch aaaaaaaaaaaaaaaaaaaa.sock NONE.sock ../x.sock; cd")
    for page in story.pages.values():
        await page.leave()
    story.server.stop()
    return story


def counted(page: Page) -> list[int]:
    return [int(n) for n in re.findall(rb"(?<![\w$])N(\d+)\r\n", bytes(page.output))]


def table() -> list[str]:
    """What the runbook's table is about: the first cell of each row."""
    section = (ROOT / "docs/operations.md").read_text().split("\n## Backup\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("|")]
    return rows[2:]


async def test_what_is_back_and_what_is_not(story: Story, aloud: Callable[[str], None]) -> None:
    await story.before()
    dumped = await story.place.back_up("backup")
    await story.since()
    for page in story.pages.values():
        await page.leave()
    restored = await story.lose()
    adopted = await story.adopt()
    story.server.start()
    claims: dict[str, Callable[[], Awaitable[None]]] = {
        "a sign-in": story.sign_ins,
        "a lab that ran": story.ran,
        "a lab that was begun since": story.began,
        "a lab that was reset since": story.was_reset,
        "a lab that was ended since": story.ended,
        "a container that waited in the pool": story.waited,
        "a user, course or lesson that was made since, with the labs of it": story.made_since,
        "accounts of who did what in and to labs": story.audited,
    }
    assert list(claims) == table()
    for claim in claims.values():
        await claim()
    aloud(
        f"pg_dump {dumped:.1f} s, wipe, pg_restore and migrate {restored:.1f} s, adopt of {len(story.in_lxd)} {adopted:.1f} s"
    )


async def test_what_was_set_aside_or_slept_or_was_just_starting_is_adopted_too(halted: Story, lxd: Lxd) -> None:
    place, labs = halted.place, halted.labs
    for name in ("aside", "anew"):
        await forget(halted.rows, labs[name])
    mend = reconciler(halted.rows, lxd, place.settings["DEPLOYMENT"])
    assert {halted.in_lxd["aside"], halted.in_lxd["anew"]} <= set((await mend.run()).orphans)
    old = halted.in_lxd["anew"]
    halted.server.start()
    await halted.begin("anew")
    await halted.pages["anew"].leave()
    halted.server.stop()
    await forget(halted.rows, labs["asleep"])
    await lxd.freeze(halted.in_lxd["asleep"])
    await back_to_its_start(halted.rows, labs["starts"])
    status, told = await place.command("containers", "adopt")
    assert status == 0, told
    said = dict(line.split("\t") for line in told.splitlines() if "\t" in line)
    assert [said[halted.in_lxd[name]] for name in ("aside", "asleep", "starts")] == [LIVE] * 3
    assert said[old] == KEPT
    assert not [name for name in (old, halted.in_lxd["aside"]) if ORPHANED in (await lxd.instance(name))["config"]]
    found = await mend.run()
    assert not {old, *halted.in_lxd.values()} & {*found.orphans, *found.kept, *found.gone}
    halted.server.start()
    for name in ("asleep", "starts"):
        terminals = (await halted.people[name].call("GET", f"/api/sessions/{labs[name]}"))["terminals"]
        assert len(terminals) == 1, "not what somebody made up"
        async with halted.people[name].page(terminals[0]["id"]) as page:
            assert await ask(page, "echo $$; cat /root/mine") == f"{halted.said[name]}\r\nmine"
    shown = await halted.people["aside"].call("GET", f"/api/sessions/{labs['aside']}")
    assert (shown["state"], shown["rest"]) == ("live", "stopped"), "nothing is started before its student comes"
    async with halted.people["aside"].page(shown["terminals"][0]["id"]) as page:
        assert await ask(page, "cat /root/mine") == "mine"
    restored = await halted.people["anew"].call("POST", f"/api/sessions/{labs['anew']}/restore", status=202)
    await halted.people["anew"].until(restored["id"], "live")
    assert await halted.people["anew"].first_terminal(restored["id"])
    assert await halted._reads(halted.people["anew"], restored["id"]) == "mine"


async def forget(rows: Store, session: str) -> None:
    """As if the backup were from before."""
    for sql in ("DELETE FROM containers WHERE session_id = $1", "DELETE FROM sessions WHERE id = $1"):
        await rows.database.run(sql, session)


async def back_to_its_start(rows: Store, session: str) -> None:
    """As if the backup had been made while its container was being made."""
    for sql in (
        "DELETE FROM terminals WHERE session_id = $1",
        "UPDATE sessions SET state = 'starting', live_at = NULL, started_by = 'dead', heard_at = 'epoch' WHERE id = $1",
        "UPDATE containers SET state = 'warming', maker = 'dead', heard_at = 'epoch' WHERE session_id = $1",
    ):
        await rows.database.run(sql, session)


async def test_somebodys_container_waits_for_nobody_whatever_its_row_says(
    place: Place, rows: Store, lxd: Lxd, house: House
) -> None:
    deployment = place.settings["DEPLOYMENT"]
    theirs = await house.orphan(deployment, **tags(1))
    nobodys = await house.orphan(deployment)
    for name in (theirs, nobodys):
        await rows.database.run("INSERT INTO containers (name, state) VALUES ($1, 'ready')", name)
    mend = reconciler(rows, lxd, deployment)
    found = await mend.run()
    assert (found.astray, found.orphans) == ([theirs], [])
    assert await rows.containers.names() == {nobodys}, "an instance that runs without adoption hands it to nobody"
    assert (await mend.run()).orphans == [theirs]


async def test_a_sign_in_is_not_handed_to_who_has_the_number_since(rows: Store, story: Story) -> None:
    user = await rows.users.put("late@example.test", "Late", PasswordHasher().hash(PASSWORD))
    await story.come("late")
    await story.people["late"].call("GET", "/api/me")
    # As after a restore without an empty Redis.
    await rows.users.delete("late@example.test")
    await rows.database.value("SELECT setval(pg_get_serial_sequence('users', 'id'), $1, false)", user)
    assert await rows.users.put("other@example.test", "Other", PasswordHasher().hash(PASSWORD)) == user
    await story.people["late"].call("GET", "/api/me", status=401)


async def test_another_ones_labs_are_not_adopted_unless_somebody_says_so(
    place: Place, rows: Store, house: House
) -> None:
    user = await rows.users.by_email("student01@demo.test")
    assert user is not None
    deployment = place.settings["DEPLOYMENT"]
    strange = [await house.orphan(deployment, **tags(1_000_000 + number)) for number in range(MOST + 1)]
    ours = await house.orphan(deployment, **tags(user.id))
    wrong = await house.orphan(deployment, **tags(user.id) | {"user.educenter.session": "../etc"})
    status, told = await place.command("containers", "adopt")
    assert (status, "another one's database" in told) == (1, True), told
    assert await rows.containers.names() == set()
    status, told = await place.command("containers", "adopt", "--force")
    assert status == 0, told
    assert await rows.containers.names() == {ours}
    for name in strange:
        assert f"{name}\t{NO_USER}" in told
    assert f"{wrong}\t{UNTOLD}" in told


def tags(user: int) -> dict[str, str]:
    said = {"session": secrets.token_hex(10), "user": str(user), "lesson": LESSON}
    return {f"user.educenter.{key}": value for key, value in said.items()}
