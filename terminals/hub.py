"""Hub: this instance's terminals: open, claim, drain. The one door for the edge's WebSocket."""

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import cast
from weakref import WeakValueDictionary

import structlog

from terminals.errors import Cut, Ended, Forbidden, Lost, NotFound, Refused, Taken, TerminalsError, Unavailable
from terminals.fleet.feeds import Feeds
from terminals.fleet.presence import Facts, Presence
from terminals.holder import Holder
from terminals.labs.containers import Containers
from terminals.link.door import Door
from terminals.link.exec import Attach, Exec
from terminals.lxd import Lxd
from terminals.mirror import Mirror
from terminals.relays import Relays
from terminals.screens.screen import Screens
from terminals.store import Store
from terminals.store.terminals import Claim
from terminals.tallies import Durations
from terminals.terminal import Legacy, Terminal
from terminals.viewers.grants import Grants

log = structlog.get_logger(__name__)

TICK_S = 2.0
AWAY_S = 0.2
"""Between two looks for an LXD that is away."""
TOUCH_EVERY = 15
"""Ticks between two notes that these sessions are used."""
CHECK_EVERY = 5
"""Ticks between two looks whether who watches still may."""
DETACH_AFTER_S = 60.0
"""With no viewer for so long the exec is detached: the holder keeps the shell, nothing runs for it on the host."""
TAMPERED = 1_000
"""A holder whose epoch is further ahead of ours than any restored database explains."""
UNWATCH_AFTER_S = 2.0
"""The same where it is only watched: another instance has it."""
CLAIMS = 16
"""Terminals that are being attached at the same time: LXD's database suffers from mass opens."""
CLOSING_SIZE = (80, 24)
MOVING = "Your lab is being moved to another machine, its files with it. Wait a moment"
UNKNOWN = "There is no such terminal: it was closed, or its lab has ended"
"""Somebody else's is told the same."""


@dataclass(slots=True)
class _Held:
    terminal: Terminal
    task: asyncio.Task[None]
    owned: bool
    """Claimed; else only watched here, through its owner."""


class Hub:
    """Terminals by id, each with the task that runs it."""

    def __init__(  # noqa: PLR0913, PLR0917 - everything that a terminal hangs on
        self,
        store: Store,
        lxd: Lxd,
        holder: Holder,
        containers: Containers,
        presence: Presence,
        feeds: Feeds,
        instance: str,
        door: Door | None,
        screens: Screens | None,
    ) -> None:
        self._store = store
        self._presence = presence
        self._feeds = feeds
        self._relays = Relays(feeds, self.owned)
        feeds.on("gone", self._gone)
        feeds.on("answer", self._answered)
        self._lxd = lxd
        self._holder = holder
        self._door = door
        self._screens = screens
        self._containers = containers
        self._instance = instance
        self._held: dict[str, _Held] = {}
        # Each lock lives as long as somebody opens that terminal.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._claims = asyncio.Semaphore(CLAIMS)
        self.draining = False
        self.prompts = Durations()
        """From a terminal's being opened here until what it shows is here."""

    @property
    def terminals(self) -> list[Terminal]:
        return [held.terminal for held in self._held.values()]

    def owned(self, terminal: str) -> Terminal | None:
        """Ours, by id."""
        held = self._held.get(terminal)
        return held.terminal if held is not None and held.owned and held.terminal.over is None else None

    def facts(self) -> dict[str, Facts]:
        """What this instance's terminals do, by id."""
        now = time.monotonic(), time.time()
        owned = {name: held.terminal for name, held in self._held.items() if held.owned}
        return {name: replace(terminal.facts(*now), instance=self._instance) for name, terminal in owned.items()}

    async def open(self, terminal: str, user: int, size: tuple[int, int], *, drives: bool = True) -> Terminal:
        """A terminal for who drives it, its student: claimed for this instance if it isn't already ours. Ours needs no database.

        For who only watches, the student or an instructor of the course: ours, or a mirror of its owner's.

        Raises:
            NotFound: unknown, or not theirs to see.
            Unavailable: no database, or this instance drains.
        """
        if not drives:
            return await self._watch(terminal, user)
        lock = self._locks.setdefault(terminal, asyncio.Lock())
        async with lock:
            held = self._held.get(terminal)
            if held is not None and held.owned and held.terminal.over is None:
                if held.terminal.claim.user != user:
                    raise NotFound(UNKNOWN)
                return held.terminal
            claim = await self._store.terminals.claim(terminal, user, self._instance)
            if claim is None:
                raise await self._why_not(terminal, user)
            log.info("terminal_claimed", terminal=terminal, epoch=claim.epoch)
            # Before anything is asked of LXD: who puts it to rest looks here right before and right after.
            await self._store.lives.wake(claim.session, datetime.now(UTC))
            legacy = None
            if held is not None:
                if held.terminal.over is None and held.terminal.birth == claim.birth:
                    legacy = await held.terminal.leave()
                moved = Taken("claimed anew", epoch=claim.epoch) if held.owned else _moved()
                await self._let_go(held, moved)
            if self.draining:
                raise Unavailable("This server is being replaced: connect again", code="draining")
            opened = self._hold(claim, size, legacy)
        self._presence.soon()
        return opened

    async def _watch(self, terminal: str, user: int) -> Terminal:
        lock = self._locks.setdefault(terminal, asyncio.Lock())
        async with lock:
            held = self._held.get(terminal)
            here = held.terminal if held is not None and held.terminal.over is None else None
            if here is not None and here.claim.user == user:
                return here
            watched = await self._store.terminals.watched(terminal, user)
            if watched is None:
                raise await self._why_not(terminal, user)
            if here is not None:
                return here
            if watched.rest != "awake":
                if watched.claim.user != user:
                    raise _asleep()
                await self._store.lives.wake(watched.claim.session, datetime.now(UTC))
            if watched.claim.birth is None:
                raise Unavailable("This terminal hasn't been opened yet", code="starting")
            if held is not None:
                await self._let_go(held, _moved())
            if self.draining:
                raise Unavailable("This server is being replaced: connect again", code="draining")
            return self._hold_mirror(watched.claim)

    async def run(self) -> None:
        """Ticks every terminal. Waits for nothing: holders that aren't pinged would be taken for dead."""
        while True:
            await asyncio.sleep(TICK_S)
            try:
                self._tick()
            except Exception:
                # Every terminal here hangs on this loop: it must outlive what nobody foresaw.
                log.exception("hub_turn_failed")

    async def attend(self) -> None:
        """Lets go of terminals that nobody looks at, notes who works, looks whether who watches still may: as services answer."""
        ticks = 0
        while True:
            await asyncio.sleep(TICK_S)
            ticks += 1
            try:
                await self._release_lonely(time.monotonic())
                if ticks % TOUCH_EVERY == 0:
                    await self._touch()
                if ticks % CHECK_EVERY == 0:
                    await self._check_watchers()
            except Exception:
                log.exception("hub_attending_failed")

    async def heed(self) -> None:
        """Lets every exec go when LXD was told to stop: it would wait for them, for minutes, and begin none for anybody.

        And looks for its first answer after that, so that nobody waits for the next try of his own.
        """
        away = False
        while True:
            await asyncio.sleep(AWAY_S if away else TICK_S)
            try:
                away = await self._heed(away=away)
            except Exception:
                log.exception("hub_heeding_failed")

    async def _heed(self, *, away: bool) -> bool:
        """Whether LXD begins nothing now, as far as it matters here."""
        owned = [held.terminal for held in self._held.values() if held.owned and held.terminal.over is None]
        if not owned:
            return False
        try:
            leaving = await self._lxd.leaving()
        except Unavailable as error:
            if not away:
                log.info("lxd_not_heard", reason=error.message)
            return True
        attached = [terminal for terminal in owned if terminal.attached]
        if leaving and attached:
            log.warning("lxd_leaving", terminals=len(attached))
            for terminal in attached:
                terminal.path.abort(Cut("LXD was told to stop"))
        elif away and not leaving:
            log.info("lxd_back", terminals=len(owned))
            for terminal in owned:
                terminal.path.try_again()
        return leaving

    async def close_terminal(self, terminal: str, session: str, user: int) -> None:
        """The tab was closed: its programs are hung up, its viewers go, its row goes. Claims it first where it isn't ours.

        Raises:
            NotFound: the session has no such terminal.
            Unavailable: its shell can't be reached now.
        """
        if terminal not in {known.id for known in await self._store.terminals.of_session(session)}:
            raise NotFound("This lab has no such terminal")
        opened = await self.open(terminal, user, CLOSING_SIZE)
        if not await opened.hang_up():
            raise Unavailable("The terminal can't be reached to be closed. Try again in a moment")
        if (held := self._held.get(terminal)) is not None:
            await self._let_go(held, NotFound("this terminal was closed"))
        await self._store.terminals.delete(terminal, session)

    async def end_session(self, session: str) -> None:
        """Sends the session's viewers here away."""
        await self._close_session(session, Ended("this lab has ended"))

    async def restart_session(self, session: str) -> None:
        """Its terminals are gone; it will have another one."""
        await self._close_session(session, NotFound("this terminal was closed: its container is being restarted"))

    async def _close_session(self, session: str, reason: TerminalsError) -> None:
        closing = [held for held in self._held.values() if held.terminal.claim.session == session]
        await asyncio.gather(*(self._let_go(held, reason) for held in closing))

    async def rest(self, session: str) -> None:
        """Lets the session's terminals here go: its container is about to be put to rest. Not while its student is here."""
        resting = [held for held in self._held.values() if held.terminal.claim.session == session]
        if any(held.terminal.audience.own for held in resting):
            return
        await asyncio.gather(*(self._let_go(held, _asleep()) for held in resting))
        self._presence.soon()

    async def wake(self, session: str, container: str) -> None:
        """Somebody else has frozen it under its terminals here, which are told."""
        here = [terminal for terminal in self.terminals if terminal.claim.session == session]

        def say(step: str) -> None:
            for terminal in here:
                terminal.tell_progress(step)

        if await self._containers.wake(container, say):
            log.info("container_woken", container=container)

    async def revoke(self, user: str) -> None:
        """Closes every socket of a user, by id, whose sign-in was revoked."""
        reason = Forbidden("your sign-in was ended")
        for terminal in self.terminals:
            for viewer in terminal.sinks.everybody():
                if viewer.user == int(user):
                    viewer.close(reason)

    async def drain(self) -> None:
        """Takes nothing new, detaches every exec and tells every viewer to connect again. The holders keep the shells."""
        self.draining = True
        reason = Unavailable("this server is being replaced: connect again", code="draining")
        await asyncio.gather(*(self._let_go(held, reason) for held in list(self._held.values())))

    # -- claiming ----------------------------------------------------------------------------------------------------

    def _hold(self, claim: Claim, size: tuple[int, int], legacy: Legacy | None) -> Terminal:
        terminal: Terminal

        async def open_exec(attach: Attach, more: bytes) -> Exec:
            return await self._open_exec(terminal, attach, more)

        terminal = Terminal(claim, open_exec, size, self._screens, legacy)
        self._admit(terminal)
        self._keep(terminal, owned=True)
        return terminal

    def _hold_mirror(self, claim: Claim) -> Terminal:
        held: _Held

        async def open_source(attach: Attach, more: bytes) -> Exec | Mirror:
            return await self._open_watched(held, attach, more)

        held = self._keep(Terminal(claim, open_source, (0, 0), self._screens), owned=False)
        return held.terminal

    def _keep(self, terminal: Terminal, *, owned: bool) -> _Held:
        name = terminal.claim.terminal
        if owned:
            terminal.prompted = self.prompts.add
        task = asyncio.create_task(self._run(terminal), name=f"terminal-{name}")
        held = self._held[name] = _Held(terminal, task, owned)
        return held

    def _admit(self, terminal: Terminal) -> None:
        """It is ours: here is decided who else may type."""
        permit = partial(self._store.terminals.watched, terminal.claim.terminal)
        terminal.audience.grants = Grants(permit, self._store.audits.add, terminal.audience)

    async def _open_watched(self, held: _Held, attach: Attach, more: bytes) -> Exec | Mirror:
        """Through its owner, if one lives; else as its owner, politely: nobody is cut off by who only looks."""
        terminal = held.terminal
        name = terminal.claim.terminal
        if held.owned:
            return await self._open_exec(terminal, attach, more)
        owner = await self._presence.owner(name)
        if owner is not None and owner != self._instance:
            mirror = Mirror(self._feeds, name, owner, self._instance, terminal.audience.people)
            mirror.resized = terminal.follow
            await mirror.open(attach)
            return mirror
        if await self._store.lives.resting(terminal.claim.session) not in {"awake", None}:
            raise _asleep()  # who only watches wakes nobody
        claim = await self._store.terminals.claim(name, terminal.claim.user, self._instance)
        if claim is None:
            raise await self._why_not(name, terminal.claim.user)
        terminal.claim = claim
        try:
            polite = replace(attach, epoch=claim.epoch, forced=False, size=(0, 0))
            opened = await self._open_exec(terminal, polite, more)
        except Taken as error:
            raise Cut("Another server is taking this terminal over; looking again") from error
        log.info("terminal_claimed", terminal=name, epoch=claim.epoch, polite=True)
        self._admit(terminal)
        held.owned = True
        return opened

    async def _run(self, terminal: Terminal) -> None:
        try:
            await terminal.path.run()
        except Exception:
            log.exception("terminal_failed", terminal=terminal.claim.terminal)
            reason = "Something went wrong here. Your programs keep running; connect again"
            terminal.close(Unavailable(reason, code="internal"))

    async def _open_exec(self, terminal: Terminal, attach: Attach, more: bytes) -> Exec:
        """One try at attaching to the holder, with what can be mended on the way mended."""
        claim = terminal.claim
        born = terminal.birth is not None
        command = self._holder.attach(claim.terminal) if born else self._holder.start(claim.terminal, attach.size)
        self._lxd.whereabouts.learn(claim.container, claim.member, maybe=True)
        open_ = partial(Exec.open, self._lxd, claim.container, command, more=more, door=self._door, gate=self._claims)
        try:
            opened = await open_(attach)
        except Refused as error:
            if not await self._mend(terminal, error):
                raise
            opened = await open_(attach)
        except NotFound as error:
            raise await self._why_not(claim.terminal, claim.user, claim.container) from error
        except Taken as error:
            if terminal.attaches or not attach.forced:
                raise
            await self._overtake(terminal, error)
            opened = await open_(replace(attach, epoch=terminal.claim.epoch))
        if not born:
            try:
                await self._keep_birth(terminal.claim, opened.hello.birth)
            except BaseException:
                await asyncio.shield(opened.close())
                raise
        return opened

    async def _mend(self, terminal: Terminal, error: Refused) -> bool:
        """Whether trying again makes sense: the container was woken, or given the holder."""
        claim = terminal.claim
        if await self._store.terminals.state(claim.terminal, claim.user) != "live":
            # A container that is being deleted must not be woken.
            raise await self._why_not(claim.terminal, claim.user) from error
        if self._holder.missing(error):
            log.info("holder_installed", container=claim.container)
            await self._holder.install(self._lxd, claim.container)
            return True
        try:
            woken = await self._containers.wake(claim.container, terminal.tell_progress)
        except NotFound as gone:
            raise await self._why_not(claim.terminal, claim.user, claim.container) from gone
        if woken:
            log.info("container_woken", container=claim.container)
        return woken

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

    async def _why_not(self, terminal: str, user: int, container: str = "") -> TerminalsError:
        state = await self._store.terminals.state(terminal, user)
        if state is None or state == "ended":
            return NotFound(UNKNOWN)
        if state == "starting":
            return Unavailable("This lab is still starting", code="starting")
        if self._lxd.whereabouts.of(container):
            # While LXD moves it from one member to another it has none of its name; if it is gone, its lab is ended soon.
            return Unavailable(MOVING, code="moving")
        return Lost("This lab's container is gone from the host. End the lab and start it again")

    # -- ticking and letting go --------------------------------------------------------------------------------------

    def _tick(self) -> None:
        for terminal in self.terminals:
            terminal.tick()
        self._relays.tick()

    def _gone(self, message: dict[str, object]) -> None:
        held = self._held.get(str(message["terminal"]))
        if held is not None and not held.owned:
            held.terminal.look_again()

    def _answered(self, message: dict[str, object]) -> None:
        held = self._held.get(str(message["terminal"]))
        if held is not None and not held.owned:
            wish, last_seq = cast("int", message["wish"]), cast("int", message["last_seq"])
            person, state, reason = (str(message[name]) for name in ("person", "state", "reason"))
            held.terminal.audience.answered(person, wish, state, reason, last_seq)
            held.terminal.tell_watchers()

    async def _let_go(self, held: _Held, reason: TerminalsError) -> None:
        name = held.terminal.claim.terminal
        if self._held.get(name) is held:
            del self._held[name]
        held.terminal.close(reason)
        held.task.cancel()
        await asyncio.gather(held.task, return_exceptions=True)
        await self._relays.drop(name, held.terminal.sinks.relay)
        if (grants := held.terminal.audience.grants) is not None:
            await grants.close()

    async def _release_lonely(self, now: float) -> None:
        for held in list(self._held.values()):
            sinks = held.terminal.sinks
            patience = DETACH_AFTER_S if held.owned else UNWATCH_AFTER_S
            if sinks.lonely and (held.task.done() or now - sinks.alone_since > patience):
                log.info("terminal_released", terminal=held.terminal.claim.terminal)
                await self._let_go(held, Unavailable("released", code="released"))

    async def _touch(self) -> None:
        sessions = {terminal.claim.session for terminal in self.terminals if terminal.used}
        try:
            await self._store.lives.use(list(sessions), datetime.now(UTC))
        except Unavailable as error:
            log.warning("sessions_not_touched", reason=error.message)

    async def _check_watchers(self) -> None:
        """Who may not watch any more is sent away: a course's rules and its people change."""
        for terminal in self.terminals:
            for viewer in terminal.audience.others:
                try:
                    allowed = await self._store.terminals.watched(terminal.claim.terminal, viewer.user)
                except Unavailable as error:
                    log.warning("watchers_not_checked", reason=error.message)
                    return
                if allowed is None:
                    viewer.close(NotFound(UNKNOWN))
                elif allowed.assisting == "off" and viewer.role == "assistant":
                    viewer.wish(to_type=False)
                    terminal.tell_watchers()


def _asleep() -> Unavailable:
    return Unavailable("This lab is asleep until its student opens it again", code="asleep")


def _moved() -> Unavailable:
    return Unavailable("This terminal moves to another server: connect again", code="released")
