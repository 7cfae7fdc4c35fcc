"""Shells: one that waits in a pool container, before its student is there; and what runs in those that nobody has."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable

import structlog

from terminals.errors import Cut, Lost, NotFound, Refused, Taken, TerminalsError
from terminals.holder import SOCKET, STATE_FOLDER, Holder
from terminals.link import frames
from terminals.link.exec import Attach, Exec
from terminals.lxd import Lxd
from terminals.store.adoptions import Shell
from terminals.store.database import ID, new_id
from terminals.store.terminals import MOST, Claim

log = structlog.get_logger(__name__)

SIZE = (80, 24)
PROMPT_S, QUIET_S = 5.0, 0.1
"""For the first output, and how long nothing more has come when the prompt is whole."""
STATUS_S = 5.0
"""A holder tells its status right behind its hello."""
EPOCH = 1
"""With which it is attached here; whoever claims it comes with a higher one."""
TRIES = 3
"""The first tells the epoch that stands."""
BELIEVABLE = 1_000_000
"""Each claim raises the epoch by one: what is above this a student made up."""
NAMES_BYTES = 65_536
"""Of the names in a container's state folder."""


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

    async def names(self, container: str) -> list[str]:
        """Terminals that a running container's holders say they have: it may say anything.

        Raises:
            Unavailable: LXD doesn't answer.
        """
        try:
            found = await self._lxd.folder(container, STATE_FOLDER, NAMES_BYTES)
        except (NotFound, Refused) as error:
            log.info("shells_not_seen", container=container, reason=error.message)
            return []
        names = (name.removesuffix(SOCKET) for name in sorted(found) if name.endswith(SOCKET))
        return [name for name in names if re.fullmatch(ID, name)][:MOST]

    async def known(self, container: str, terminal: str) -> Shell | None:
        """One that runs there, whose row was lost, with the epoch that stands. None: there is none.

        Raises:
            Unavailable: LXD doesn't answer.
        """
        epoch = EPOCH
        for _ in range(TRIES):
            try:
                opened = await self._attach(
                    container, terminal, Attach(epoch, bytes(16), frames.FROM_BASE, (0, 0), forced=False)
                )
            except Taken as error:
                epoch = error.epoch
                if epoch > BELIEVABLE:
                    break
                continue
            except (Cut, Lost, Refused, NotFound) as error:
                log.info("shell_not_seen", terminal=terminal, code=error.code, reason=error.message)
                return None
            async with _pumped(opened, lambda _: None):
                return None if opened.hello.exited else Shell(terminal, opened.hello.birth, epoch)
        log.info("shell_not_seen", terminal=terminal, reason="its holder can't be believed, or somebody has it")
        return None

    async def _look(self, claim: Claim) -> Exec:
        # With the epoch that stands, so that nobody's claim is any the older for it.
        attach = Attach(claim.epoch, claim.birth or bytes(16), frames.FROM_BASE, (0, 0), forced=False)
        return await self._attach(claim.container, claim.terminal, attach)

    async def _attach(self, container: str, terminal: str, attach: Attach) -> Exec:
        command = self._holder.attach(terminal)
        try:
            return await Exec.open(self._lxd, container, command, attach)
        except Refused as error:
            if not self._holder.missing(error):
                raise
        await self._holder.install(self._lxd, container)
        return await Exec.open(self._lxd, container, command, attach)


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
