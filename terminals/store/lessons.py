"""Lessons: what a student opens, and the container it needs."""

from dataclasses import dataclass

from terminals import networks
from terminals.limits import Limits, resolved
from terminals.store.database import Database

NEEDS = f"l.image, {resolved('memory', 'cpu', 'processes', 'disk')}, l.network, l.root"
"""Columns of `lessons l JOIN courses o`; `Limits.over` makes `Needs` of them."""


@dataclass(frozen=True, slots=True)
class Wants:
    """What a lesson says of its container, in LXD's own units; a limit of None is its course's, or the deployment's."""

    image: str
    memory: str | None = None
    cpu: str | None = None
    processes: int | None = None
    disk: str | None = None
    network: str = "none"
    root: bool = False
    output: int | None = None
    """Bytes per second of one terminal, sustained; 0: as fast as it goes."""
    hosts: tuple[str, ...] = ()
    """Names that a closed network lets labs reach."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a lesson's container is: its image and limits, nothing left open."""

    image: str
    memory: str
    cpu: str
    processes: int
    disk: str
    network: str = "none"
    root: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """What people read of a lesson; `body` is CommonMark."""

    title: str
    minutes: int
    body: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """A lesson as one user sees it."""

    id: str
    position: int
    title: str
    minutes: int
    course_id: str
    course_title: str
    role: str
    session_id: str | None
    session_state: str | None
    session_age: int | None
    """Seconds since it was begun."""
    done: bool
    """An earlier session of it ended as it should."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Containers of one image and network, as the lesson needs them that is started most; `live` sessions of all such."""

    needs: Needs
    live: int


class Lessons:
    """The lessons table."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self._limits = limits

    async def put(self, lesson: str, course: str, position: int, text: Text, wants: Wants) -> None:
        """Adds a lesson, or updates it.

        Raises:
            Invalid: its network can't be meant.
        """
        networks.check(wants.network, wants.hosts)
        sql = """
            INSERT INTO lessons (id, course_id, position, title, minutes, image, memory, cpu, processes, disk, network, root,
                output, body, hosts)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
            ON CONFLICT (id) DO UPDATE SET course_id = $2, position = $3, title = $4, minutes = $5, image = $6,
                memory = $7, cpu = $8, processes = $9, disk = $10, network = $11, root = $12, output = $13, body = $14,
                hosts = $15"""
        await self._database.run(
            sql,
            lesson,
            course,
            position,
            text.title,
            text.minutes,
            wants.image,
            wants.memory,
            wants.cpu,
            wants.processes,
            wants.disk,
            wants.network,
            wants.root,
            wants.output,
            text.body,
            list(wants.hosts),
        )

    async def of_user(self, user: int) -> list[Card]:
        """Of the courses that the user is enrolled in; those with a running session first."""
        sql = """
            SELECT l.id, l.position, l.title, l.minutes, c.id AS course_id, c.title AS course_title, e.role,
                   s.id AS session_id, s.state AS session_state,
                round(extract(epoch FROM now() - s.created_at))::int AS session_age,
                EXISTS (SELECT FROM sessions o WHERE o.lesson_id = l.id AND o.user_id = e.user_id
                    AND o.state = 'ended' AND o.error_code IS NULL AND o.ended_by <> 'reset') AS done
            FROM enrolments e JOIN courses c ON c.id = e.course_id JOIN lessons l ON l.course_id = c.id
            LEFT JOIN sessions s ON s.lesson_id = l.id AND s.user_id = e.user_id AND s.state <> 'ended'
            WHERE e.user_id = $1 ORDER BY s.id IS NULL, c.title, c.id, l.position"""
        return [Card(**row) for row in await self._database.fetch(sql, user)]

    async def needs(self, lesson: str, user: int) -> Needs | None:
        """The container that the lesson needs; None: no such lesson, or the user isn't in its course."""
        sql = f"""
            SELECT {NEEDS} FROM lessons l JOIN courses o ON o.id = l.course_id
            JOIN enrolments e ON e.course_id = l.course_id AND e.user_id = $2 WHERE l.id = $1"""
        row = await self._database.row(sql, lesson, user)
        return Needs(**self._limits.over(row)) if row else None

    async def kinds(self) -> list[Kind]:
        """One for each image and network that lessons use, with the limits of its most popular lesson of late."""
        sql = f"""
            SELECT DISTINCT ON (l.image, l.network) {NEEDS},
                (SELECT count(*) FROM sessions s JOIN lessons k ON k.id = s.lesson_id
                    WHERE k.image = l.image AND k.network = l.network AND s.state = 'live')::int AS live
            FROM lessons l JOIN courses o ON o.id = l.course_id
            LEFT JOIN LATERAL (SELECT count(*) AS starts FROM sessions s
                WHERE s.lesson_id = l.id AND s.created_at > now() - interval '14 days') AS late ON true
            ORDER BY l.image, l.network, late.starts DESC, l.position, l.id"""
        found = []
        for row in await self._database.fetch(sql):
            values = self._limits.over(row)
            live = values.pop("live")
            found.append(Kind(Needs(**values), live))
        return found

    async def body(self, lesson: str) -> str:
        """Its text, as CommonMark; empty where there is none."""
        found: str | None = await self._database.value("SELECT body FROM lessons WHERE id = $1", lesson)
        return found or ""

    async def after(self, lesson: str) -> tuple[str, str] | None:
        """(id, title) of the course's next lesson."""
        sql = """
            SELECT n.id, n.title FROM lessons l JOIN lessons n ON n.course_id = l.course_id AND n.position > l.position
            WHERE l.id = $1 ORDER BY n.position LIMIT 1"""
        row = await self._database.row(sql, lesson)
        return (row["id"], row["title"]) if row else None
