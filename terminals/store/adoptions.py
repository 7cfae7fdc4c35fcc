"""Adoptions: rows for containers that LXD has and a restored database doesn't know, or knows as nobody's."""

from dataclasses import dataclass
from datetime import datetime

from terminals.errors import Conflict
from terminals.store.containers import as_json
from terminals.store.database import Database, new_id
from terminals.store.kept import DAYS
from terminals.store.lessons import Needs
from terminals.store.terminals import MOST

# Rows by which a container waits, or is being made.
_DISOWN = """
    DELETE FROM containers c WHERE c.name = $1 AND (c.session_id IS NULL AND c.state IN ('warming', 'ready')
        OR EXISTS (SELECT FROM sessions s WHERE s.id = c.session_id AND s.state = 'starting'))"""


@dataclass(frozen=True, slots=True)
class Tags:
    """Whose a container is, as LXD was told when it became theirs."""

    session: str
    user: int
    lesson: str
    begun: datetime


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of a container."""

    state: str
    session: str | None
    session_state: str | None

    @property
    def doubtful(self) -> bool:
        """By the rows it waits, or is being made: one that was somebody's since was lost with the backup."""
        return self.session_state == "starting" if self.session else self.state in {"warming", "ready"}


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of those whom a container's tags name."""

    user: bool | None
    """None: there is no such user; False: one that was made after the lab began, whose number is the same."""
    lesson: bool
    enrolled: bool
    """The user is, in the lesson's course."""
    state: str | None
    """Of the session; None: there is no such session."""
    running: bool
    """The user has another lab of the lesson: it is starting, or LXD has its container."""


@dataclass(frozen=True, slots=True)
class Body:
    """What a container is."""

    name: str
    needs: Needs
    address: str | None


@dataclass(frozen=True, slots=True)
class Shell:
    """One that runs, as its holder says."""

    terminal: str
    birth: bytes
    epoch: int


class Adoptions:
    """Sessions, containers and terminals that are written again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rows(self) -> dict[str, Row]:
        """Of all containers, by name."""
        sql = """
            SELECT c.name, c.state, s.id AS session, s.state AS session_state
            FROM containers c LEFT JOIN sessions s ON s.id = c.session_id"""
        found = await self._database.fetch(sql)
        return {row["name"]: Row(row["state"], row["session"], row["session_state"]) for row in found}

    async def standing(self, tags: Tags, container: str, names: list[str]) -> Standing:
        """`names`: of all containers that LXD has."""
        sql = """
            SELECT (SELECT created_at <= $4 FROM users WHERE id = $2) AS user,
                EXISTS (SELECT FROM lessons WHERE id = $3) AS lesson,
                EXISTS (SELECT FROM lessons l JOIN enrolments e ON e.course_id = l.course_id
                    WHERE l.id = $3 AND e.user_id = $2) AS enrolled,
                (SELECT state FROM sessions WHERE id = $1) AS state,
                EXISTS (SELECT FROM sessions s LEFT JOIN containers c ON c.session_id = s.id
                    WHERE s.user_id = $2 AND s.lesson_id = $3 AND s.state <> 'ended' AND c.name IS DISTINCT FROM $5
                    AND CASE s.state WHEN 'starting' THEN s.id <> $1 OR c.name IS NOT NULL ELSE c.name = ANY($6) END
                ) AS running"""
        row = await self._database.row(sql, tags.session, tags.user, tags.lesson, tags.begun, container, names)
        return Standing(**row)

    async def in_the_way(self, tags: Tags, address: str | None, names: list[str]) -> list[tuple[str, str | None]]:
        """(container, its live session) of this user and lesson, or with this address, that LXD doesn't have."""
        sql = """
            SELECT c.name, s.id FROM containers c LEFT JOIN sessions s ON s.id = c.session_id AND s.state = 'live'
            WHERE NOT c.name = ANY($4) AND (s.user_id = $1 AND s.lesson_id = $2 OR c.address = $3::text::inet)"""
        rows = await self._database.fetch(sql, tags.user, tags.lesson, address, names)
        return [(row["name"], row["id"]) for row in rows]

    async def live(self, tags: Tags, body: Body, rest: str) -> None:
        """The session is live, with this container. Its time counts from now; it has no terminals yet.

        Raises:
            Conflict: the user has begun another one at this moment, or this one is live or has ended.
        """
        session = """
            INSERT INTO sessions (id, user_id, lesson_id, state, step, created_at, live_at, rest, rested_at)
            VALUES ($1, $2, $3, 'live', '', $4, now(), $5, CASE WHEN $5 <> 'awake' THEN now() END)
            ON CONFLICT (id) DO UPDATE SET state = 'live', live_at = now(), active_at = now(), rest = $5,
                rested_at = CASE WHEN $5 <> 'awake' THEN now() END WHERE sessions.state = 'starting'"""
        container = """
            INSERT INTO containers (name, session_id, state, network, needs, address)
            VALUES ($1, $2, 'taken', $3, $4, $5::text::inet)"""
        async with self._database.transaction() as run:
            await run(_DISOWN, body.name)
            if not await run(session, tags.session, tags.user, tags.lesson, tags.begun, rest):
                raise Conflict("its lab went live with another container, or ended, at this moment")
            await run(container, body.name, tags.session, body.needs.network, as_json(body.needs), body.address)

    async def keep(self, tags: Tags, body: Body) -> None:
        """It is kept, so that its user can restore it; the older, the sooner another one is offered instead."""
        sql = f"""
            INSERT INTO containers (name, state, network, needs, address, kept_user, kept_lesson, kept_at, kept_until)
            VALUES ($1, 'kept', $2, $3, $4::text::inet, $5, $6, least($7, now()), now() + interval '{DAYS} days')"""
        async with self._database.transaction() as run:
            await run(_DISOWN, body.name)
            values = (body.name, body.needs.network, as_json(body.needs), body.address)
            await run(sql, *values, tags.user, tags.lesson, tags.begun)

    async def disown(self, names: list[str]) -> int:
        """They don't wait for anybody any more, and nobody deletes them; of how many that was true."""
        return await self._database.run(_DISOWN.replace("= $1", "= ANY($1)"), names)

    async def drop(self, names: list[str]) -> None:
        """Those that wait are to be deleted."""
        sql = "UPDATE containers SET state = 'gone' WHERE name = ANY($1) AND state = 'ready'"
        await self._database.run(sql, names)

    async def known(self, session: str) -> set[str]:
        """Its terminals."""
        rows = await self._database.fetch("SELECT id FROM terminals WHERE session_id = $1", session)
        return {row["id"] for row in rows}

    async def add_shells(self, session: str, shells: list[Shell]) -> int:
        """Those that have no row have one again; how many. A session that has none at all gets a new terminal."""
        shell = """
            INSERT INTO terminals (id, session_id, position, epoch, birth)
            SELECT $2, $1, coalesce(max(position), 0) + 1, $3, $4 FROM terminals WHERE session_id = $1
            HAVING count(*) < $5 ON CONFLICT DO NOTHING"""
        first = """
            INSERT INTO terminals (id, session_id, position)
            SELECT $2, $1, 1 WHERE NOT EXISTS (SELECT FROM terminals WHERE session_id = $1)"""
        added = 0
        async with self._database.transaction() as run:
            for each in shells:
                added += await run(shell, session, each.terminal, each.epoch, each.birth, MOST)
            await run(first, session, new_id())
        return added
