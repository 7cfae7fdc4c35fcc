"""Sessions: one student's run of one lesson; forward only, starting → live → ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from terminals.capacity import UNKNOWN, Room
from terminals.limits import Limits
from terminals.store.database import Database, new_id
from terminals.store.lessons import NEEDS, Needs
from terminals.store.promises import AFTER_RESET, GATE, MEMORY, PROMISED, UP, in_bytes

SILENT_S = 20.0
"""Whoever starts a session says so every few seconds."""
WAITING = "Waiting for a place"
"""The step of a start that only waits for its turn, as the table's default says."""
FULL = "All places are taken: your lab starts as soon as one is free"
"""The same where there is no room for one more container."""
FREED_S = 3600.0
"""Ends of so long tell how soon a place gets free."""
RECENT, USUAL_S = 20, 2.0
"""Starts that tell how long one takes; where there was none yet, so long."""
_COLUMNS = """s.id, s.user_id, s.lesson_id, s.state, s.step, s.steps_done, s.error_code, s.error_message,
    round(extract(epoch FROM now() - s.created_at))::int AS age, s.ended_by,
    s.restarting_at IS NOT NULL AS restarting,
    round(extract(epoch FROM now() - s.ended_at))::int AS ended_ago,
    l.title AS lesson_title, l.minutes AS lesson_minutes, l.position AS lesson_position,
    c.id AS course_id, c.title AS course_title,
    coalesce((SELECT h.network FROM containers h WHERE h.session_id = s.id), l.network) AS network, l.hosts"""
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
    restarting: bool
    """Its container is; it has no terminals meanwhile."""
    ended_ago: int | None
    """Seconds since it ended."""
    lesson_title: str
    lesson_minutes: int
    lesson_position: int
    course_id: str
    course_title: str
    network: str
    """Its container's, where it has one: a lesson may have been changed since."""
    hosts: list[str]
    """What the lesson lists."""


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


@dataclass(frozen=True, slots=True)
class Start:
    """A session that somebody starts now."""

    session: str
    user: int
    lesson: str
    needs: Needs
    age: float = 0.0
    """Seconds since its first turn."""
    admitted: bool = True
    """There is room for its container."""


@dataclass(frozen=True, slots=True)
class Standing:
    """`place` 1 is the next one; 0: it is under way."""

    place: int
    seconds: float
    """That a start took of late, from its turn on."""
    full: bool
    """It waits for room."""
    freed: int
    """Labs that ended in the last `FREED_S`."""


class Sessions:
    """The sessions table. Every change of state names the state it comes from."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self._limits = limits

    async def begin(self, user: int, lesson: str) -> tuple[str, bool]:
        """(id, whether it is new): the running session of this lesson, or a new one that waits for its start."""
        sql = """
            WITH made AS (
                INSERT INTO sessions (id, user_id, lesson_id, started_by) VALUES ($1, $2, $3, NULL)
                ON CONFLICT (user_id, lesson_id) WHERE state <> 'ended' DO NOTHING RETURNING id)
            SELECT id, true AS new FROM made
            UNION ALL SELECT id, false FROM sessions WHERE user_id = $2 AND lesson_id = $3 AND state <> 'ended'
            LIMIT 1"""
        # Two at once: the loser's statement sees neither its own row nor, in its snapshot, the winner's.
        while (row := await self._database.row(sql, new_id(), user, lesson)) is None:
            continue
        return row["id"], row["new"]

    async def pick(
        self,
        instance: str,
        at_once: int,
        room: Room = UNKNOWN,
        templates: dict[str, str] | None = None,
        up: Sequence[str] = (),
    ) -> Start | None:
        """The oldest start that nobody works on is `instance`'s now, if it is `admitted`.

        None: none waits, or `at_once` are under way. One whose instance hasn't been heard of for `SILENT_S` is nobody's: its
        instance died over it. Admitted is what has its room already, what a waiting container helps (`templates`: by image,
        as far as known; `up`: on members of the cluster that answer), and what there is room for. Nobody is overtaken: where
        the oldest waits for room, all do.
        """
        sql = f"""
            WITH {PROMISED},
            one AS (
                SELECT s.id, l.image, l.network, {MEMORY} AS memory, s.started_by IS NOT NULL OR {AFTER_RESET}
                    OR EXISTS (SELECT FROM containers c WHERE c.session_id = s.id) AS holds
                FROM sessions s JOIN lessons l ON l.id = s.lesson_id JOIN courses o ON o.id = l.course_id
                WHERE s.state = 'starting' AND (s.started_by IS NULL OR s.heard_at < now() - make_interval(secs => $4))
                AND (SELECT count(*) FROM sessions u WHERE u.state = 'starting' AND u.started_by IS NOT NULL
                    AND u.heard_at >= now() - make_interval(secs => $4)) < $3
                ORDER BY holds DESC, s.created_at, s.id FOR UPDATE OF s SKIP LOCKED LIMIT 1),
            found AS (
                SELECT one.id, one.holds OR $7 AND p.labs < $5 AND p.memory + one.memory <= $6 OR EXISTS (
                    SELECT FROM containers c JOIN unnest($8::text[], $9::text[]) AS t (image, template) ON t.template = c.template
                    WHERE c.state = 'ready' AND t.image = one.image AND c.network = one.network
                    AND {UP.format(up="$10")} AND {in_bytes("c.needs->>'memory'")} >= one.memory) AS admitted
                FROM one, promised p),
            picked AS (UPDATE sessions s SET started_by = $2, heard_at = now(), picked_at = coalesce(picked_at, now())
                FROM found WHERE s.id = found.id AND found.admitted)
            SELECT s.id AS session, s.user_id AS user, s.lesson_id AS lesson,
                extract(epoch FROM now() - coalesce(s.picked_at, now()))::float AS age, found.admitted, {NEEDS}
            FROM found JOIN sessions s ON s.id = found.id JOIN lessons l ON l.id = s.lesson_id
            JOIN courses o ON o.id = l.course_id"""
        known = templates or {}
        values = (
            instance,
            at_once,
            SILENT_S,
            room.labs,
            room.memory,
            not room.shortage,
            list(known),
            list(known.values()),
            list(up),
        )
        row = await self._database.row_alone(GATE, sql, self._limits.memory, *values)
        if row is None:
            return None
        found = self._limits.over(row)
        session, user, lesson, age, admitted = (
            found.pop(name) for name in ("session", "user", "lesson", "age", "admitted")
        )
        return Start(session, user, lesson, Needs(**found), age, admitted)

    async def crowd(self, *, full: bool) -> None:
        """What those who wait for their turn wait for: room, or only their turn."""
        sql = "UPDATE sessions SET step = $2 WHERE state = 'starting' AND started_by IS NULL AND step = $1"
        await self._database.run(sql, *((WAITING, FULL) if full else (FULL, WAITING)))

    async def starting(self) -> int:
        """How many wait or are under way."""
        return int(await self._database.value("SELECT count(*) FROM sessions WHERE state = 'starting'"))

    async def live(self) -> int:
        """How many run."""
        return int(await self._database.value("SELECT count(*) FROM sessions WHERE state = 'live'"))

    async def census(self) -> dict[str, int]:
        """How many there are that haven't ended: starting, and of the live ones awake, asleep and stopped."""
        sql = """
            SELECT CASE state WHEN 'live' THEN rest ELSE state END AS state, count(*)::int AS count
            FROM sessions WHERE state <> 'ended' GROUP BY 1"""
        known = dict.fromkeys(("starting", "awake", "asleep", "stopped"), 0)
        return known | {row["state"]: row["count"] for row in await self._database.fetch(sql)}

    async def put_back(self, session: str, instance: str, step: str) -> None:
        """It waits for its turn again, in its old place."""
        sql = """
            UPDATE sessions SET started_by = NULL, step = $3, steps_done = 0
            WHERE id = $1 AND state = 'starting' AND started_by = $2"""
        await self._database.run(sql, session, instance, step)

    async def release(self, instance: str) -> None:
        """What it starts waits for another from now on."""
        sql = "UPDATE sessions SET started_by = NULL WHERE state = 'starting' AND started_by = $1"
        await self._database.run(sql, instance)

    async def standing(self, session: str) -> Standing:
        """Where a start stands in the queue, and how long starts took of late."""
        sql = """
            SELECT (SELECT count(*) FROM sessions o WHERE s.started_by IS NULL AND o.state = 'starting'
                    AND o.started_by IS NULL AND (o.created_at, o.id) <= (s.created_at, s.id))::int AS place,
                (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM live_at - picked_at)) FROM (
                    SELECT live_at, picked_at FROM sessions WHERE live_at IS NOT NULL AND picked_at IS NOT NULL
                    ORDER BY live_at DESC LIMIT $2) AS late)::float AS seconds,
                s.step = $3 AS full,
                CASE WHEN s.step = $3 THEN (SELECT count(*) FROM sessions e WHERE e.live_at IS NOT NULL
                    AND e.ended_at > now() - make_interval(secs => $4)) ELSE 0 END::int AS freed
            FROM sessions s WHERE s.id = $1"""
        row = await self._database.row(sql, session, RECENT, FULL, FREED_S)
        if row is None:
            return Standing(0, USUAL_S, full=False, freed=0)
        return Standing(row["place"], row["seconds"] or USUAL_S, row["full"], row["freed"])

    async def of_user(self, session: str, user: int) -> Session | None:
        """The session, if it is this user's."""
        sql = f"SELECT {_COLUMNS} FROM {_TABLES} WHERE s.id = $1 AND s.user_id = $2"
        row = await self._database.row(sql, session, user)
        return Session(**row) if row else None

    async def say(self, session: str, instance: str, step: str, done: int) -> bool:
        """What a start does now. False: it isn't `instance`'s any more, or has ended."""
        sql = """
            UPDATE sessions SET step = $3, steps_done = $4, heard_at = now()
            WHERE id = $1 AND state = 'starting' AND started_by = $2"""
        return bool(await self._database.run(sql, session, instance, step, done))

    async def beat(self, sessions: list[str], instance: str) -> None:
        """The instance that starts them is alive."""
        sql = """
            UPDATE sessions SET heard_at = now() WHERE id = ANY($1) AND state = 'starting' AND started_by = $2"""
        await self._database.run(sql, sessions, instance)

    async def go_live(self, session: str, instance: str) -> float | None:
        """starting → live, with its first terminal: the shell that waits in its container, if one does.

        Seconds since it was begun; None: it isn't `instance`'s any more, or was ended meanwhile.
        """
        sql = """
            WITH live AS (
                UPDATE sessions s SET state = 'live', touched_at = now(), active_at = now(), live_at = now() FROM containers c
                WHERE s.id = $1 AND s.state = 'starting' AND s.started_by = $2
                AND c.session_id = s.id AND c.state = 'taken'
                RETURNING s.id, c.terminal_id, c.birth, extract(epoch FROM now() - s.created_at)::float AS seconds),
            restored AS (UPDATE containers SET kept_user = NULL, kept_lesson = NULL, kept_at = NULL, kept_until = NULL
                WHERE session_id IN (SELECT id FROM live) AND kept_until IS NOT NULL),
            first AS (INSERT INTO terminals (id, session_id, position, epoch, birth)
            SELECT coalesce(terminal_id, $3), id, 1, CASE WHEN birth IS NULL THEN 0 ELSE 1 END, birth FROM live)
            SELECT seconds FROM live"""
        found: float | None = await self._database.value(sql, session, instance, new_id())
        return found

    async def end(
        self, session: str, error: tuple[str, str] | None = None, by: str = "other", starter: str | None = None
    ) -> str | None:
        """→ ended, its container → gone, its terminals away. The state it came from; None: it had ended already.

        A container that was to be restored with it is kept again.

        `error`: (code, message); `by`: student, idle, deadline or other; `starter`: only if that instance still starts it.
        """
        sql = """
            WITH before AS (SELECT id, state FROM sessions WHERE id = $1 AND state <> 'ended'
                AND ($5::text IS NULL OR state = 'starting' AND started_by = $5) FOR UPDATE),
            ended AS (
                UPDATE sessions SET state = 'ended', ended_at = now(), error_code = $2, error_message = $3, ended_by = $4
                WHERE id IN (SELECT id FROM before) RETURNING id),
            freed AS (UPDATE containers SET state = CASE WHEN kept_until IS NULL THEN 'gone' ELSE 'kept' END,
                session_id = CASE WHEN kept_until IS NULL THEN session_id END WHERE session_id IN (SELECT id FROM ended)),
            closed AS (DELETE FROM terminals WHERE session_id IN (SELECT id FROM ended))
            SELECT before.state FROM before"""
        found: str | None = await self._database.value(sql, session, *(error or (None, None)), by, starter)
        return found

    async def all(self, course: str | None = None) -> list[dict[str, Any]]:
        """id, state, age in seconds, user, course, lesson, container and terminals of those that haven't ended."""
        sql = """
            SELECT s.id, s.state, round(extract(epoch FROM now() - s.created_at))::int AS age, u.email, l.course_id,
                l.id AS lesson, c.name AS container, (SELECT count(*) FROM terminals t WHERE t.session_id = s.id) AS terminals
            FROM sessions s JOIN lessons l ON l.id = s.lesson_id JOIN users u ON u.id = s.user_id
            LEFT JOIN containers c ON c.session_id = s.id
            WHERE s.state <> 'ended' AND ($1::text IS NULL OR l.course_id = $1) ORDER BY s.created_at"""
        return [dict(row) for row in await self._database.fetch(sql, course)]

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

    async def running_of(self, user: int, lesson: str) -> str | None:
        """The user's session of the lesson that hasn't ended."""
        sql = "SELECT id FROM sessions WHERE user_id = $1 AND lesson_id = $2 AND state <> 'ended'"
        found: str | None = await self._database.value(sql, user, lesson)
        return found

    async def in_course(self, session: str, course: str) -> Session | None:
        """The session, if it is one of the course's that hasn't ended."""
        sql = f"SELECT {_COLUMNS} FROM {_TABLES} WHERE s.id = $1 AND c.id = $2 AND s.state <> 'ended'"
        row = await self._database.row(sql, session, course)
        return Session(**row) if row else None

    async def begin_restart(self, session: str) -> bool:
        """Its terminals are gone, and it has none until `restarted`. False: it isn't live, or is being restarted."""
        sql = """
            WITH one AS (UPDATE sessions SET restarting_at = now(), rest = 'awake', rested_at = NULL,
                    active_at = greatest(active_at, now())
                WHERE id = $1 AND state = 'live' AND restarting_at IS NULL RETURNING id),
            closed AS (DELETE FROM terminals WHERE session_id IN (SELECT id FROM one))
            SELECT EXISTS (SELECT FROM one)"""
        return bool(await self._database.value(sql, session))

    async def restarted(self, session: str) -> None:
        """It has a first terminal again."""
        sql = """
            WITH one AS (UPDATE sessions SET restarting_at = NULL
                WHERE id = $1 AND state = 'live' AND restarting_at IS NOT NULL RETURNING id)
            INSERT INTO terminals (id, session_id, position) SELECT $2, id, 1 FROM one"""
        await self._database.run(sql, session, new_id())

    async def is_restarting(self, session: str) -> bool:
        sql = "SELECT EXISTS (SELECT FROM sessions WHERE id = $1 AND state = 'live' AND restarting_at IS NOT NULL)"
        return bool(await self._database.value(sql, session))

    async def restarting(self, seconds: float) -> list[str]:
        """Live ones whose restart has been under way for so long."""
        sql = """
            SELECT id FROM sessions WHERE state = 'live' AND restarting_at <= now() - make_interval(secs => $1)
            ORDER BY restarting_at"""
        return [row["id"] for row in await self._database.fetch(sql, seconds)]
