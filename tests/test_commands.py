"""The commands, as operators run them."""

import asyncio
import csv
import json
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from server.__main__ import parser
from terminals.store import Store
from tests.client import PASSWORD, User
from tests.conftest import ROOT, Server


@pytest.fixture
def command(server: Server) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    def run(*words: str, given: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "server", *words],
            cwd=ROOT,
            env={**server.settings, "PORT": "8000"},
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("serve",),
        ("drain",),
        ("doctor",),
        ("proxy",),
        ("migrate",),
        ("seed",),
        ("lxd",),
        ("lxd", "setup"),
        ("course",),
        ("course", "keep"),
        ("course", "enrol"),
        ("lesson", "put"),
        ("containers", "adopt"),
        ("session",),
        ("audit", "export"),
        ("timetable",),
        ("timetable", "add"),
        ("user",),
        ("user", "add"),
        ("user", "delete"),
    ],
)
def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args([*words, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.count("\n") > 3


def test_help_needs_no_settings_and_no_service() -> None:
    environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    command = [sys.executable, "-m", "server", "--help"]
    found = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (found.returncode, found.stderr) == (0, "")
    assert "lxd setup" in found.stdout


async def test_a_user_is_added_signs_in_and_is_deleted_labs_and_all(
    command: Callable[..., Any], make_server: Callable[..., Server], store: Store
) -> None:
    server = make_server(SWEEP_SECONDS="1")
    server.start()
    email = f"ada-{secrets.token_hex(4)}@example.test"
    added = command("user", "add", email, "Ada", "--course", "linux-basics", given="a-good-password\n")
    assert added.returncode == 0, added.stderr
    assert email in command("user", "list").stdout
    async with User(server.url, email) as ada:
        await ada.sign_in("a-good-password")
        session = await ada.start("tiny-system")
        first = command("user", "delete", email)
        assert (first.returncode, "Try again in a minute" in first.stderr) == (1, True)
        # As if the start's last beat were older than the janitor's patience.
        await store.database.run("UPDATE sessions SET heard_at = now() - interval '1 hour' WHERE id = $1", session)
        await store.database.run(
            "UPDATE containers SET heard_at = now() - interval '1 hour' WHERE session_id = $1", session
        )
        async with asyncio.timeout(90):
            while await store.containers.of_session(session) is not None:
                await asyncio.sleep(0.2)
    assert command("user", "delete", email).returncode == 0
    assert command("user", "delete", email).returncode == 1


def test_a_short_password_and_an_odd_address_are_refused_in_words(command: Callable[..., Any]) -> None:
    assert "8 to 1024 characters" in command("user", "add", "a@example.test", "A", given="short\n").stderr
    odd = command("user", "add", "no-address", "A", given="a-good-password\n")
    assert odd.returncode == 1
    assert "Traceback" not in odd.stderr


async def test_a_course_says_how_long_its_labs_are_kept(command: Callable[..., Any], store: Store) -> None:
    await store.courses.put("commanded", "Commanded")

    async def kept() -> tuple[int | None, ...]:
        sql = "SELECT idle_minutes, stop_minutes, end_minutes, max_minutes FROM courses WHERE id = 'commanded'"
        return tuple(await store.database.row(sql))

    done = command("course", "keep", "commanded", "--idle", "45", "--max", "600")
    assert (done.returncode, await kept()) == (0, (45, None, None, 600)), done.stderr
    assert command("course", "keep", "commanded").returncode == 0
    assert await kept() == (None,) * 4
    for wrong in (("commanded", "--idle", "1"), ("commanded", "--idle", "long"), ("commanded", "--end", "50000")):
        assert command("course", "keep", *wrong).returncode == 2
    unknown = command("course", "keep", "no-such-course")
    assert (unknown.returncode, "There is no course" in unknown.stderr) == (1, True)


async def test_classes_are_added_listed_and_removed(command: Callable[..., Any], store: Store) -> None:
    await store.courses.put("commanded", "Commanded")
    start, end = "2099-12-01T10:00+01:00", "2099-12-01T12:00+01:00"
    added = command("timetable", "add", "commanded", start, end, "--seats", "30")
    assert added.returncode == 0, added.stderr
    number = added.stdout.split()[-1]
    line = f"{number}\tcommanded\t2099-12-01T09:00+00:00\t2099-12-01T11:00+00:00\t30"
    assert line in command("timetable", "list").stdout.splitlines()
    assert line in command("timetable", "list", "commanded").stdout.splitlines()
    assert line not in command("timetable", "list", "another").stdout.splitlines()
    for wrong in ((end, start), ("2099-12-01T10:00", end), (start, "noon"), (start, end, "--seats", "-1")):
        assert command("timetable", "add", "commanded", *wrong).returncode == 2
    assert command("timetable", "add", "no-such-course", start, end).returncode == 1
    assert command("timetable", "remove", number).returncode == 0
    assert command("timetable", "remove", number).returncode == 1


@dataclass
class Course:
    """One of a test's own, with everybody in it."""

    id: str
    domain: str


@pytest.fixture
async def course(store: Store) -> AsyncIterator[Course]:
    made = Course(f"c-{secrets.token_hex(4)}", f"{secrets.token_hex(4)}.test")
    yield made
    await store.database.run("DELETE FROM courses WHERE id = $1", made.id)
    await store.database.run("DELETE FROM users WHERE email LIKE $1", f"%@{made.domain}")


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines(), delimiter="\t"))


async def test_a_course_is_made_filled_from_a_list_and_joined_by_a_code(
    command: Callable[..., Any], course: Course, server: Server
) -> None:
    assert command("course", "add", course.id, "Shell, first term").returncode == 0
    put = command(
        "lesson", "put", course.id, course.id, "Files", "--position", "1", "--image", "busybox", "--body", "-"
    )
    assert (put.returncode, "--body -" in put.stderr) == (2, True)
    put = command("lesson", "put", course.id, course.id, "Files", "--position", "1", "--image", "busybox")
    assert put.returncode == 0, put.stderr
    people = f"email,name,role\nada@{course.domain},Ada,instructor\nbo@{course.domain},Bo,\n"
    done = command("course", "enrol", course.id, "-", given=people)
    assert done.returncode == 0, done.stderr
    links = {row["email"]: row["link"] for row in csv.DictReader(done.stdout.splitlines())}
    assert sorted(links) == [f"ada@{course.domain}", f"bo@{course.domain}"]
    again = command("course", "enrol", course.id, "-", given=people)
    assert (again.returncode, again.stdout) == (0, "email,link\n")
    async with User(server.url, f"bo@{course.domain}") as bo:
        token = links[f"bo@{course.domain}"].partition("#")[2]
        short = await bo.call("POST", "/api/password", {"token": token, "password": "short"}, status=400)
        assert short["error"]["code"] == "bad_password"
        await bo.call("POST", "/api/password", {"token": token, "password": "a-good-password"}, status=204)
        spent = await bo.call("POST", "/api/password", {"token": token, "password": "another-one"}, status=410)
        assert spent["error"]["code"] == "link_spent"
        await bo.sign_in("a-good-password")
        assert [each["id"] for each in (await bo.call("GET", "/api/lessons"))["lessons"]] == [course.id]
    off = command("course", "code", course.id)
    assert (off.returncode, "--new" in off.stdout) == (0, True)
    code = command("course", "code", course.id, "--new").stdout.strip()
    assert command("course", "code", course.id).stdout.strip() == code
    listed = next(row for row in table(command("course", "list").stdout) if row["course"] == course.id)
    assert listed == {
        "course": course.id,
        "title": "Shell, first term",
        "code": code,
        "instructors": "1",
        "students": "1",
        "lessons": "1",
        "live labs": "0",
    }
    assert command("course", "code", course.id, "--off").returncode == 0
    assert command("course", "code", "no-such-course", "--new").returncode == 1


def test_a_list_with_a_mistake_enrols_nobody(command: Callable[..., Any], course: Course) -> None:
    command("course", "add", course.id, "Shell")
    people = f"email,name\nada@{course.domain},Ada\nnot-an-address,Bo\n"
    wrong = command("course", "enrol", course.id, "-", given=people)
    assert (wrong.returncode, "line 3: not-an-address" in wrong.stderr) == (2, True)
    assert course.domain not in command("user", "list").stdout
    unknown = command("course", "enrol", "no-such-course", "-", given=f"email,name\nada@{course.domain},Ada\n")
    assert (unknown.returncode, "There is no course" in unknown.stderr) == (1, True)
    assert course.domain not in command("user", "list").stdout


async def test_a_link_signs_its_user_out_everywhere(command: Callable[..., Any], student: User) -> None:
    session = await student.start("tiny-system")
    async with student.page(await student.first_terminal(session)) as page:
        link = command("user", "link", student.email).stdout.strip()
        token = link.partition("#")[2]
        await student.call("POST", "/api/password", {"token": token, "password": PASSWORD}, status=204)
        assert (await page.closed()).code == 4401
    await student.call("GET", "/api/me", status=401)
    await student.sign_in()
    assert command("user", "link", "nobody@example.test").returncode == 1


async def test_signing_out_everywhere_closes_the_sockets_of_every_device_and_no_shell(
    make_user: Callable[..., Any], server: Server, student: User
) -> None:
    session = await student.start("tiny-system")
    async with User(server.url, student.email) as elsewhere:
        await elsewhere.sign_in()
        async with elsewhere.page(await student.first_terminal(session)) as page:
            await page.type("still=here\r")
            await student.call("POST", "/api/logout/everywhere", status=204)
            assert (await page.closed()).code == 4401
        await elsewhere.call("GET", "/api/me", status=401)
    await student.sign_in()
    async with student.page(await student.first_terminal(session)) as page:
        await page.type("echo $still\r")
        await page.expect("\nhere")


async def test_labs_are_listed_and_ended(command: Callable[..., Any], student: User, store: Store) -> None:
    session = await student.start("tiny-system")
    listed = next(row for row in table(command("session", "list").stdout) if row["session"] == session)
    container = str(await store.containers.of_session(session))
    assert (listed["user"], listed["state"], listed["container"]) == (student.email, "live", container)
    assert session not in command("session", "list", "no-such-course").stdout
    async with student.page(await student.first_terminal(session)) as page:
        assert command("session", "end", session).returncode == 0
        assert (await page.closed()).code == 4408
    again = command("session", "end", session)
    assert (again.returncode, "hasn't ended" in again.stderr) == (1, True)


async def test_the_account_of_what_instructors_did_comes_whole_and_in_order(
    command: Callable[..., Any], student: User, make_user: Callable[..., Any], server: Server, store: Store
) -> None:
    teacher: User = await make_user(server.url, role="instructor")
    began = datetime.now(UTC).isoformat()
    session = await student.start("tiny-system")
    path = f"/api/courses/linux-basics/sessions/{session}/acts"
    for act in ("extend", "end"):
        await teacher.call("POST", path, {"act": act}, status=202)
    done = command("audit", "export", "linux-basics", "--since", began)
    assert done.returncode == 0, done.stderr
    mine = [row for row in map(json.loads, done.stdout.splitlines()) if row["session_id"] == session]
    assert [(row["kind"], row["act"]) for row in mine] == [("act", "extend"), ("act", "end")]
    assert session not in command("audit", "export", "linux-basics", "--until", began).stdout
    assert session not in command("audit", "export", "no-such-course").stdout
    assert command("audit", "export", "--since", "yesterday").returncode == 2
