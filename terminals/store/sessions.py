"""Sessions: one student's run of one lesson; forward only, starting → live → ended."""

from dataclasses import dataclass

from terminals.store.database import Database, new_id

_COLUMNS = """s.id, s.user_id, s.lesson_id, s.state, s.step, s.steps_done, s.error_code, s.error_message,
    round(extract(epoch FROM now() - s.created_at))::int AS age, s.ended_by,
    round(extract(epoch FROM now() - s.ended_at))::int AS ended_ago,
    l.title AS lesson_title, l.minutes AS lesson_minutes, l.position AS lesson_position,
    c.id AS course_id, c.title AS course_title"""
_TABLES = "sessions s JOIN lessons l ON l.id = s.lesson_id JOIN courses c ON c.id = l.course_id"


@dataclass(frozen=True, slots=True)
class Session:
    """A session with its lesson's title."""

    id: str
    user_id: int
    lesson_id: str
    state: str
    step: str
    steps_done: int
    error_code: str | None
    error_message: str | None
    age: int
    """Seconds since it was begun."""
    ended_by: str
    ended_ago: int | None
    """Seconds since it ended."""
    lesson_title: str
    lesson_minutes: int
    lesson_position: int
    course_id: str
    course_title: str


@dataclass(frozen=True, slots=True)
class Running:
    """Somebody's session that hasn't ended."""

    id: str
    state: str
    age: int
    """Seconds since it was begun."""
    user_id: int
    user_name: str
    lesson_id: str
    lesson_title: str


class Sessions:
    """The sessions table. Every change of state names the state it comes from."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, user: int, lesson: str, instance: str) -> tuple[str, bool]:
        """(id, whether it is new): the running session of this lesson, or a new one that `instance` starts."""
        sql = """
            WITH made AS (
                INSERT INTO sessions (id, user_id, lesson_id, started_by) VALUES ($1, $2, $3, $4)
                ON CONFLICT (user_id, lesson_id) WHERE state <> 'ended' DO NOTHING RETURNING id)
            SELECT id, true AS new FROM made
            UNION ALL SELECT id, false FROM sessions WHERE user_id = $2 AND lesson_id = $3 AND state <> 'ended'
            LIMIT 1"""
        # Two at once: the loser's statement sees neither its own row nor, in its snapshot, the winner's.
        while (row := await self._database.row(sql, new_id(), user, lesson, instance)) is None:
            continue
        return row["id"], row["new"]

    async def of_user(self, session: str, user: int) -> Session | None:
        """The session, if it is this user's."""
        sql = f"SELECT {_COLUMNS} FROM {_TABLES} WHERE s.id = $1 AND s.user_id = $2"
        row = await self._database.row(sql, session, user)
        return Session(**row) if row else None

    async def say(self, session: str, step: str, done: int) -> bool:
        """What a start does now. False: the session isn't starting any more."""
        sql = "UPDATE sessions SET step = $2, steps_done = $3, heard_at = now() WHERE id = $1 AND state = 'starting'"
        return bool(await self._database.run(sql, session, step, done))

    async def beat(self, session: str) -> None:
        """The instance that starts it is alive."""
        await self._database.run("UPDATE sessions SET heard_at = now() WHERE id = $1 AND state = 'starting'", session)

    async def go_live(self, session: str) -> bool:
        """starting → live. False: it was ended meanwhile."""
        sql = "UPDATE sessions SET state = 'live', touched_at = now() WHERE id = $1 AND state = 'starting'"
        return bool(await self._database.run(sql, session))

    async def end(self, session: str, error: tuple[str, str] | None = None, by: str = "other") -> str | None:
        """→ ended, its container → gone, its terminals away. The state it came from; None: it had ended already.

        `error`: (code, message); `by`: student, idle or other.
        """
        sql = """
            WITH before AS (SELECT id, state FROM sessions WHERE id = $1 AND state <> 'ended' FOR UPDATE),
            ended AS (
                UPDATE sessions SET state = 'ended', ended_at = now(), error_code = $2, error_message = $3, ended_by = $4
                WHERE id IN (SELECT id FROM before) RETURNING id),
            freed AS (UPDATE containers SET state = 'gone' WHERE session_id IN (SELECT id FROM ended)),
            closed AS (DELETE FROM terminals WHERE session_id IN (SELECT id FROM ended))
            SELECT before.state FROM before"""
        found: str | None = await self._database.value(sql, session, *(error or (None, None)), by)
        return found

    async def running(self, email: str) -> list[str]:
        """Of the user with this address."""
        sql = "SELECT s.id FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.email = $1 AND s.state <> 'ended'"
        return [row["id"] for row in await self._database.fetch(sql, email.strip().lower())]

    async def running_in(self, course: str) -> list[Running]:
        """Of the course's students, by name."""
        sql = """
            SELECT s.id, s.state, round(extract(epoch FROM now() - s.created_at))::int AS age,
                u.id AS user_id, u.name AS user_name, l.id AS lesson_id, l.title AS lesson_title
            FROM sessions s JOIN lessons l ON l.id = s.lesson_id JOIN users u ON u.id = s.user_id
            JOIN enrolments e ON e.course_id = l.course_id AND e.user_id = u.id AND e.role = 'student'
            WHERE l.course_id = $1 AND s.state <> 'ended' ORDER BY u.name, u.id, s.created_at"""
        return [Running(**row) for row in await self._database.fetch(sql, course)]

    async def touch(self, sessions: list[str]) -> None:
        """Somebody has these open."""
        await self._database.run("UPDATE sessions SET touched_at = now() WHERE id = ANY($1)", sessions)

    async def untouched(self, hours: float) -> list[str]:
        """Live sessions that nobody had open for so long."""
        sql = "SELECT id FROM sessions WHERE state = 'live' AND touched_at < now() - make_interval(secs => $1)"
        return [row["id"] for row in await self._database.fetch(sql, hours * 3600)]

    async def abandoned(self, seconds: float) -> list[str]:
        """Sessions whose start wasn't heard of for so long: the instance died."""
        sql = "SELECT id FROM sessions WHERE state = 'starting' AND heard_at < now() - make_interval(secs => $1)"
        return [row["id"] for row in await self._database.fetch(sql, seconds)]
