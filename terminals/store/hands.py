"""Hands: who asks for an instructor, in the order in which they did, and which instructor comes."""

from dataclasses import dataclass

from terminals.store.database import Database, new_id

# A hand is down when it was resolved, and when its session has ended: every question about raised ones begins with this.
_RAISED = """
    SELECT h.id, h.session_id, t.id AS terminal_id, round(extract(epoch FROM now() - h.raised_at))::int AS age,
        u.id AS user_id, u.name AS user_name, l.id AS lesson_id, l.title AS lesson_title,
        c.id AS claimer_id, c.name AS claimer_name,
        CASE WHEN c.id IS NULL THEN row_number() OVER (PARTITION BY c.id IS NULL ORDER BY h.raised_at, h.id) END AS place
    FROM hands h JOIN sessions s ON s.id = h.session_id JOIN lessons l ON l.id = s.lesson_id JOIN users u ON u.id = s.user_id
    LEFT JOIN terminals t ON t.id = h.terminal_id LEFT JOIN users c ON c.id = h.claimed_by
    WHERE h.resolved_at IS NULL AND s.state <> 'ended' AND l.course_id = $1"""
# Hand $1, for user $2 who teaches its course: for everybody else it isn't there.
_TAUGHT = """
    sessions s JOIN lessons l ON l.id = s.lesson_id
    JOIN enrolments e ON e.course_id = l.course_id AND e.role = 'instructor'
    WHERE h.id = $1 AND s.id = h.session_id AND e.user_id = $2"""


@dataclass(frozen=True, slots=True)
class Hand:
    """A raised hand."""

    id: str
    session_id: str
    terminal_id: str | None
    """The tab that was in front; None: it is closed meanwhile, or there was none."""
    age: int
    """Seconds since it was raised."""
    user_id: int
    user_name: str
    lesson_id: str
    lesson_title: str
    claimer_id: int | None
    claimer_name: str | None
    place: int | None
    """Among those of the course that nobody has claimed, 1 is next; None: this one is claimed."""


class Hands:
    """The hands table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, session: str, terminal: str | None) -> bool:
        """Raises the session's hand. False: it is up already, or the session isn't live."""
        sql = """
            INSERT INTO hands (id, session_id, terminal_id) SELECT $1, id, $3 FROM sessions WHERE id = $2 AND state = 'live'
            ON CONFLICT (session_id) WHERE resolved_at IS NULL DO NOTHING"""
        return bool(await self._database.run(sql, new_id(), session, terminal))

    async def of_session(self, session: str, course: str) -> Hand | None:
        """The raised hand of a session of the course."""
        row = await self._database.row(f"SELECT * FROM ({_RAISED}) raised WHERE session_id = $2", course, session)
        return Hand(**row) if row else None

    async def of_course(self, course: str) -> list[Hand]:
        """All that are raised, the oldest first."""
        return [Hand(**row) for row in await self._database.fetch(f"{_RAISED} ORDER BY h.raised_at, h.id", course)]

    async def lower(self, session: str, user: int) -> bool:
        """Its student doesn't need anybody any more. False: it wasn't up."""
        sql = "UPDATE hands SET resolved_at = now(), resolved_by = $2 WHERE session_id = $1 AND resolved_at IS NULL"
        return bool(await self._database.run(sql, session, user))

    async def claim(self, hand: str, user: int) -> bool:
        """Makes `user` the one who comes: one of several at once. False: somebody else is, the hand is down, or not theirs."""
        sql = f"""
            UPDATE hands h SET claimed_by = $2, claimed_at = CASE WHEN h.claimed_by = $2 THEN h.claimed_at ELSE now() END
            FROM {_TAUGHT} AND h.resolved_at IS NULL AND s.state <> 'ended' AND (h.claimed_by IS NULL OR h.claimed_by = $2)"""
        return bool(await self._database.run(sql, hand, user))

    async def claimer(self, hand: str, user: int) -> str | None:
        """The name of who has claimed a raised hand of a course that `user` teaches; None: no such hand, or nobody has."""
        sql = f"""
            SELECT c.name FROM hands h JOIN users c ON c.id = h.claimed_by, {_TAUGHT}
                AND h.resolved_at IS NULL AND s.state <> 'ended'"""
        found: str | None = await self._database.value(sql, hand, user)
        return found

    async def resolve(self, hand: str, user: int) -> bool:
        """An instructor has answered it, now or earlier. False: there is no such hand in the courses that `user` teaches."""
        sql = f"""
            UPDATE hands h SET resolved_at = coalesce(h.resolved_at, now()),
                resolved_by = CASE WHEN h.resolved_at IS NULL THEN $2 ELSE h.resolved_by END
            FROM {_TAUGHT}"""
        return bool(await self._database.run(sql, hand, user))
