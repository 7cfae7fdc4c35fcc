"""Containers: the LXD instances of ours, with or without a session; forward only, warming → ready → taken → gone.

A row is written before LXD is asked and removed after LXD has deleted, so no container is ever without one. Two steps go
back: a ready one is warming again while it is being frozen or thawed, so that nobody takes it then; and one that is kept
after its lab was reset (`kept`) is taken again when it is restored.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Interface

from terminals.capacity import UNKNOWN, Room
from terminals.errors import Conflict, Refused
from terminals.store.database import Database, new_id
from terminals.store.lessons import Needs
from terminals.store.promises import GATE, PROMISED, UP, in_bytes

_STOCK = """
    SELECT count(*) FILTER (WHERE state = 'ready' AND NOT frozen)::int AS awake,
        count(*) FILTER (WHERE state = 'ready' AND frozen)::int AS frozen,
        count(*) FILTER (WHERE state = 'warming')::int AS warming
    FROM containers c WHERE {which} AND session_id IS NULL"""

ADDRESSED = "containers_network_address"
"""The constraint that an insert without a free address breaks."""
_FREE = """
    (SELECT a FROM (SELECT {block}::text::inet + n AS a FROM generate_series(2, {room}::int) n) free
    WHERE NOT EXISTS (SELECT FROM containers o WHERE o.address = a) ORDER BY random() LIMIT 1)"""
"""SQL: one of a bridge's block that no container has, also none that is still to be deleted; without a block NULL.

The first is the bridge's own. Who picks one holds the gate.
"""
_PLACE = """
    coalesce((SELECT m.name FROM unnest({names}::text[], {memory}::bigint[]) AS m (name, memory)
        ORDER BY (SELECT count(*) + 1 FROM containers o WHERE o.member = m.name AND o.state <> 'kept')::float8 / m.memory,
        random() LIMIT 1), '')"""
"""SQL: the member of a cluster that has the fewest containers for its memory, LXD's own rule but for the memory; '' of none."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A container that is a session's now."""

    name: str
    frozen: bool
    fits: bool
    """It has just the lesson's needs already."""
    waits: bool
    """A shell waits in it."""
    fresh: bool = False
    """It was the pool's, and nobody has been in it."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a container is about to be made."""

    places: dict[str, int] = field(default_factory=dict)
    """Members of the cluster that may have it, and their bytes of memory; empty: LXD chooses."""
    block: IPv4Interface | None = None
    """Of the bridge, where it has a network."""


@dataclass(frozen=True, slots=True)
class Made:
    """One that is about to be made."""

    name: str
    address: str | None
    """Of its network."""
    member: str
    """Of the cluster; empty: LXD chooses."""


@dataclass(frozen=True, slots=True)
class Stock:
    """Pool containers of one kind."""

    awake: int
    frozen: int
    warming: int

    @property
    def all(self) -> int:
        return self.awake + self.frozen + self.warming


@dataclass(frozen=True, slots=True)
class Listed:
    """One container, for operators."""

    name: str
    state: str
    frozen: bool
    template: str
    age: int
    member: str
    session: str | None
    session_state: str | None
    user: str | None
    lesson: str | None


class Containers:
    """The containers table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # -- a session's ---------------------------------------------------------------------------------------------------

    async def add(self, session: str, template: str, needs: Needs, maker: str, site: Site = Site()) -> Made | None:
        """A container that `maker` is about to make for the session that it starts. None: the session isn't its to start.

        One of somebody's who died over it is left to the janitor.

        Raises:
            Refused: no address of the block is left.
        """
        sql = """
            UPDATE containers SET state = 'gone', session_id = NULL WHERE session_id = $1 AND state <> 'taken'
            AND EXISTS (SELECT FROM sessions WHERE id = $1 AND state = 'starting' AND started_by = $2)"""
        insert = f"""
            INSERT INTO containers (name, session_id, template, network, needs, maker, address, member)
            SELECT $1, id, $3, $4, $5, $6, {_FREE.format(block="$7", room="$8")}, {_PLACE.format(names="$9", memory="$10")}
            FROM sessions WHERE id = $2 AND state = 'starting' AND started_by = $6 FOR UPDATE"""
        name = f"c-{new_id()}"
        values = (
            name,
            session,
            template,
            needs.network,
            as_json(needs),
            maker,
            *_span(site.block),
            *_columns(site.places),
        )
        with _addressed(site.block):
            async with self._database.transaction() as run:
                if site.block is not None:
                    await run("SELECT pg_advisory_xact_lock($1)", GATE)
                await run(sql, session, maker)
                made = await run(insert, *values)
        return await self.made(name) if made else None

    async def take(self, name: str, session: str) -> bool:
        """warming → taken (by way of ready): it runs and is its session's. False: it is gone meanwhile."""
        sql = "UPDATE containers SET state = 'taken', heard_at = now() WHERE name = $1 AND session_id = $2 AND state = 'warming'"
        return bool(await self._database.run(sql, name, session))

    async def take_ready(  # noqa: PLR0913 - who takes, what, of where, in which turn
        self,
        session: str,
        template: str,
        needs: Needs,
        maker: str,
        up: Sequence[str] = (),
        *,
        first: bool = False,
        larger: bool = True,
    ) -> Taken | None:
        """A waiting one, for a session that nobody starts or `maker` does; None: none waits.

        Running ones first, then those that fit. `up`: members of the cluster that answer. `first`: only if no older start
        waits, for nobody is overtaken.
        `larger`: also one that has to be given more memory than it has.
        """
        sql = f"""
            WITH mine AS (
                SELECT id FROM sessions s WHERE id = $1 AND state = 'starting' AND (started_by IS NULL OR started_by = $5)
                AND ($6 OR NOT EXISTS (SELECT FROM sessions o WHERE o.state = 'starting' AND o.started_by IS NULL
                    AND (o.created_at, o.id) < (s.created_at, s.id))) FOR UPDATE),
            free AS (
                SELECT name, frozen, needs = $4 AS fits FROM containers c
                WHERE state = 'ready' AND template = $2 AND network = $3 AND {UP.format(up="$9")} AND EXISTS (SELECT FROM mine)
                AND NOT EXISTS (SELECT FROM containers h WHERE h.session_id = $1)
                AND ($7 OR {in_bytes("needs->>'memory'")} >= {in_bytes("$8::text")})
                ORDER BY frozen, (needs = $4) DESC, created_at FOR UPDATE SKIP LOCKED LIMIT 1),
            ours AS (UPDATE sessions SET started_by = $5, heard_at = now(), picked_at = coalesce(picked_at, now())
                WHERE id = $1 AND EXISTS (SELECT FROM free))
            UPDATE containers c SET state = 'taken', session_id = $1, maker = $5, heard_at = now() FROM free
            WHERE c.name = free.name RETURNING c.name, c.frozen, free.fits, c.terminal_id IS NOT NULL AS waits"""
        values = (session, template, needs.network, as_json(needs), maker, not first, larger, needs.memory, list(up))
        row = await self._database.row(sql, *values)
        return Taken(**row) if row else None

    async def taken_by(self, session: str, needs: Needs) -> Taken | None:
        """The one that it has already, as `needs` would find it."""
        sql = """
            SELECT name, frozen, needs = $2 AS fits, terminal_id IS NOT NULL AS waits,
                terminal_id IS NOT NULL AND NOT EXISTS (SELECT FROM terminals t WHERE t.session_id = $1) AS fresh
            FROM containers WHERE session_id = $1 AND state = 'taken'"""
        row = await self._database.row(sql, session, as_json(needs))
        return Taken(**row) if row else None

    async def fitted(self, name: str, needs: Needs) -> None:
        """It runs, and has these needs now."""
        sql = "UPDATE containers SET frozen = false, needs = $2, heard_at = now() WHERE name = $1 AND state = 'taken'"
        await self._database.run(sql, name, as_json(needs))

    async def of_session(self, session: str) -> str | None:
        found: str | None = await self._database.value("SELECT name FROM containers WHERE session_id = $1", session)
        return found

    # -- the pool's ----------------------------------------------------------------------------------------------------

    async def warm(
        self, template: str, needs: Needs, maker: str, room: Room = UNKNOWN, site: Site = Site()
    ) -> Made | None:
        """A container that `maker` is about to make for the pool. None: it would be in the last room, which is students'.

        Raises:
            Refused: no address of the block is left.
        """
        name = f"c-{new_id()}"
        sql = f"""
            WITH {PROMISED}
            INSERT INTO containers (name, template, network, needs, maker, address, member)
            SELECT $2, $3, $4, $5, $6, {_FREE.format(block="$10", room="$11")}, {_PLACE.format(names="$12", memory="$13")}
            FROM promised
            WHERE labs + 1 < $7 AND memory + 2 * {in_bytes("$1")} <= $8 AND $9 RETURNING name"""
        values = (name, template, needs.network, as_json(needs), maker, room.labs, room.memory, not room.shortage)
        where = (*_span(site.block), *_columns(site.places))
        with _addressed(site.block):
            row = await self._database.row_alone(GATE, sql, needs.memory, *values, *where)
        return await self.made(name) if row else None

    async def made(self, name: str) -> Made:
        """Of one that has a row."""
        sql = "SELECT name, host(address) AS address, member FROM containers WHERE name = $1"
        return Made(**await self._database.row(sql, name))

    async def closed(self, address: str) -> tuple[str, list[str]] | None:
        """Who asks the proxy from an address: its session, and the names that its lesson lets it reach now."""
        sql = """
            SELECT s.id, l.hosts FROM containers c JOIN sessions s ON s.id = c.session_id JOIN lessons l ON l.id = s.lesson_id
            WHERE c.address = $1::text::inet AND c.state = 'taken' AND c.network = 'closed' AND s.state <> 'ended'
            AND l.network = 'closed'"""
        row = await self._database.row(sql, address)
        return (row["id"], row["hosts"]) if row else None

    async def ready(self, name: str, maker: str, shell: tuple[str, bytes] | None = None, *, frozen: bool) -> bool:
        """warming → ready: it may be taken; `shell`, id and birth, waits in it. False: it isn't `maker`'s any more."""
        terminal, birth = shell or (None, None)
        sql = """
            UPDATE containers SET state = 'ready', frozen = $5, heard_at = now(),
                terminal_id = coalesce($3, terminal_id), birth = coalesce($4, birth)
            WHERE name = $1 AND maker = $2 AND state = 'warming' AND session_id IS NULL"""
        return bool(await self._database.run(sql, name, maker, terminal, birth, frozen))

    async def withdraw(self, kind: tuple[str, str], maker: str, up: Sequence[str] = (), *, frozen: bool) -> str | None:
        """One that waits, frozen or not, is `maker`'s to work on for a moment; `kind`: its template and network."""
        sql = f"""
            WITH one AS (SELECT name FROM containers c WHERE state = 'ready' AND template = $1 AND network = $4 AND frozen = $3
                AND {UP.format(up="$5")} ORDER BY created_at DESC FOR UPDATE SKIP LOCKED LIMIT 1)
            UPDATE containers c SET state = 'warming', maker = $2, heard_at = now() FROM one
            WHERE c.name = one.name RETURNING c.name"""
        found: str | None = await self._database.value(sql, kind[0], maker, frozen, kind[1], list(up))
        return found

    async def stock(self, kind: tuple[str, str], up: Sequence[str] = ()) -> Stock:
        """How many wait, and how many are being made; `up`: on members that answer."""
        sql = _STOCK.format(which=f"template = $1 AND network = $2 AND {UP.format(up='$3')}")
        return Stock(**await self._database.row(sql, *kind, list(up)))

    async def stock_of_image(self, image: str, network: str = "none") -> Stock:
        """The same for all templates of an image."""
        sql = _STOCK.format(which="needs->>'image' = $1 AND network = $2")
        return Stock(**await self._database.row(sql, image, network))

    async def surplus(self, kind: tuple[str, str], keep: int) -> int:
        """Of those that wait all but `keep` are to go; how many that were. Frozen ones go last."""
        sql = """
            UPDATE containers SET state = 'gone' WHERE name IN (
                SELECT name FROM containers WHERE state = 'ready' AND template = $1 AND network = $3
                ORDER BY frozen DESC, created_at DESC OFFSET $2 FOR UPDATE SKIP LOCKED)"""
        return await self._database.run(sql, kind[0], keep, kind[1])

    async def outdated(self, templates: dict[str, str]) -> int:
        """Those that wait are to go where their image has another template now, or no lesson uses it so; how many that were.

        `templates`: by image; of images that aren't in it nothing is known.
        """
        sql = """
            UPDATE containers c SET state = 'gone' WHERE state = 'ready' AND (
                EXISTS (SELECT FROM unnest($1::text[], $2::text[]) AS now (image, template)
                    WHERE now.image = c.needs->>'image' AND now.template <> c.template)
                OR NOT EXISTS (SELECT FROM lessons l WHERE l.image = c.needs->>'image'
                    AND l.network = c.network))"""
        return await self._database.run(sql, list(templates), list(templates.values()))

    async def strand(self, members: Sequence[str]) -> int:
        """Those that wait on these members of the cluster are to go; how many that were."""
        sql = "UPDATE containers SET state = 'gone' WHERE state = 'ready' AND member = ANY($1)"
        return await self._database.run(sql, list(members))

    async def hear(self, maker: str) -> None:
        """`maker`, who lives, still works on its own."""
        sql = "UPDATE containers SET heard_at = now() WHERE state = 'warming' AND maker = $1"
        await self._database.run(sql, maker)

    # -- going ---------------------------------------------------------------------------------------------------------

    async def let_go(self, name: str) -> None:
        """It is to be deleted, whoever it was made for."""
        sql = (
            "UPDATE containers SET state = 'gone', session_id = NULL WHERE name = $1 AND state IN ('warming', 'ready')"
        )
        await self._database.run(sql, name)

    async def give_up(self, name: str, session: str) -> bool:
        """A fresh one is taken from a session that starts: nobody can get at it. Whether it was."""
        sql = """
            UPDATE containers SET state = 'gone', session_id = NULL, heard_at = now() WHERE name = $1 AND state = 'taken'
            AND EXISTS (SELECT FROM sessions s WHERE s.id = session_id AND s.id = $2 AND s.state = 'starting')"""
        return bool(await self._database.run(sql, name, session))

    async def move(self, members: dict[str, str]) -> list[str]:
        """Those whose member is another now, by LXD's word; the names of those that were."""
        sql = """
            UPDATE containers c SET member = now.member FROM unnest($1::text[], $2::text[]) AS now (name, member)
            WHERE c.name = now.name AND c.member <> now.member RETURNING c.name"""
        return [row["name"] for row in await self._database.fetch(sql, list(members), list(members.values()))]

    async def gone(self, seconds: float) -> list[str]:
        """Those that LXD still has to delete: let go, of an ended session, or of a maker that isn't heard of any more.

        One that was heard of just now is left to who makes it: LXD may not have made it yet.
        """
        sql = """
            SELECT c.name FROM containers c LEFT JOIN sessions s ON s.id = c.session_id
            WHERE (s.state = 'ended' AND s.heard_at < now() - make_interval(secs => $1)
                OR c.session_id IS NULL AND c.state = 'gone'
                OR c.session_id IS NULL AND c.state = 'warming') AND c.heard_at < now() - make_interval(secs => $1)
            ORDER BY c.created_at"""
        return [row["name"] for row in await self._database.fetch(sql, seconds)]

    async def forget(self, name: str) -> None:
        """LXD has deleted it."""
        sql = """
            DELETE FROM containers c WHERE c.name = $1 AND (c.session_id IS NULL AND c.state IN ('gone', 'warming')
                OR EXISTS (SELECT FROM sessions s WHERE s.id = c.session_id AND s.state = 'ended'))"""
        await self._database.run(sql, name)

    async def lost(self, names: list[str], seconds: float) -> list[str]:
        """Live sessions whose container isn't among those that LXD has, and hasn't been for so long."""
        sql = """
            SELECT s.id FROM containers c JOIN sessions s ON s.id = c.session_id
            WHERE s.state = 'live' AND c.state = 'taken' AND NOT c.name = ANY($1)
            AND c.heard_at < now() - make_interval(secs => $2)"""
        return [row["id"] for row in await self._database.fetch(sql, names, seconds)]

    async def vanished(self, names: list[str], seconds: float) -> int:
        """Those that wait and that LXD hasn't had for so long are gone; how many that were."""
        sql = """
            UPDATE containers SET state = 'gone' WHERE state = 'ready' AND NOT name = ANY($1)
            AND heard_at < now() - make_interval(secs => $2)"""
        return await self._database.run(sql, names, seconds)

    async def census(self) -> dict[str, int]:
        """How many there are, by state."""
        sql = "SELECT state, count(*)::int AS count FROM containers GROUP BY state"
        known = dict.fromkeys(("warming", "ready", "taken", "kept", "gone"), 0)
        return known | {row["state"]: row["count"] for row in await self._database.fetch(sql)}

    async def by_member(self) -> dict[str, int]:
        """How many there are on each host, with those that are to be deleted; '' where there is no cluster."""
        sql = "SELECT member, count(*)::int AS count FROM containers GROUP BY member"
        return {row["member"]: row["count"] for row in await self._database.fetch(sql)}

    async def names(self) -> set[str]:
        """Of all rows."""
        return {row["name"] for row in await self._database.fetch("SELECT name FROM containers")}

    async def all(self) -> list[Listed]:
        """For operators, the oldest first."""
        sql = """
            SELECT c.name, c.state, c.frozen, c.template, round(extract(epoch FROM now() - c.created_at))::int AS age,
                c.member, s.id AS session, s.state AS session_state, u.email AS user, s.lesson_id AS lesson
            FROM containers c LEFT JOIN sessions s ON s.id = c.session_id LEFT JOIN users u ON u.id = s.user_id
            ORDER BY c.created_at"""
        return [Listed(**row) for row in await self._database.fetch(sql)]


def _span(block: IPv4Interface | None) -> tuple[str | None, int | None]:
    """What `_FREE` is filled in with."""
    return (str(block.network.network_address), block.network.num_addresses - 2) if block is not None else (None, None)


def _columns(places: dict[str, int]) -> tuple[list[str], list[int]]:
    """What `_PLACE` is filled in with."""
    return list(places), list(places.values())


@contextmanager
def _addressed(block: IPv4Interface | None) -> Iterator[None]:
    try:
        yield
    except Conflict as error:
        if block is None or ADDRESSED not in error.message:
            raise
        message = f"No address of {block.network} is left for another lab. Whoever runs this: give it a larger block"
        raise Refused(message, code="no_address") from error


def as_json(needs: Needs) -> str:
    """As the column has it."""
    return json.dumps(asdict(needs), sort_keys=True)
