"""The commands, as operators run them."""

import asyncio
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from server.__main__ import parser
from terminals.store import Store
from tests.client import User
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
    assert "8 characters" in command("user", "add", "a@example.test", "A", given="short\n").stderr
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
