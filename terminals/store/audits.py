"""Audits: who typed into whose terminal, when and how much; never what. Rows are only ever added."""

from dataclasses import dataclass
from datetime import datetime

from terminals.store.database import Database
from terminals.store.terminals import Watched

MOST = 200
"""Grants that are shown at once."""


@dataclass(frozen=True, slots=True)
class Assist:
    """What one person typed into `watched` within a few seconds; 0 bytes: was let in, or out. Times are unix seconds."""

    grant: str
    who: int
    who_name: str
    watched: Watched
    began: float
    ended: float
    bytes: int


@dataclass(frozen=True, slots=True)
class Account:
    """One grant, summed up."""

    id: str
    who_name: str
    whom_name: str
    session_id: str
    terminal_id: str
    role: str
    began: datetime
    ended: datetime
    bytes: int


class Audits:
    """The audits table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, assist: Assist) -> None:
        """One more row."""
        watched, claim = assist.watched, assist.watched.claim
        sql = """
            INSERT INTO audits (grant_id, who, who_name, whom, whom_name, course_id, session_id, terminal_id, role,
                began, ended, bytes)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'assistant', to_timestamp($9), to_timestamp($10), $11)"""
        people = (assist.who, assist.who_name, claim.user, watched.student)
        place = (watched.course, claim.session, claim.terminal)
        span = (assist.began, max(assist.began, assist.ended), assist.bytes)
        await self._database.run(sql, assist.grant, *people, *place, *span)

    async def of_course(self, course: str) -> list[Account]:
        """The newest first, at most `MOST`."""
        return await self._accounts("course_id = $1", course)

    async def of_session(self, session: str) -> list[Account]:
        """What was typed in one student's session, the newest first."""
        return await self._accounts("session_id = $1", session)

    async def _accounts(self, which: str, value: str) -> list[Account]:
        sql = f"""
            SELECT grant_id AS id, min(who_name) AS who_name, min(whom_name) AS whom_name, session_id, terminal_id, role,
                min(began) AS began, max(ended) AS ended, sum(bytes)::bigint AS bytes
            FROM audits WHERE {which}
            GROUP BY grant_id, session_id, terminal_id, role ORDER BY min(id) DESC LIMIT {MOST}"""
        return [Account(**row) for row in await self._database.fetch(sql, value)]
