"""Promises: what containers have been promised already, and the gate at which more is: one decides at a time."""

from dataclasses import dataclass

from terminals.limits import Limits
from terminals.store.database import Database

GATE = 0x6564_6361
"""The advisory lock's key: ASCII "edca". Whoever adds to what is promised holds it."""
UNTOLD = "$1"
"""Where statements that use `PROMISED` have the memory of a container that neither its lesson nor its course names."""


def in_bytes(size: str) -> str:
    """SQL: bytes of a size as LXD writes it; 0 where that can't be read."""
    return f"CASE WHEN {size} ~ '^[0-9]+ ?[kMGT]i?B$' THEN pg_size_bytes(replace({size}, 'iB', 'B')) ELSE 0 END"


UP = "({up}::text[] = '{{}}' OR c.member = ANY({up}))"
"""SQL: container `c` is where LXD answers."""
AFTER_RESET = """
    EXISTS (SELECT FROM sessions r WHERE r.user_id = s.user_id AND r.lesson_id = s.lesson_id AND r.ended_by = 'reset'
        AND r.ended_at = s.created_at)"""
"""SQL: session `s` follows one that was reset, in the same transaction: its room is that one's."""
MEMORY = in_bytes(f"coalesce(l.memory, o.memory, {UNTOLD}::text)")
"""SQL: bytes, of `lessons l JOIN courses o`."""
PROMISED = f"""
    promised AS (SELECT count(*) AS labs, coalesce(sum(memory), 0)::bigint AS memory FROM (
        SELECT {in_bytes("c.needs->>'memory'")} AS memory FROM containers c LEFT JOIN sessions s ON s.id = c.session_id
        -- What is kept or stopped has no memory, what is to be deleted has it until it is.
        WHERE c.state <> 'kept' AND (s.id IS NULL OR s.rest <> 'stopped')
        UNION ALL SELECT {MEMORY} FROM sessions s JOIN lessons l ON l.id = s.lesson_id JOIN courses o ON o.id = l.course_id
        WHERE s.state = 'starting' AND (s.started_by IS NOT NULL OR {AFTER_RESET})
        AND NOT EXISTS (SELECT FROM containers c WHERE c.session_id = s.id)) each)"""
"""SQL, for WITH: `labs` and `memory` of all containers that there are or are about to be."""


@dataclass(frozen=True, slots=True)
class Promised:
    """To all containers of ours that cost memory."""

    labs: int = 0
    memory: int = 0
    """Bytes."""


class Promises:
    """Sums over containers and starts."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self._limits = limits

    async def all(self) -> Promised:
        """As it stands."""
        row = await self._database.row(f"WITH {PROMISED} SELECT labs, memory FROM promised", self._limits.memory)
        return Promised(**row)

    async def give_back(self, seconds: float) -> str | None:
        """One that waits is to go, for a start that it doesn't help; None: none waits, or one is going already.

        One that LXD hasn't deleted for so long holds nobody up.
        """
        sql = """
            WITH one AS (SELECT name FROM containers WHERE state = 'ready' AND NOT EXISTS (SELECT FROM containers g
                    WHERE g.state = 'gone' AND g.heard_at > now() - make_interval(secs => $1))
                ORDER BY frozen DESC, created_at FOR UPDATE SKIP LOCKED LIMIT 1)
            UPDATE containers c SET state = 'gone', heard_at = now() FROM one WHERE c.name = one.name RETURNING c.name"""
        row = await self._database.row_alone(GATE, sql, seconds)
        return row["name"] if row else None
