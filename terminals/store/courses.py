"""Courses: classes and who is in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from terminals.store.database import Database

COURSE = "[a-z0-9][a-z0-9-]{0,62}"
"""What a course's id can be, as a pattern."""


@dataclass(frozen=True, slots=True)
class Course:
    """A course as its instructors see it."""

    id: str
    title: str
    join_code: str | None
    students: int
    live: int
    """Students with a running session."""
    watching: str
    """What instructors may see of terminals: off, or notice: the student is told."""
    assisting: str
    """Whether they may type: off, ask: when the student allows it, or allow."""

    @property
    def rules(self) -> dict[str, str]:
        """As `rule` takes them."""
        return {"watching": self.watching, "assisting": self.assisting}


_COURSES = """
    SELECT c.id, c.title, c.join_code, c.watching, c.assisting,
        (SELECT count(*) FROM enrolments s WHERE s.course_id = c.id AND s.role = 'student') AS students,
        (SELECT count(DISTINCT r.user_id) FROM sessions r JOIN lessons l ON l.id = r.lesson_id
            JOIN enrolments s ON s.user_id = r.user_id AND s.course_id = l.course_id AND s.role = 'student'
            WHERE l.course_id = c.id AND r.state <> 'ended') AS live
    FROM courses c JOIN enrolments e ON e.course_id = c.id AND e.user_id = $1 AND e.role = 'instructor'"""


class Courses:
    """The courses and enrolments tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, course: str, title: str, join_code: str | None = None) -> None:
        """Adds a course, or retitles it."""
        sql = """
            INSERT INTO courses (id, title, join_code) VALUES ($1, $2, $3)
            ON CONFLICT (id) DO UPDATE SET title = $2, join_code = $3"""
        await self._database.run(sql, course, title, join_code)

    async def name(self, course: str, title: str) -> None:
        """Adds a course that nobody can join by a code, or retitles it."""
        sql = "INSERT INTO courses (id, title) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET title = $2"
        await self._database.run(sql, course, title)

    async def set_code(self, course: str, code: str | None) -> None:
        """With which people enrol themselves; None: nobody does."""
        await self._database.run("UPDATE courses SET join_code = $2 WHERE id = $1", course, code)

    async def is_there(self, course: str) -> bool:
        return bool(await self._database.value("SELECT count(*) FROM courses WHERE id = $1", course))

    async def all(self) -> list[dict[str, str | int | None]]:
        """id, title, code, instructors, students, lessons and live labs of each, by id."""
        sql = """
            SELECT c.id, c.title, c.join_code AS code,
                (SELECT count(*) FROM enrolments e WHERE e.course_id = c.id AND e.role = 'instructor') AS instructors,
                (SELECT count(*) FROM enrolments e WHERE e.course_id = c.id AND e.role = 'student') AS students,
                (SELECT count(*) FROM lessons l WHERE l.course_id = c.id) AS lessons,
                (SELECT count(*) FROM sessions s JOIN lessons l ON l.id = s.lesson_id
                    WHERE l.course_id = c.id AND s.state <> 'ended') AS live
            FROM courses c ORDER BY c.id"""
        return [dict(row) for row in await self._database.fetch(sql)]

    async def limit(self, course: str, limits: Mapping[str, str | int | None]) -> None:
        """Its limits, by name, for lessons that say nothing; those that aren't named are the deployment's."""
        sql = "UPDATE courses SET memory = $2, cpu = $3, processes = $4, disk = $5, output = $6 WHERE id = $1"
        names = ("memory", "cpu", "processes", "disk", "output")
        await self._database.run(sql, course, *(limits.get(name) for name in names))

    async def rule(self, course: str, watching: str, assisting: str) -> None:
        """What instructors may do in students' terminals."""
        await self._database.run(
            "UPDATE courses SET watching = $2, assisting = $3 WHERE id = $1", course, watching, assisting
        )

    async def keep(self, course: str, minutes: Sequence[int | None]) -> bool:
        """How long its labs are kept: idle, stop, end and max minutes, None for the settings' own. False: no such course."""
        sql = (
            "UPDATE courses SET idle_minutes = $2, stop_minutes = $3, end_minutes = $4, max_minutes = $5 WHERE id = $1"
        )
        return bool(await self._database.run(sql, course, *minutes))

    async def enrol(self, course: str, user: int, role: str) -> None:
        """`role`: student or instructor."""
        sql = """
            INSERT INTO enrolments (course_id, user_id, role) VALUES ($1, $2, $3)
            ON CONFLICT (course_id, user_id) DO UPDATE SET role = $3"""
        await self._database.run(sql, course, user, role)

    async def join(self, code: str, user: int) -> tuple[str, str] | None:
        """(id, title) of the course with this join code, where the user is from now on at least a student; None: no such code."""
        row = await self._database.row("SELECT id, title FROM courses WHERE join_code = $1", code)
        if row is None:
            return None
        sql = "INSERT INTO enrolments (course_id, user_id, role) VALUES ($1, $2, 'student') ON CONFLICT DO NOTHING"
        await self._database.run(sql, row["id"], user)
        return row["id"], row["title"]

    async def taught(self, user: int) -> list[Course]:
        """Those that the user is an instructor of."""
        return [Course(**row) for row in await self._database.fetch(f"{_COURSES} ORDER BY c.title, c.id", user)]

    async def of_instructor(self, course: str, user: int) -> Course | None:
        """The course, if the user is an instructor of it."""
        row = await self._database.row(f"{_COURSES} WHERE c.id = $2", user, course)
        return Course(**row) if row else None
