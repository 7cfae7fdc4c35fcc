"""Acts: which instructor extended, restarted, reset or ended whose lab, and when. Rows are only ever added."""

from dataclasses import dataclass
from datetime import datetime

from terminals.store.database import Database

MOST = 200
"""That are shown at once."""
_COLUMNS = "id, at, who_name, whom_name, session_id, lesson_title, act"


@dataclass(frozen=True, slots=True)
class Act:
    """One of them."""

    id: int
    at: datetime
    who_name: str
    whom_name: str
    session_id: str
    lesson_title: str
    act: str
    """extend, restart, reset or end."""


class Acts:
    """The acts table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, who: int, session: str, act: str) -> None:
        """`who` does it to a session now."""
        sql = """
            INSERT INTO acts (who, who_name, whom, whom_name, course_id, session_id, lesson_title, act)
            SELECT w.id, w.name, u.id, u.name, l.course_id, s.id, l.title, $3
            FROM sessions s JOIN users u ON u.id = s.user_id JOIN lessons l ON l.id = s.lesson_id, users w
            WHERE s.id = $2 AND w.id = $1"""
        await self._database.run(sql, who, session, act)

    async def of_course(self, course: str) -> list[Act]:
        """The newest first, at most `MOST`."""
        sql = f"SELECT {_COLUMNS} FROM acts WHERE course_id = $1 ORDER BY id DESC LIMIT {MOST}"
        return [Act(**row) for row in await self._database.fetch(sql, course)]

    async def of_session(self, session: str) -> Act | None:
        """The newest."""
        sql = f"SELECT {_COLUMNS} FROM acts WHERE session_id = $1 ORDER BY id DESC LIMIT 1"
        row = await self._database.row(sql, session)
        return Act(**row) if row else None
