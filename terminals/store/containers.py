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

    async def gone(self, seconds: float) -> list[str]:
        """Those that LXD still has to delete: all whose session has ended, whatever a race left in their own state.

        One whose start was heard of just now is left to who starts it: LXD may not have made it yet.
        """
        sql = """
            SELECT c.name FROM containers c JOIN sessions s ON s.id = c.session_id
            WHERE s.state = 'ended' AND s.heard_at < now() - make_interval(secs => $1) ORDER BY c.created_at"""
        return [row["name"] for row in await self._database.fetch(sql, seconds)]

    async def forget(self, name: str) -> None:
        """LXD has deleted it."""
        sql = (
            "DELETE FROM containers c USING sessions s WHERE c.name = $1 AND s.id = c.session_id AND s.state = 'ended'"
        )
        await self._database.run(sql, name)
