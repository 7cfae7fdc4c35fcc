"""Courses: classes and who is in them."""

from terminals.store.database import Database


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

    async def enrol(self, course: str, user: int, role: str) -> None:
        """`role`: student or instructor."""
        sql = """
            INSERT INTO enrolments (course_id, user_id, role) VALUES ($1, $2, $3)
            ON CONFLICT (course_id, user_id) DO UPDATE SET role = $3"""
        await self._database.run(sql, course, user, role)
