"""Lives: how long each live session is kept: its deadline, and its rest while nobody uses it, by its course's policy.

Whoever asks says what time it is: no question here asks the database's clock.
"""

from dataclasses import astuple, dataclass
from datetime import datetime

from terminals.store.database import Database

LEAST_LIFE, LIFE_FACTOR = 240, 3
"""Minutes that a lab has at least; or so many times what its lesson is expected to take: nobody slow is cut short."""
EXTENSION = 60
"""Minutes."""


@dataclass(frozen=True, slots=True)
class Patience:
    """For courses that don't say it themselves, in minutes."""

    freeze: int
    """Without use before a lab is put to sleep."""
    stop: int
    """Then, until it is stopped."""
    end: int
    """Then, until it is ended."""
    longest: int
    """A lab's longest life, extensions included; what a lesson's own time gives is never less."""


@dataclass(frozen=True, slots=True)
class Life:
    """One live session's. A moment that falls into one of the course's scheduled classes is that class's end."""

    session: str
    rest: str
    """awake, asleep or stopped."""
    deadline: datetime
    longest: datetime
    """As far as the deadline can be moved."""
    idle_at: datetime
    """When it is put to sleep, or stopped, or ended, if nobody uses it until then."""
    active_at: datetime
    rested_at: datetime | None
    """When its rest began; None: it is awake."""
    extended: int


@dataclass(frozen=True, slots=True)
class Held:
    """A live session by its container."""

    session: str
    rest: str


_HELD = """
    FROM sessions s JOIN containers c ON c.session_id = s.id AND c.state = 'taken'
    WHERE s.state = 'live' AND s.restarting_at IS NULL"""
_LIVES = """
    SELECT s.id AS session, s.rest, s.active_at, s.rested_at, s.extended, l.course_id, d.deadline AS plain, m.longest AS limit_at,
        {deadline} AS deadline, {longest} AS longest, {idle} AS idle_at
    FROM sessions s JOIN lessons l ON l.id = s.lesson_id JOIN courses c ON c.id = l.course_id
    CROSS JOIN LATERAL (SELECT coalesce(s.live_at, s.created_at) AS began, greatest($6, $7 * l.minutes) AS minutes) b
    CROSS JOIN LATERAL (SELECT b.began + make_interval(mins => coalesce(c.max_minutes, greatest($5, b.minutes)))
        AS longest) m
    CROSS JOIN LATERAL (SELECT least(coalesce(s.deadline, b.began + make_interval(mins => b.minutes)), m.longest)
        AS deadline) d
    CROSS JOIN LATERAL (SELECT CASE s.rest
        WHEN 'awake' THEN s.active_at + make_interval(mins => coalesce(c.idle_minutes, $2))
        WHEN 'asleep' THEN s.rested_at + make_interval(mins => coalesce(c.stop_minutes, $3))
        ELSE s.rested_at + make_interval(mins => coalesce(c.end_minutes, $4)) END AS idle) i
    LEFT JOIN LATERAL (SELECT range_agg(tstzrange(t.starts_at, t.ends_at)) AS held FROM timetable t
        WHERE t.course_id = l.course_id) h ON true
    WHERE s.state = 'live'""".format(
    # What would be due in a class is due at its end, also what was due before it and nobody did.
    **{
        name: f"""coalesce((SELECT upper(r) FROM unnest(h.held) r WHERE r @> greatest({value}, $1)), {value})"""
        for name, value in (("deadline", "d.deadline"), ("longest", "m.longest"), ("idle", "i.idle"))
    }
)
_COLUMNS = "session, rest, deadline, longest, idle_at, active_at, rested_at, extended"


class Lives:
    """How long sessions live."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_session(self, session: str, now: datetime, patience: Patience) -> Life | None:
        """None: it isn't live."""
        sql = f"SELECT {_COLUMNS} FROM ({_LIVES} AND s.id = $8) life"
        row = await self._database.row(sql, *_times(now, patience), session)
        return Life(**row) if row else None

    async def of_course(self, course: str, now: datetime, patience: Patience) -> dict[str, Life]:
        """Of all that are live in it, by session."""
        sql = f"SELECT {_COLUMNS} FROM ({_LIVES} AND l.course_id = $8) life"
        rows = await self._database.fetch(sql, *_times(now, patience), course)
        return {row["session"]: Life(**row) for row in rows}

    async def due(self, now: datetime, patience: Patience, most: int) -> list[str]:
        """The sessions that something is to be done with now, those that are over first, then the longest overdue."""
        sql = f"""
            SELECT session FROM ({_LIVES}) life WHERE least(deadline, idle_at) <= $1
            ORDER BY deadline > $1, least(deadline, idle_at) LIMIT $8"""
        return [row["session"] for row in await self._database.fetch(sql, *_times(now, patience), most)]

    # -- use -----------------------------------------------------------------------------------------------------------

    async def use(self, sessions: list[str], now: datetime) -> None:
        """Somebody works in these, or something that they began. What rests goes on resting, for as long again."""
        sql = """
            UPDATE sessions SET active_at = greatest(active_at, $2), touched_at = greatest(touched_at, $2),
                rested_at = CASE WHEN rest <> 'awake' THEN greatest(rested_at, $2) END
            WHERE id = ANY($1) AND state = 'live'"""
        await self._database.run(sql, sessions, now)

    async def wake(self, session: str, now: datetime) -> None:
        """Its student opens it."""
        sql = """
            UPDATE sessions SET rest = 'awake', rested_at = NULL, active_at = greatest(active_at, $2),
                touched_at = greatest(touched_at, $2)
            WHERE id = $1 AND state = 'live'"""
        await self._database.run(sql, session, now)

    async def extend(self, session: str, now: datetime, patience: Patience, instructor: int | None = None) -> bool:
        """Moves the deadline `EXTENSION` further, as far as it may; what an instructor moves is among `acts` in the same moment.

        False: it isn't live, or is as far as it may.
        """
        sql = f"""
            WITH life AS ({_LIVES} AND s.id = $8),
            moved AS (UPDATE sessions s SET extended = s.extended + 1,
                deadline = least(greatest(life.plain, $1) + make_interval(mins => $9), life.limit_at)
                FROM life WHERE s.id = life.session AND greatest(life.plain, $1) < life.limit_at
                RETURNING s.id, s.user_id, s.lesson_id),
            noted AS (INSERT INTO acts (at, who, who_name, whom, whom_name, course_id, session_id, lesson_title, act)
                SELECT $1, w.id, w.name, m.id, m.name, l.course_id, moved.id, l.title, 'extend'
                FROM moved JOIN users w ON w.id = $10 JOIN users m ON m.id = moved.user_id
                JOIN lessons l ON l.id = moved.lesson_id)
            SELECT count(*) FROM moved"""
        values = (*_times(now, patience), session, EXTENSION, instructor)
        return bool(await self._database.value(sql, *values))

    # -- rest ----------------------------------------------------------------------------------------------------------

    async def rest(self, life: Life, rest: str, now: datetime) -> bool:
        """Its next rest, if it still stands as `life` says. False: somebody used it meanwhile."""
        sql = """
            UPDATE sessions SET rest = $2, rested_at = $3
            WHERE id = $1 AND state = 'live' AND rest = $4 AND active_at = $5"""
        return bool(await self._database.run(sql, life.session, rest, now, life.rest, life.active_at))

    async def unrest(self, life: Life) -> None:
        """Its next rest didn't come about: it is as `life` says, unless somebody woke it meanwhile."""
        sql = """
            UPDATE sessions SET rest = $2, rested_at = $3 WHERE id = $1 AND state = 'live' AND rest <> 'awake'"""
        await self._database.run(sql, life.session, life.rest, life.rested_at)

    async def renew(self, rests: dict[str, str], now: datetime, patience: Patience) -> None:
        """Live sessions, by container, are in that rest since now and were used now: what was since the backup is lost.

        Each has an extension's time left, within its longest life: it may have been extended since.
        """
        sql = f"""
            WITH life AS ({_LIVES}), found AS (
                SELECT life.session, life.plain, r.rest FROM unnest($8::text[], $9::text[]) AS r (name, rest)
                JOIN containers c ON c.name = r.name AND c.state = 'taken' JOIN life ON life.session = c.session_id)
            UPDATE sessions s SET active_at = greatest(s.active_at, $1), touched_at = greatest(s.touched_at, $1),
                rest = found.rest, rested_at = CASE WHEN found.rest <> 'awake' THEN $1 END, restarting_at = NULL,
                deadline = CASE WHEN found.plain < $1 + make_interval(mins => $10) THEN $1 + make_interval(mins => $10)
                    ELSE s.deadline END
            FROM found WHERE s.id = found.session"""
        values = (*_times(now, patience), list(rests), list(rests.values()), EXTENSION)
        await self._database.run(sql, *values)

    # -- as LXD has it -------------------------------------------------------------------------------------------------

    async def held(self) -> dict[str, str]:
        """Container → rest, of all live sessions; not while they are being restarted."""
        rows = await self._database.fetch(f"SELECT c.name, s.rest {_HELD}")
        return {row["name"]: row["rest"] for row in rows}

    async def of_container(self, container: str) -> Held | None:
        """The same of one."""
        row = await self._database.row(f"SELECT s.id AS session, s.rest {_HELD} AND c.name = $1", container)
        return Held(**row) if row else None

    async def found(self, held: Held, rest: str, now: datetime) -> bool:
        """Its container is in that state, whoever did it. False: it isn't as `held` says any more."""
        sql = """
            UPDATE sessions SET rest = $3, rested_at = CASE WHEN $3 <> 'awake' THEN $4::timestamptz END
            WHERE id = $1 AND state = 'live' AND rest = $2 AND restarting_at IS NULL"""
        return bool(await self._database.run(sql, held.session, held.rest, rest, now))

    async def resting(self, session: str) -> str | None:
        """Its rest; None: it isn't live."""
        sql = "SELECT rest FROM sessions WHERE id = $1 AND state = 'live'"
        found: str | None = await self._database.value(sql, session)
        return found


def _times(now: datetime, patience: Patience) -> tuple[object, ...]:
    return (now, *astuple(patience), LEAST_LIFE, LIFE_FACTOR)
