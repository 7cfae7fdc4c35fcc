"""Desk: a student who reads numbered output in one terminal and types numbered input in another, whatever happens."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from tests.chaos import verdict
from tests.chaos.seat import Seat
from tests.client import User
from tests.conftest import container_of, lxc
from tests.soak.lab import ask

TYPE_S = 0.05
COUNT = "sh -c 'echo P''ID$$-; i=0; while :; do i=$((i+1)); echo N$i; sleep {every}; done'"
TYPED = "/tmp/typed"
READ = f"echo RE''ADY; cat > {TYPED}"


class Desk:
    """`reader` shows `N1, N2 …` from a program that goes on for ever; `typist` sends `n1, n2 …` to one that keeps them."""

    def __init__(self, session: str, reader: Seat, typist: Seat) -> None:
        self.session = session
        self.container = container_of(session)
        self.reader = reader
        self.typist = typist
        self.typed = 0
        self.silences: list[float] = []
        self._pids: tuple[str, str, str] = ("", "", "")
        self._more: list[str] = []

    @classmethod
    @asynccontextmanager
    async def taken(
        cls, student: User, *, url: str | None = None, lesson: str = "tiny-system"
    ) -> AsyncIterator["Desk"]:
        """At the end of the block the verdict is given. `url`: both pages stay with that instance."""
        session = await student.start(lesson)
        seats = [
            Seat(student, await terminal, url=url)
            for terminal in (student.first_terminal(session), another(student, session))
        ]
        async with AsyncExitStack() as stack:
            for seat in seats:
                await stack.enter_async_context(seat.running())
            desk = cls(session, *seats)
            await desk._begin()
            typing = asyncio.create_task(desk._type())
            try:
                yield desk
            finally:
                typing.cancel()
                await asyncio.gather(typing, return_exceptions=True)
            await desk._judge()

    @property
    def seats(self) -> tuple[Seat, Seat]:
        return self.reader, self.typist

    async def open(self, student: User) -> Seat:
        """One more tab; its page isn't running yet."""
        seat = Seat(student, await another(student, self.session))
        self._more.append(seat.terminal)
        return seat

    def fault(self) -> None:
        for seat in self.seats:
            seat.fault()

    def note(self) -> None:
        """The fault is over."""
        self.silences.append(self.reader.silent_s)

    async def _begin(self) -> None:
        shells = [await ask(seat, "stty -echo; echo $$") for seat in self.seats]
        await self.reader.type(COUNT.format(every="0.02") + "\r")
        await self.reader.when(lambda: re.search(rb"PID\d+-\r\nN1\r\n", self.reader.output) is not None)
        program = re.findall(rb"PID(\d+)-\r\n", self.reader.output)[-1].decode()
        self._pids = (shells[0], shells[1], program)
        await self.typist.type(READ + "\r")
        await self.typist.when(lambda: b"READY\r\n" in self.typist.output)

    async def _type(self) -> None:
        while True:
            self.typed += 1
            await self.typist.type(f"n{self.typed}\r")
            await asyncio.sleep(TYPE_S)

    async def _judge(self) -> None:
        await self.typist.when(lambda: self.typist.live and not self.typist.unacknowledged)
        await self.typist.type("\x04")
        assert await ask(self.typist, f"kill -0 {self._pids[2]} && echo $$") == self._pids[1], (
            "another shell, or no program"
        )
        await verdict.settled(self.container, [*(seat.terminal for seat in self.seats), *self._more])
        await self.reader.type("\x03")
        assert await ask(self.reader, "echo $$") == self._pids[0], "another shell"
        verdict.contiguous(bytes(self.reader.output))
        verdict.once(lxc("exec", self.container, "--", "cat", TYPED).split(), self.typed)
        for seat in self.seats:
            assert seat.gaps == []
            assert seat.resets == 1, "only the first attach begins anew"


async def another(student: User, session: str) -> str:
    """A new terminal of the session."""
    found: str = (await student.call("POST", f"/api/sessions/{session}/terminals", status=201))["id"]
    return found
