"""Timetable: when courses have their classes, and how many students are expected. No lab is put to rest in one."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from terminals.store.database import Database

AHEAD, LATE = timedelta(minutes=10), timedelta(minutes=15)
"""Containers wait for a class from so long before it begins until so long after."""


@dataclass(frozen=True, slots=True)
class Class:
    """One scheduled class."""

    id: int
    course: str
    starts_at: datetime
    ends_at: datetime
    seats: int


class Timetable:
    """The timetable table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, course: str, starts_at: datetime, ends_at: datetime, seats: int) -> int | None:
        """Its id; None: no such course.

        Raises:
            Conflict: it ends before it begins, or such a number of seats can't be.
        """
        sql = """
            INSERT INTO timetable (course_id, starts_at, ends_at, seats) SELECT id, $2, $3, $4 FROM courses WHERE id = $1
            RETURNING id"""
        found: int | None = await self._database.value(sql, course, starts_at, ends_at, seats)
        return found

    async def all(self, since: datetime, course: str | None = None) -> list[Class]:
        """Those that end after `since`, of one course or of all, the next first."""
        sql = """
            SELECT id, course_id AS course, starts_at, ends_at, seats FROM timetable
            WHERE ends_at > $1 AND ($2::text IS NULL OR course_id = $2) ORDER BY starts_at, id"""
        return [Class(**row) for row in await self._database.fetch(sql, since, course)]

    async def remove(self, number: int) -> bool:
        """Whether there was one."""
        return bool(await self._database.run("DELETE FROM timetable WHERE id = $1", number))

    async def booked(self, now: datetime) -> dict[tuple[str, str], int]:
        """(image, network) → students who are expected about now and aren't in a lab yet. A course's is most of its lessons'."""
        sql = """
            SELECT i.image, i.network, sum(greatest(0, t.seats - r.running))::int AS seats FROM timetable t
            CROSS JOIN LATERAL (SELECT l.image, l.network FROM lessons l WHERE l.course_id = t.course_id
                GROUP BY l.image, l.network ORDER BY count(*) DESC, min(l.position) LIMIT 1) i
            CROSS JOIN LATERAL (SELECT count(*) AS running FROM sessions s JOIN lessons l ON l.id = s.lesson_id
                WHERE l.course_id = t.course_id AND s.state <> 'ended') r
            WHERE t.starts_at <= $2 AND t.starts_at > $3 AND t.ends_at > $1 GROUP BY i.image, i.network"""
        rows = await self._database.fetch(sql, now, now + AHEAD, now - LATE)
        return {(row["image"], row["network"]): row["seats"] for row in rows}
