"""Hub: this instance's terminals: open, claim, drain. The one door for the edge's WebSocket."""

import asyncio
from dataclasses import dataclass

import structlog

from terminals.errors import Ended, Forbidden, Lost, NotFound, Refused, Taken, TerminalsError, Unavailable
from terminals.exec import Attach, Exec
from terminals.holder import Holder
from terminals.lxd import Lxd
from terminals.pool import Pool
from terminals.store import Store
from terminals.store.terminals import Claim
from terminals.terminal import Terminal

log = structlog.get_logger(__name__)

TICK_S = 2.0
UNKNOWN = "There is no such terminal: it was closed, or its lab has ended"
"""Somebody else's is told the same."""
TOUCH_EVERY = 15
"""Ticks between two notes that these sessions are open."""
DETACH_AFTER_S = 60.0
"""With no viewer for so long the exec is detached: the holder keeps the shell, nothing runs for it on the host."""
TAMPERED = 1_000
"""A holder whose epoch is further ahead of ours than any restored database explains."""
CLOSING_SIZE = (80, 24)
CLAIMS = 16
"""Terminals that are being attached at the same time: LXD's database suffers from mass opens."""


@dataclass(slots=True)
class _Held:
    terminal: Terminal
    task: asyncio.Task[None]


class Hub:
    """Terminals by id, each with the task that runs it."""

    def __init__(self, store: Store, lxd: Lxd, holder: Holder, pool: Pool, instance: str) -> None:
        self._store = store
        self._lxd = lxd
        self._holder = holder
        self._pool = pool
        self._instance = instance
        self._held: dict[str, _Held] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._claims = asyncio.Semaphore(CLAIMS)
        self.draining = False

    @property
    def terminals(self) -> list[Terminal]:
        return [held.terminal for held in self._held.values()]

    async def open(self, terminal: str, user: int, size: tuple[int, int]) -> Terminal:
        """The user's terminal, claimed for this instance if it isn't already ours. Ours needs no database.

        Raises:
            NotFound: unknown, or somebody else's. Ended. Unavailable.
        """
        if self.draining:
            raise Unavailable("This server is being replaced: connect again", code="draining")
        lock = self._locks.setdefault(terminal, asyncio.Lock())
        try:
            async with lock:
                held = self._held.get(terminal)
                if held is not None and held.terminal.over is None:
                    if held.terminal.claim.user != user:
                        raise NotFound(UNKNOWN)
                    return held.terminal
                claim = await self._store.terminals.claim(terminal, user, self._instance)
                if claim is None:
                    raise await self._why_not(terminal, user)
                log.info("terminal_claimed", terminal=terminal, epoch=claim.epoch)
                return await self._hold(claim, size)
        finally:
            if not lock.locked():
                self._locks.pop(terminal, None)

    async def run(self) -> None:
        """Ticks every terminal; lets go of those that nobody looks at."""
        loop = asyncio.get_running_loop()
        ticks = 0
        while True:
            await asyncio.sleep(TICK_S)
            ticks += 1
            results = await asyncio.gather(*(t.tick() for t in self.terminals), return_exceptions=True)
            for error in results:
                if isinstance(error, Exception):
                    log.error("tick_failed", exc_info=error)
            await self._release_lonely(loop.time())
            if ticks % TOUCH_EVERY == 0:
                await self._touch()

    async def close_terminal(self, terminal: str, session: str, user: int) -> None:
        """The tab was closed: its programs are hung up, its viewers go, its row goes. Claims it first where it isn't ours.

        Raises:
            NotFound: the session has no such terminal.
        """
        if terminal not in await self._store.terminals.of_session(session):
            raise NotFound("This lab has no such terminal")
        held = await self.open(terminal, user, CLOSING_SIZE)
        await held.hang_up()
        await self._let_go(terminal, Ended("this terminal was closed"))
        await self._store.terminals.delete(terminal, session)

    async def end_session(self, session: str) -> None:
        """Sends the session's viewers here away."""
        for held in list(self._held.values()):
            if held.terminal.claim.session == session:
                await self._let_go(held.terminal.claim.terminal, Ended("this lab has ended"))

    async def revoke(self, user: str) -> None:
        """Closes every socket of a user (by id) whose sign-in was revoked."""
        reason = Forbidden("your sign-in was ended")
        for terminal in self.terminals:
            for viewer in list(terminal.viewers):
                if str(viewer.user) == user:
                    viewer.close(reason)

    async def drain(self) -> None:
        """Takes nothing new, detaches every exec and tells every viewer to connect again. The holders keep the shells."""
        self.draining = True
        reason = Unavailable("this server is being replaced: connect again", code="draining")
        await asyncio.gather(*(self._let_go(name, reason) for name in list(self._held)))

    # -- claiming ----------------------------------------------------------------------------------------------------

    async def _hold(self, claim: Claim, size: tuple[int, int]) -> Terminal:
        await self._let_go(claim.terminal, Taken("claimed anew", epoch=claim.epoch))
        terminal: Terminal

        async def open_exec(attach: Attach, more: bytes) -> Exec:
            async with self._claims:
                return await self._open_exec(terminal, attach, more)

        terminal = Terminal(claim, open_exec, size)
        task = asyncio.create_task(self._run(terminal), name=f"terminal-{claim.terminal}")
        self._held[claim.terminal] = _Held(terminal, task)
        return terminal

    async def _run(self, terminal: Terminal) -> None:
        try:
            await terminal.run()
        except Exception:
            log.exception("terminal_failed", terminal=terminal.claim.terminal)
            terminal.close(
                Unavailable("Something went wrong here. Your programs keep running; connect again", code="internal")
            )
            raise

    async def _open_exec(self, terminal: Terminal, attach: Attach, more: bytes) -> Exec:
        """One try at attaching to the holder, with what can be mended on the way mended."""
        claim = terminal.claim
        born = terminal.birth is not None
        command = self._holder.attach(claim.terminal) if born else self._holder.start(claim.terminal, attach.size)
        try:
            opened = await Exec.open(self._lxd, claim.container, command, attach, more)
        except Refused as error:
            if not await self._mend(claim, error):
                raise
            opened = await Exec.open(self._lxd, claim.container, command, attach, more)
        except NotFound as error:
            raise await self._why_not(claim.terminal, claim.user) from error
        except Taken as error:
            if terminal.attaches:
                raise
            await self._overtake(terminal, error)
            attach = Attach(terminal.claim.epoch, attach.birth, attach.offset, attach.size, attach.window)
            opened = await Exec.open(self._lxd, claim.container, command, attach, more)
        if not born:
            await self._keep_birth(claim, opened.hello.birth)
        return opened

    async def _mend(self, claim: Claim, error: Refused) -> bool:
        """Whether trying again makes sense: the container was woken, or given the holder."""
        if self._holder.missing(error):
            log.info("holder_installed", container=claim.container)
            await self._holder.install(self._lxd, claim.container)
            return True
        try:
            done = await self._pool.wake(claim.container)
        except NotFound as gone:
            raise await self._why_not(claim.terminal, claim.user) from gone
        if done is not None:
            log.warning("container_woken", container=claim.container, done=done)
        return done is not None

    async def _overtake(self, terminal: Terminal, stale: Taken) -> None:
        """The holder knows a higher epoch than our fresh claim: somebody claimed after us, or the database was restored."""
        claim = terminal.claim
        if stale.epoch > claim.epoch + TAMPERED:
            raise Lost("this terminal's owner can't be believed any more; open a new one") from stale
        higher = await self._store.terminals.reclaim(claim, self._instance, stale.epoch)
        if higher is None:
            raise stale
        log.warning("epoch_restored", terminal=claim.terminal, epoch=higher.epoch)
        terminal.claim = higher

    async def _keep_birth(self, claim: Claim, birth: bytes) -> None:
        try:
            await self._store.terminals.born(claim.terminal, birth, claim.epoch)
        except Unavailable as error:
            # The next owner starts with the same id, which finds this holder.
            log.warning("birth_not_kept", terminal=claim.terminal, reason=error.message)

    async def _why_not(self, terminal: str, user: int) -> TerminalsError:
        state = await self._store.terminals.state(terminal, user)
        if state is None or state == "ended":
            return NotFound(UNKNOWN)
        if state == "starting":
            return Unavailable("This lab is still starting", code="starting")
        return Unavailable("This lab's container is gone from the host. Tell your teacher", code="no_container")

    # -- letting go --------------------------------------------------------------------------------------------------

    async def _let_go(self, terminal: str, reason: TerminalsError) -> None:
        held = self._held.pop(terminal, None)
        if held is None:
            return
        held.terminal.close(reason)
        held.task.cancel()
        await asyncio.gather(held.task, return_exceptions=True)

    async def _release_lonely(self, now: float) -> None:
        for held in list(self._held.values()):
            terminal = held.terminal
            if terminal.lonely and (held.task.done() or now - terminal.alone_since > DETACH_AFTER_S):
                log.info("terminal_released", terminal=terminal.claim.terminal)
                await self._let_go(terminal.claim.terminal, Unavailable("released", code="released"))

    async def _touch(self) -> None:
        sessions = {terminal.claim.session for terminal in self.terminals if terminal.viewers}
        try:
            await self._store.sessions.touch(list(sessions))
        except Unavailable as error:
            log.warning("sessions_not_touched", reason=error.message)
