"""Containers: which LXD instance belongs to which session; forward only, warming → ready → taken → gone.

A row is written before LXD is asked and removed after LXD has deleted, so no container is ever without one.
"""

from terminals.store.database import Database


class Containers:
    """The containers table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, name: str, session: str) -> bool:
        """A container that is about to be made for a starting session. False: the session isn't starting any more."""
        sql = """
            INSERT INTO containers (name, session_id)
            SELECT $1, id FROM sessions WHERE id = $2 AND state = 'starting' FOR UPDATE"""
        return bool(await self._database.run(sql, name, session))

    async def take(self, name: str) -> bool:
        """warming → taken (by way of ready): it runs and is its session's. False: it is gone meanwhile."""
        sql = "UPDATE containers SET state = 'taken' WHERE name = $1 AND state IN ('warming', 'ready')"
        return bool(await self._database.run(sql, name))

    async def of_session(self, session: str) -> str | None:
        found: str | None = await self._database.value("SELECT name FROM containers WHERE session_id = $1", session)
        return found

    async def gone(self) -> list[str]:
        """Those that LXD still has to delete."""
        rows = await self._database.fetch("SELECT name FROM containers WHERE state = 'gone' ORDER BY created_at")
        return [row["name"] for row in rows]

    async def forget(self, name: str) -> None:
        """LXD has deleted it."""
        await self._database.run("DELETE FROM containers WHERE name = $1 AND state = 'gone'", name)
