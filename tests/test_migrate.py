"""Migrations against the real PostgreSQL, each test in a database of its own."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import pytest

from server import migrate

ROOT = Path(__file__).parent.parent


def execute(url: str, sql: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


@pytest.fixture
def database() -> Iterator[str]:
    admin = os.environ["DATABASE_URL"]
    name = f"migrate_{secrets.token_hex(4)}"
    execute(admin, f"CREATE DATABASE {name}")
    yield urlunsplit(urlsplit(admin)._replace(path=f"/{name}"))
    execute(admin, f"DROP DATABASE {name} WITH (FORCE)")


def tables(url: str) -> set[object]:
    sql = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE '%yoyo%'"
    return {row[0] for row in execute(url, sql)}


def run(url: str, *words: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "DATABASE_URL": url, "PUBLIC_URL": "http://127.0.0.1:8000"}
    command = [sys.executable, "-m", "server", "migrate", *words]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=-1, stderr=-2, text=True)


def test_every_migration_rolls_back_to_nothing_and_applies_again(database: str) -> None:
    names = migrate.apply(database)
    assert tables(database) == {
        "users",
        "courses",
        "enrolments",
        "lessons",
        "sessions",
        "containers",
        "terminals",
        "audits",
        "hands",
        "timetable",
        "acts",
    }
    assert migrate.apply(database) == []
    assert migrate.roll_back(database, len(names)) == names[::-1]
    assert tables(database) == set()
    assert migrate.apply(database) == names


def test_two_at_once_apply_each_migration_once(database: str) -> None:
    both = [run(database), run(database)]
    outputs = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sum("Nothing to do." in output for output in outputs) == 1


def test_a_killed_migration_does_not_block_the_next(database: str) -> None:
    migrate.apply(database)
    migrate.roll_back(database, 1)
    # What SIGKILL leaves behind: yoyo's lock row, written by a process that is gone.
    execute(database, "INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, now(), 999999)")
    process = run(database)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "sessions" in tables(database)


def test_a_database_that_does_not_answer_is_said_plainly() -> None:
    process = run("postgresql://nobody@127.0.0.1:1/none")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "PostgreSQL doesn't answer at DATABASE_URL" in output
    assert "Traceback" not in output


def test_many_at_once_in_one_process_take_turns(database: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        applied = list(threads.map(lambda _: migrate.apply(database), range(4)))
    assert sorted(map(len, applied)) == [0, 0, 0, len(list(migrate.FOLDER.glob("*.rollback.sql")))]
