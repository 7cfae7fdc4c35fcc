"""Users: who they are and how they sign in."""

from dataclasses import dataclass
from datetime import datetime

from terminals.store.database import Database

_COLUMNS = "id, email, name, password_hash, admin, demo, revoked_before, created_at"


@dataclass(frozen=True, slots=True)
class User:
    """One person."""

    id: int
    email: str
    name: str
    password_hash: str
    admin: bool
    demo: bool
    revoked_before: datetime
    created_at: datetime


class Users:
    """The users table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def by_email(self, email: str) -> User | None:
        """E-mail addresses are kept in lower case."""
        row = await self._database.row(f"SELECT {_COLUMNS} FROM users WHERE email = $1", email.strip().lower())
        return User(**row) if row else None

    async def by_id(self, user: int) -> User | None:
        row = await self._database.row(f"SELECT {_COLUMNS} FROM users WHERE id = $1", user)
        return User(**row) if row else None

    async def put(self, email: str, name: str, password_hash: str, *, admin: bool = False, demo: bool = False) -> int:
        """Adds a user, or updates the one with this e-mail. Returns the id."""
        sql = """
            INSERT INTO users (email, name, password_hash, admin, demo) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (email) DO UPDATE SET name = $2, password_hash = $3, admin = $4, demo = $5 RETURNING id"""
        found: int = await self._database.value(sql, email.strip().lower(), name, password_hash, admin, demo)
        return found

    async def rehash(self, user: int, password_hash: str) -> None:
        """Keeps a stronger hash of the same password."""
        await self._database.run("UPDATE users SET password_hash = $2 WHERE id = $1", user, password_hash)

    async def add(self, email: str, name: str, password_hash: str) -> tuple[int, bool]:
        """(id, whether there was nobody with this e-mail): who is known already stays as they are."""
        sql = """
            WITH added AS (
                INSERT INTO users (email, name, password_hash) VALUES ($1, $2, $3) ON CONFLICT (email) DO NOTHING RETURNING id)
            SELECT id, true AS fresh FROM added UNION ALL SELECT id, false FROM users WHERE email = $1 LIMIT 1"""
        row = await self._database.row(sql, email.strip().lower(), name, password_hash)
        return row["id"], row["fresh"]

    async def change_password(self, user: User, password_hash: str) -> bool:
        """Voids every sign-in, too. False: it has been changed since `user` was read."""
        sql = "UPDATE users SET password_hash = $2, revoked_before = now() WHERE id = $1 AND password_hash = $3"
        return bool(await self._database.run(sql, user.id, password_hash, user.password_hash))

    async def revoke(self, email: str) -> int | None:
        """Voids every sign-in and ticket made until now. Returns the user's id, or None for an unknown address."""
        sql = "UPDATE users SET revoked_before = now() WHERE email = $1 RETURNING id"
        found: int | None = await self._database.value(sql, email.strip().lower())
        return found

    async def delete(self, email: str) -> bool:
        """Whether there was one. Ended sessions go with it; a running one must be ended first."""
        return bool(await self._database.run("DELETE FROM users WHERE email = $1", email.strip().lower()))

    async def all(self) -> list[User]:
        rows = await self._database.fetch(f"SELECT {_COLUMNS} FROM users ORDER BY email")
        return [User(**row) for row in rows]
