"""Shells: one that waits in a pool container, before its student is there; and what runs in those that nobody has."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import structlog

from terminals.errors import Cut, Lost, NotFound, Refused, Taken, TerminalsError
from terminals.holder import Holder
from terminals.link import frames
from terminals.link.exec import Attach, Exec
from terminals.lxd import Lxd
from terminals.store.database import new_id
from terminals.store.terminals import Claim

log = structlog.get_logger(__name__)

SIZE = (80, 24)
PROMPT_S, QUIET_S = 5.0, 0.1
"""For the first output, and how long nothing more has come when the prompt is whole."""
STATUS_S = 5.0
"""A holder tells its status right behind its hello."""
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

        async with _pumped(opened, take):
            await _quiet(spoke)
        return terminal, opened.hello.birth

    async def busy(self, claim: Claim) -> bool:
        """Whether a program other than the shell is in the foreground, by a polite look at a terminal that nobody has.

        One that somebody has after all counts as busy; one whose holder doesn't say counts as not.

        Raises:
            Unavailable: LXD doesn't answer.
        """
        try:
            opened = await self._look(claim)
        except Taken:
            return True
        except (Cut, Lost, Refused, NotFound) as error:
            log.info("shell_not_seen", terminal=claim.terminal, code=error.code, reason=error.message)
            return False
        told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def take(bodies: list[bytes]) -> None:
            for body in bodies:
                if body[0] == frames.STATUS and not told.done():
                    told.set_result(not frames.read_status(body).shell)

        async with _pumped(opened, take):
            try:
                async with asyncio.timeout(STATUS_S):
                    return not opened.hello.exited and await told
            except TimeoutError:
                return False

    async def _look(self, claim: Claim) -> Exec:
        # With the epoch that stands, so that nobody's claim is any the older for it.
        attach = Attach(claim.epoch, claim.birth or bytes(16), frames.FROM_BASE, (0, 0), forced=False)
        command = self._holder.attach(claim.terminal)
        try:
            return await Exec.open(self._lxd, claim.container, command, attach)
        except Refused as error:
            if not self._holder.missing(error):
                raise
        await self._holder.install(self._lxd, claim.container)
        return await Exec.open(self._lxd, claim.container, command, attach)


@contextlib.asynccontextmanager
async def _pumped(opened: Exec, take: Callable[[list[bytes]], None]) -> AsyncIterator[None]:
    """What its holder sends goes to `take`, until the context is left: then it is left to its holder."""
    pumping = asyncio.create_task(opened.pump(take), name="shell-pump")
    try:
        yield
    finally:
        opened.finish()
        with contextlib.suppress(TerminalsError):
            await pumping
        await opened.close()


async def _quiet(spoke: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(PROMPT_S):
            await spoke.wait()
    except TimeoutError as error:
        raise Cut(f"the shell printed nothing in {PROMPT_S:.0f} s") from error
    while spoke.is_set():
        spoke.clear()
        await asyncio.sleep(QUIET_S)
