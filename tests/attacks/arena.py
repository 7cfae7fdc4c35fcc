"""Arena: a hostile student who is root in their own container, and a neighbour who types meanwhile."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from server.seed import COURSE
from terminals.store import Store
from terminals.store.lessons import Text, Wants
from tests.client import Page, User
from tests.conftest import Server, lxc
from tests.e2e.test_main_job import ask
from tests.hostile.lab import Neighbour

PROGRAMS = Path(__file__).with_name("programs.py")
WANTS = Wants("lab", memory="256MiB", cpu="1", processes=100, disk="1GiB", root=True, output=1 << 19)
LESSON = "attacked"
PATIENCE_S = 90.0
ALIVE_MS = 2_000
"""A neighbour's key is back within so long, whatever happens: the figures are for people, this is what fails."""

Row = tuple[str, str, str, str]
ROWS = pytest.StashKey[list[Row]]()
"""What came of the attacks, for the table at the end."""


class Arena:
    """Of one server. What is seen goes into `rows`."""

    def __init__(
        self,
        server: Server,
        store: Store,
        student: User,
        neighbour: Neighbour,
        rows: list[Row],
        lesson: tuple[str, int, Wants] = (LESSON, 97, WANTS),
    ) -> None:
        self._lesson = lesson
        self.server = server
        self.store = store
        self.student = student
        self.neighbour = neighbour
        self.page: Page
        self.session = ""
        self.container = ""
        self._rows = rows

    async def open(self) -> None:
        """The attacker's lab."""
        name, position, wants = self._lesson
        await self.store.lessons.put(name, COURSE, position, Text("Attacked", 10), wants)
        self.session = await self.student.start(name)
        self.container = str(await self.store.containers.of_session(self.session))
        lxc("file", "push", "-q", "--mode", "755", str(PROGRAMS), f"{self.container}/usr/local/bin/attack")
        self.page = self.student.page(await self.student.first_terminal(self.session))
        await self.page.connect()

    async def again(self) -> None:
        """Another terminal."""
        await self.page.leave()
        fresh = await self.student.call("POST", f"/api/sessions/{self.session}/terminals", status=201)
        self.page = self.student.page(fresh["id"])
        await self.page.connect()

    async def leave(self) -> None:
        await self.page.leave()

    async def attack(self, name: str, *arguments: object, seconds: float = 0, root: bool = False) -> dict[str, str]:
        """What the attacker's program says, typed by its student."""
        words = " ".join(map(str, ("attack", name, seconds, *arguments)))
        text = await ask(self.page, f"{'sudo ' if root else ''}{words} 2>&1", PATIENCE_S)
        assert "Traceback" not in text, text
        found = dict(line.split(": ", 1) for line in text.split("\r\n") if ": " in line)
        assert found, text
        return found

    @asynccontextmanager
    async def beside(self, attack: str, limit: str) -> AsyncIterator[list[str]]:
        """The neighbour types all the while; what is put into the list is what the attacker sees."""
        seen: list[str] = []
        try:
            async with self.neighbour.typing():
                yield seen
        except BaseException:
            await self.again()  # the next attack needs a prompt
            raise
        low, high, worst = (self.neighbour.quantile(part) for part in (0.5, 0.95, 1))
        self._rows.append((attack, limit, "; ".join(seen), f"{low:.1f} / {high:.1f} / {worst:.0f}"))
        assert worst < ALIVE_MS
        assert await ask(self.page, "echo still''here") == "stillhere"
