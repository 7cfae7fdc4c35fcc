"""Migrate: yoyo's migrations as a one-off command, safe when two run at once and after a killed one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
from yoyo import get_backend, read_migrations
from yoyo.backends import DatabaseBackend

FOLDER = Path(__file__).parent.parent / "migrations"
LOCK = 0x6564_756D
"""The advisory lock's key: ASCII "edum". PostgreSQL frees it when the process that holds it dies."""
WAIT_S = 60


class MigrateFailed(Exception):
    """What went wrong and what to do."""


def apply(url: str) -> list[str]:
    """Applies what is missing; returns the names."""
    with _locked(url) as backend:
        missing = backend.to_apply(read_migrations(str(FOLDER)))
        backend.apply_migrations(missing)
        return [migration.id for migration in missing]


def roll_back(url: str, count: int) -> list[str]:
    """Takes the newest `count` back; returns the names."""
    with _locked(url) as backend:
        newest = backend.to_rollback(read_migrations(str(FOLDER)))[:count]
        backend.rollback_migrations(newest)
        return [migration.id for migration in newest]


def pending(url: str) -> list[str]:
    """The names of those that aren't applied."""
    with _locked(url) as backend:
        return [migration.id for migration in backend.to_apply(read_migrations(str(FOLDER)))]


@contextmanager
def _locked(url: str) -> Iterator[DatabaseBackend]:
    try:
        guard = psycopg2.connect(url, connect_timeout=10)
    except psycopg2.OperationalError as error:
        raise MigrateFailed(f"PostgreSQL doesn't answer at DATABASE_URL: {str(error).strip()}") from error
    try:
        guard.autocommit = True
        with guard.cursor() as cursor:
            cursor.execute(f"SET statement_timeout = '{WAIT_S}s'")
            try:
                cursor.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
            except psycopg2.errors.QueryCanceled as error:
                raise MigrateFailed(f"Another migration has run for {WAIT_S} s; try again when it is done") from error
        backend = get_backend(url)
        try:
            # yoyo's own lock is a row that a killed process leaves behind. Ours is held, so whoever wrote it is dead.
            backend.break_lock()
            with backend.lock(timeout=WAIT_S):
                yield backend
        finally:
            backend.connection.close()
    finally:
        guard.close()
