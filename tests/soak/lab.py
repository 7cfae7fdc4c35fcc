"""Lab: a page that comes back, on a shell in a real container, while the window's size changes and pings are sent."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.client import User
from tests.conftest import container_of
from tests.soak import remains
from tests.soak.returning import Returning

FIDGET_S = 0.2
_marks = itertools.count(1)


async def ask(page: Returning, command: str) -> str:
    """What a command prints, without echo of the typing."""
    number = next(_marks)
    start = len(page.output)
    await page.type(f"echo BEG''IN{number}; {command}; echo E''ND{number}\r")
    await page.when(lambda: f"END{number}\r\n".encode() in page.output[start:])
    text = page.output[start:].decode(errors="replace")
    return text.split(f"BEGIN{number}\r\n", 1)[1].split(f"END{number}\r\n", 1)[0].strip()


@asynccontextmanager
async def opened(student: User, chance: random.Random) -> AsyncIterator[tuple[str, Returning]]:
    """The container's name and the page. At the end the shell is the same and nothing is left of what was cut."""
    session = await student.start("first-steps")
    container = container_of(session)
    page = Returning(student, await student.first_terminal(session))
    async with page.running():
        pid = await ask(page, "stty -echo; echo $$")
        before = remains.inside(container)
        fidget = asyncio.create_task(_fidget(page, chance))
        try:
            yield container, page
        finally:
            fidget.cancel()
            await asyncio.gather(fidget, return_exceptions=True)
        assert await ask(page, "echo $$") == pid
        await remains.settled(container, page.terminal, before)
    assert page.gaps == []
    assert page.resets == 1, "only the first attach begins anew"


async def _fidget(page: Returning, chance: random.Random) -> None:
    """Sizes and pings at random moments, whatever else goes on."""
    while True:
        await asyncio.sleep(chance.random() * FIDGET_S)
        if page.live and page.role == "driver":
            with suppress(ConnectionError):
                await page.resize(chance.randrange(20, 300), chance.randrange(1, 100))
                await page.ping(chance.randrange(2**32))
