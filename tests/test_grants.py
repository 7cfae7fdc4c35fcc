"""Grants while their database is slow or away: the student's last word counts, and nothing piles up."""

import asyncio
from dataclasses import replace

import pytest

from terminals.errors import Unavailable
from terminals.person import Person
from terminals.store.audits import Assist
from terminals.store.terminals import Claim, Watched
from terminals.viewers import grants
from terminals.viewers.grants import Grants

WATCHED = Watched(Claim("t", "s", 1, "c", 1, bytes(16)), "Ana", "Files", "course", "Course", "ask", "awake")
ASKER = Person("id", 2, "Ms Rivera", 0, 7, wants=1)


class Host:
    """A terminal whose holder answers at once; `told` is what the asker was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    async def last_seq(self, _writer: int, /) -> int:
        return 0

    def answer(self, _person: Person, _wish: int, state: str, reason: str, _last_seq: int) -> None:
        self.told.append((state, reason))

    def changed(self) -> None:
        """Nobody is told here."""


class Database:
    """Writes when it is `there`."""

    def __init__(self) -> None:
        self.there = asyncio.Event()
        self.asked = 0
        self.rows: list[Assist] = []

    async def permit(self, _user: int) -> Watched:
        return WATCHED

    async def audit(self, row: Assist) -> None:
        self.asked += 1
        await self.there.wait()
        self.rows.append(row)


async def until(holds: object) -> None:
    assert callable(holds)
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0)


async def asked(database: Database, host: Host) -> Grants:
    """Somebody has asked, and the student knows."""
    found = Grants(database.permit, database.audit, host)
    found.review([ASKER], student=True)
    await until(lambda: found.shown([ASKER])[0]["asks"])
    return found


async def test_an_end_while_being_let_in_is_written_down_is_the_last_word() -> None:
    database, host = Database(), Host()
    found = await asked(database, host)
    found.decide(ASKER.id, allow=True)
    await until(lambda: database.asked == 1)
    found.decide(ASKER.id, allow=False)
    database.there.set()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not found.typed(ASKER.writer, 1, 5)
    assert host.told == [("refused", "refused")]
    await found.close()


async def test_nobody_types_before_it_is_written_down() -> None:
    database, host = Database(), Host()
    found = await asked(database, host)
    found.decide(ASKER.id, allow=True)
    await until(lambda: database.asked == 1)
    assert not found.typed(ASKER.writer, 1, 5)
    database.there.set()
    await until(lambda: host.told == [("typing", "")])
    assert found.typed(ASKER.writer, 1, 5)
    await found.close()
    assert [row.bytes for row in database.rows] == [0, 5]


async def test_what_is_typed_while_the_database_is_away_is_one_row_more_and_complete(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grants, "AUDIT_S", 0.0)
    database, host = Database(), Host()
    database.there.set()
    found = await asked(database, host)
    found.decide(ASKER.id, allow=True)
    await until(lambda: host.told == [("typing", "")])

    failures = 0

    async def away(row: Assist) -> None:
        nonlocal failures
        if not database.there.is_set():
            failures += 1
            raise Unavailable("away")
        database.rows.append(row)

    monkeypatch.setattr(found, "_audit", away)
    database.there.clear()
    for seq in range(1, 101):
        assert found.typed(ASKER.writer, seq, 3)
        assert found.typed(ASKER.writer, seq, 3), "sent again, and not counted again"
        found.review([replace(ASKER, types=True)], student=True)
        await asyncio.sleep(0)
    assert failures > 1
    assert len(found._accounts) == 1
    database.there.set()
    await found.close()
    assert sum(row.bytes for row in database.rows) == 300
    assert len(database.rows) <= 3
