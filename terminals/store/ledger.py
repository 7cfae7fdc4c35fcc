"""Ledger: who typed for whom and who did what to whose lab, whole and in order, for whoever must keep or examine it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from terminals.store.database import Database

PAGE = 1000
"""Rows that are read at once."""


class Ledger:
    """The audits and acts tables, read only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lines(self, course: str | None, since: datetime, until: datetime) -> AsyncIterator[str]:
        """A JSON object for each row of `since` ≤ time < `until`, the oldest first; `kind` is assist or act.

        `course`: only of this one.
        """
        sql = f"""
            SELECT at, kind, id, (jsonb_build_object('kind', kind) || said)::text AS line FROM (
                SELECT began AS at, 'assist' AS kind, id, course_id, to_jsonb(a) AS said FROM audits a
                UNION ALL SELECT at, 'act', id, course_id, to_jsonb(b) FROM acts b) entries
            WHERE ($1::text IS NULL OR course_id = $1) AND at >= $2 AND at < $3 AND (at, kind, id) > ($4, $5, $6)
            ORDER BY at, kind, id LIMIT {PAGE}"""
        after: tuple[datetime, str, int] = (datetime(1, 1, 1, tzinfo=UTC), "", 0)
        while rows := await self._database.fetch(sql, course, since, until, *after):
            for row in rows:
                yield row["line"]
            after = (row["at"], row["kind"], row["id"])
