"""Shells: one that waits in a pool container, so that its prompt is there before its student is."""

import asyncio
import contextlib

import structlog

from terminals import frames
from terminals.errors import Cut, TerminalsError
from terminals.exec import Attach, Exec
from terminals.holder import Holder
from terminals.lxd import Lxd
from terminals.store.database import new_id

log = structlog.get_logger(__name__)

SIZE = (80, 24)
PROMPT_S, QUIET_S = 5.0, 0.1
"""For the first output, and how long nothing more has come when the prompt is whole."""
EPOCH = 1
"""With which it is attached here; whoever claims it comes with a higher one."""


class Shells:
    """Begins them through LXD, and leaves them to their holders."""

    def __init__(self, lxd: Lxd, holder: Holder) -> None:
        self._lxd = lxd
        self._holder = holder

    async def begin(self, container: str) -> tuple[str, bytes]:
        """Terminal id and birth of a shell whose prompt stands.

        Raises:
            Cut, Refused, Unavailable …: it couldn't be started.
        """
        terminal = new_id()
        attach = Attach(EPOCH, bytes(16), frames.FROM_BASE, SIZE)
        opened = await Exec.open(self._lxd, container, self._holder.start(terminal, SIZE), attach)
        spoke = asyncio.Event()

        def take(bodies: list[bytes]) -> None:
            if any(body[0] == frames.OUTPUT for body in bodies):
                spoke.set()

        pumping = asyncio.create_task(opened.pump(take), name="shell-pump")
        try:
            await _quiet(spoke)
        finally:
            opened.finish()
            with contextlib.suppress(TerminalsError):
                await pumping
            await opened.close()
        return terminal, opened.hello.birth


async def _quiet(spoke: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(PROMPT_S):
            await spoke.wait()
    except TimeoutError as error:
        raise Cut(f"the shell printed nothing in {PROMPT_S:.0f} s") from error
    while spoke.is_set():
        spoke.clear()
        await asyncio.sleep(QUIET_S)
