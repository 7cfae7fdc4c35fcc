"""Terminals: one row for each pty of a session, and the one UPDATE that claims."""

from dataclasses import dataclass

from terminals.errors import Conflict
from terminals.limits import Limits, resolved
from terminals.store.database import Database, new_id

MOST = 8
"""Terminals in a session."""

_CLAIM = f"""
    UPDATE terminals t SET epoch = greatest(t.epoch, $4) + 1, owner = $3
    FROM sessions s JOIN containers c ON c.session_id = s.id
    JOIN lessons l ON l.id = s.lesson_id JOIN courses o ON o.id = l.course_id
    WHERE t.id = $1 AND s.id = t.session_id AND s.user_id = $2 AND s.state = 'live' AND c.state = 'taken' {{more}}
    RETURNING t.id AS terminal, s.id AS session, s.user_id AS user, c.name AS container, t.epoch, t.birth,
        c.member, {resolved("output")}"""


@dataclass(frozen=True, slots=True)
class Claim:
    """Ownership of a terminal at `epoch`, with all that attaching needs."""

    terminal: str
    session: str
    user: int
    container: str
    epoch: int
    birth: bytes | None
    output: int = 0
    """Bytes per second that it may put out for long; 0: as fast as it goes."""
    member: str = ""
    """Of the cluster: where its container is."""


@dataclass(frozen=True, slots=True)
class Watched:
    """Somebody's live terminal, as who may watch it knows it. `claim` is nobody's: its epoch is only what stands."""

    claim: Claim
    student: str
    lesson: str
    course: str
    course_title: str
    assisting: str
    """What the course says of an instructor's typing: off, ask or allow."""
    rest: str
    """Of its session: awake, asleep or stopped."""


@dataclass(frozen=True, slots=True)
class Titled:
    """A terminal of a running session; `title` None: named by what runs in it."""

    id: str
    session_id: str
    position: int
    title: str | None


class Terminals:
    """The terminals table."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self._limits = limits

    async def add(self, session: str) -> str | None:
        """A new terminal of a live or starting session; None: it has `MOST`, or the session is over or restarting."""
        # Two at once may choose the same position: then the second finds that out and chooses again.
        sql = """
            WITH room AS (SELECT id FROM sessions WHERE id = $2 AND state <> 'ended' AND restarting_at IS NULL FOR UPDATE)
            INSERT INTO terminals (id, session_id, position)
            SELECT $1, room.id, (SELECT coalesce(max(position), 0) + 1 FROM terminals WHERE session_id = $2) FROM room
            WHERE (SELECT count(*) FROM terminals WHERE session_id = $2) < $3 RETURNING id"""
        for _ in range(MOST):
            try:
                found: str | None = await self._database.value(sql, new_id(), session, MOST)
            except Conflict:
                continue
            return found
        return None

    async def of_session(self, session: str) -> list[Titled]:
        """In the order in which they were opened."""
        sql = "SELECT id, session_id, position, title FROM terminals WHERE session_id = $1 ORDER BY position"
        return [Titled(**row) for row in await self._database.fetch(sql, session)]

    async def running_in(self, course: str) -> list[Titled]:
        """Of all live sessions of the course."""
        sql = """
            SELECT t.id, t.session_id, t.position, t.title FROM terminals t JOIN sessions s ON s.id = t.session_id
            JOIN lessons l ON l.id = s.lesson_id WHERE l.course_id = $1 AND s.state = 'live' ORDER BY t.position"""
        return [Titled(**row) for row in await self._database.fetch(sql, course)]

    async def born_in(self, session: str) -> list[Claim]:
        """Those of a live session that have a pty. The claims are nobody's: their epoch is only what stands."""
        sql = """
            SELECT t.id AS terminal, s.id AS session, s.user_id AS user, c.name AS container, t.epoch, t.birth, c.member
            FROM terminals t JOIN sessions s ON s.id = t.session_id JOIN containers c ON c.session_id = s.id
            WHERE s.id = $1 AND s.state = 'live' AND c.state = 'taken' AND t.birth IS NOT NULL"""
        return [Claim(**row) for row in await self._database.fetch(sql, session)]

    async def name(self, terminal: str, session: str, title: str | None) -> bool:
        """Whether the session has such a terminal."""
        sql = "UPDATE terminals SET title = $3 WHERE id = $1 AND session_id = $2"
        return bool(await self._database.run(sql, terminal, session, title))

    async def state(self, terminal: str, user: int) -> str | None:
        """The state of the session it is in, for its student; None: unknown, ended, or not theirs."""
        sql = (
            "SELECT s.state FROM terminals t JOIN sessions s ON s.id = t.session_id WHERE t.id = $1 AND s.user_id = $2"
        )
        found: str | None = await self._database.value(sql, terminal, user)
        return found

    async def claim(self, terminal: str, user: int, instance: str) -> Claim | None:
        """Raises the epoch and makes `instance` the owner. None: unknown, not live, or not theirs."""
        row = await self._database.row(_CLAIM.format(more=""), terminal, user, instance, 0)
        return Claim(**self._limits.over(row)) if row else None

    async def watched(self, terminal: str, user: int) -> Watched | None:
        """What there is to watch, for its student and for the instructors of the course; else, and when it isn't live, None."""
        sql = """
            SELECT t.id AS terminal, s.id AS session, s.user_id AS user, c.name AS container, t.epoch, t.birth, c.member,
                u.name AS student, l.title AS lesson, o.id AS course, o.title AS course_title, o.assisting, s.rest
            FROM terminals t JOIN sessions s ON s.id = t.session_id JOIN containers c ON c.session_id = s.id
            JOIN users u ON u.id = s.user_id JOIN lessons l ON l.id = s.lesson_id JOIN courses o ON o.id = l.course_id
            WHERE t.id = $1 AND s.state = 'live' AND c.state = 'taken' AND (s.user_id = $2 OR o.watching <> 'off' AND EXISTS (
                SELECT FROM enrolments e WHERE e.course_id = l.course_id AND e.user_id = $2 AND e.role = 'instructor'))"""
        row = await self._database.row(sql, terminal, user)
        if row is None:
            return None
        known = ("terminal", "session", "user", "container", "epoch", "birth", "member")
        claim = Claim(**{name: row[name] for name in known})
        told = (row[name] for name in ("student", "lesson", "course", "course_title", "assisting", "rest"))
        return Watched(claim, *told)

    async def reclaim(self, held: Claim, instance: str, least: int) -> Claim | None:
        """Raises the epoch above `least`, which a holder knows; None: somebody claimed after `held`."""
        sql = _CLAIM.format(more="AND t.epoch = $5")
        row = await self._database.row(sql, held.terminal, held.user, instance, least, held.epoch)
        return Claim(**self._limits.over(row)) if row else None

    async def born(self, terminal: str, birth: bytes, epoch: int) -> None:
        """Keeps the pty's id, once: from now on its holder is attached to, never started."""
        sql = "UPDATE terminals SET birth = $2 WHERE id = $1 AND birth IS NULL AND epoch = $3"
        await self._database.run(sql, terminal, birth, epoch)

    async def delete(self, terminal: str, session: str) -> bool:
        """Whether there was one."""
        sql = "DELETE FROM terminals WHERE id = $1 AND session_id = $2"
        return bool(await self._database.run(sql, terminal, session))
