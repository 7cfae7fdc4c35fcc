"""Kept: containers of labs that were reset, with all files, so that they can be restored; and the exchange of one for another."""

from dataclasses import dataclass
from datetime import datetime

from terminals.errors import Conflict
from terminals.store.database import Database, new_id

DAYS = 7
_END = "UPDATE sessions SET state = 'ended', ended_at = now(), ended_by = 'reset' WHERE id = $1 AND state = 'live'"
_BEGIN = """
    INSERT INTO sessions (id, user_id, lesson_id, started_by) SELECT $2, user_id, lesson_id, NULL FROM sessions WHERE id = $1"""
_TAKE = """
    UPDATE containers c SET state = 'taken', session_id = $2, heard_at = now() FROM (
        SELECT k.name FROM containers k JOIN sessions s ON s.user_id = k.kept_user AND s.lesson_id = k.kept_lesson
        WHERE s.id = $1 AND k.state = 'kept' AND k.kept_until > now() ORDER BY k.kept_at DESC LIMIT 1 FOR UPDATE OF k) one
    WHERE c.name = one.name"""
# The shell that waited in it is the ended session's.
_KEEP = f"""
    UPDATE containers c SET state = 'kept', session_id = NULL, kept_user = s.user_id, kept_lesson = s.lesson_id,
        kept_at = now(), kept_until = now() + interval '{DAYS} days', terminal_id = NULL, birth = NULL, heard_at = now()
    FROM sessions s WHERE s.id = $1 AND c.session_id = $1 AND c.state = 'taken'"""
_CLOSE = "DELETE FROM terminals WHERE session_id = $1"
_DROP = """
    UPDATE containers SET state = 'gone' WHERE name IN (
        SELECT k.name FROM containers k JOIN sessions s ON s.user_id = k.kept_user AND s.lesson_id = k.kept_lesson
        WHERE s.id = $1 AND k.state = 'kept' ORDER BY k.kept_at DESC OFFSET $2)"""


@dataclass(frozen=True, slots=True)
class Restorable:
    """What can be restored."""

    name: str
    at: datetime
    until: datetime


class Kept:
    """The containers table, where they are kept."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def reset(self, session: str) -> str:
        """A live session is ended and a new one of the same lesson waits for its start; the old one's container is kept.

        An older one of this user and lesson is to go. All or nothing.

        Raises:
            Conflict: it isn't live, or not any more.
        """
        return await self._exchange(session, restores=False)

    async def restore(self, session: str) -> str:
        """The same, but the new session has the container that is kept, and begins with it.

        Raises:
            Conflict: as `reset`; or nothing is kept.
        """
        return await self._exchange(session, restores=True)

    async def _exchange(self, session: str, *, restores: bool) -> str:
        new = new_id()
        async with self._database.transaction() as run:
            if not await run(_END, session):
                raise Conflict("This lab isn't running", code="not_live")
            await run(_BEGIN, session, new)
            if restores and not await run(_TAKE, session, new):
                raise Conflict("There are no earlier files of this lesson to restore", code="nothing_kept")
            await run(_KEEP, session)
            await run(_CLOSE, session)
            # One that a restore couldn't start is still there beside it, and may be the better one.
            await run(_DROP, session, 2 if restores else 1)
        return new

    async def of(self, user: int, lesson: str) -> Restorable | None:
        """What the user can restore of a lesson."""
        sql = """
            SELECT name, kept_at AS at, kept_until AS until FROM containers
            WHERE kept_user = $1 AND kept_lesson = $2 AND state = 'kept' AND kept_until > now()
            ORDER BY kept_at DESC LIMIT 1"""
        row = await self._database.row(sql, user, lesson)
        return Restorable(**row) if row else None

    async def holds(self, container: str) -> bool:
        """Whether it is kept still."""
        sql = "SELECT EXISTS (SELECT FROM containers WHERE name = $1 AND state = 'kept')"
        return bool(await self._database.value(sql, container))

    async def names(self) -> set[str]:
        """Of all that are kept."""
        return {row["name"] for row in await self._database.fetch("SELECT name FROM containers WHERE state = 'kept'")}

    async def vanish(self, names: list[str]) -> None:
        """LXD doesn't have these: they are to go."""
        sql = "UPDATE containers SET state = 'gone' WHERE state = 'kept' AND name = ANY($1)"
        await self._database.run(sql, names)

    async def expire(self) -> int:
        """Those whose time is over, whose user or lesson is gone, are to go; how many that were."""
        sql = """
            UPDATE containers SET state = 'gone'
            WHERE state = 'kept' AND (kept_until <= now() OR kept_user IS NULL OR kept_lesson IS NULL)"""
        return await self._database.run(sql)
