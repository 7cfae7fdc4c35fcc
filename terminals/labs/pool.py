"""Pool: containers that wait for their students, a shell in each: a few running, the others frozen. One instance tends it."""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from terminals.errors import TerminalsError
from terminals.labs.admission import Admission
from terminals.labs.clearing import Clearing
from terminals.labs.containers import Containers
from terminals.labs.shells import Shells
from terminals.store import Store
from terminals.store.containers import Site, Stock
from terminals.store.lessons import Kind

log = structlog.get_logger(__name__)

TURN_S = 2.0
LEADER = 0x6564_706F
"""The advisory lock's key: ASCII "edpo"."""
FILLS = 2
"""Containers that are warmed at the same time; students' own starts go first."""
GRACE_S = 1.5
"""After one was taken, while half of them still wait: its student's page loads now, and making another takes both cores."""
BACKOFF_S = (0.0, 5.0, 15.0, 60.0)
"""Before the next try for an image and network whose last ones failed."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How many wait, for each image and network that lessons use."""

    ready: int
    """At least; 0: this instance tends no pool."""
    spare: float
    """Or this part of their live sessions, where that is more."""
    most: int
    """0: those that wait are given back."""
    awake: int
    """Of them running: they cost CPU, the frozen ones a moment."""

    def wanted(self, live: int, booked: int) -> int:
        """`booked`: students that a class is about to bring."""
        return min(self.most, max(self.ready, round(self.spare * live)) + booked)


@dataclass(slots=True)
class _Trouble:
    tries: int = 0
    until: float = field(default=0.0)


async def _quietly(_step: str, _done: int) -> None:
    """Nobody waits for these."""


class Pool:
    """`run` it on every instance: who holds the lock does the work, and is replaced when it dies."""

    def __init__(
        self,
        store: Store,
        containers: Containers,
        clearing: Clearing,
        shells: Shells,
        policy: Policy,
        admission: Admission,
    ) -> None:
        self._store = store
        self._containers = containers
        self._clearing = clearing
        self._shells = shells
        self._instance = admission.instance
        self._policy = policy
        self._admission = admission
        self._wake = asyncio.Event()
        self._taken = 0.0
        self.stocks: dict[tuple[str, str], Stock] = {}
        """(image, network) → what waits, as this instance last saw it while it tended the pool."""
        self._troubles: dict[tuple[str, str], _Trouble] = {}
        """By image and network."""

    def look(self) -> None:
        """One was taken."""
        self._taken = time.monotonic()
        self._wake.set()

    async def run(self) -> None:
        """For ever; an instance without a pool leaves those of others alone."""
        while self._policy.ready:
            try:
                await self._containers.templates.refresh()
                async with self._store.database.lead(LEADER) as leading:
                    if leading:
                        await self.turn()
                    else:
                        self.stocks.clear()
                        # Its students hang on knowing the templates, too.
                        await self._kinds()
            except TerminalsError as error:
                log.warning("pool_not_tended", reason=error.message)
            except Exception:
                log.exception("pool_not_tended")
            try:
                async with asyncio.timeout(TURN_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    async def turn(self) -> None:
        """Once: what is outdated or too much goes, one is frozen or thawed, what is missing is made, a few at a time."""
        kinds = await self._kinds()
        known = {kind.needs.image: self._containers.templates.known(kind.needs.image) for kind in kinds}
        templates = {image: template for image, template in known.items() if template is not None}
        if outdated := await self._store.containers.outdated(templates):
            log.info("pool_outdated", count=outdated)
        # An evacuation ends the shells that wait in them.
        if stranded := await self._store.containers.strand(self._admission.closed):
            log.info("pool_stranded", count=stranded)
        booked = await self._store.timetable.booked(datetime.now(UTC))
        for kind in kinds:
            if template := templates.get(kind.needs.image):
                await self._balance(kind, template, booked.get(_key(kind), 0))

    async def _kinds(self) -> list[Kind]:
        """Of the lessons there are, with their templates known or made."""
        found = []
        for kind in await self._store.lessons.kinds():
            if self._trouble(_key(kind)):
                continue
            try:
                await self._containers.templates.of(kind.needs.image)
                await self._containers.networks.check(kind.needs.network)
            except TerminalsError as error:
                self._note(_key(kind), error)
            else:
                found.append(kind)
        return found

    async def _balance(self, kind: Kind, template: str, booked: int) -> None:
        containers, wanted = self._store.containers, self._policy.wanted(kind.live, booked)
        held = (template, kind.needs.network)
        if dropped := await containers.surplus(held, wanted):
            log.info("pool_shrunk", template=template, count=dropped)
        stock = self.stocks[_key(kind)] = await containers.stock(held, self._admission.up)
        missing = min(wanted - stock.all, FILLS)
        if missing > 0 and 2 * stock.all >= wanted and time.monotonic() - self._taken < GRACE_S:
            return
        # Students who wait need LXD more than those who may come.
        if missing > 0 and not self._admission.never(kind.needs) and not await self._store.sessions.starting():
            await asyncio.gather(*(self._warm(kind, template) for _ in range(missing)))
        elif stock.awake > self._policy.awake:
            await self._freeze(held)
        elif stock.awake < self._policy.awake and stock.frozen:
            await self._thaw(held)

    async def _warm(self, kind: Kind, template: str) -> None:
        began = time.monotonic()
        plan, admission = self._containers.networks.of(kind.needs.network), self._admission
        try:
            site = Site(admission.places(), plan.address if plan is not None else None)
            made = await self._store.containers.warm(template, kind.needs, self._instance, admission.room, site)
        except TerminalsError as error:
            self._note(_key(kind), error)
            return
        if made is None:
            return
        name = made.name
        try:
            await self._containers.make(name, kind.needs, {}, _quietly, made.address, made.member)
            shell = await self._shells.begin(name)
            ready = await self._store.containers.ready(name, self._instance, shell, frozen=False)
        except TerminalsError as error:
            self._note(_key(kind), error)
            await self._clearing.let_go(name)
        except BaseException:
            await asyncio.shield(self._clearing.let_go(name))
            raise
        else:
            if not ready:
                await self._clearing.let_go(name)
                return
            self._troubles.pop(_key(kind), None)
            log.info("container_warmed", container=name, seconds=round(time.monotonic() - began, 1))

    async def _freeze(self, held: tuple[str, str]) -> None:
        name = await self._store.containers.withdraw(held, self._instance, self._admission.up, frozen=False)
        if name is not None:
            await self._move(name, frozen=True)

    async def _thaw(self, held: tuple[str, str]) -> None:
        name = await self._store.containers.withdraw(held, self._instance, self._admission.up, frozen=True)
        if name is not None:
            await self._move(name, frozen=False)

    async def _move(self, name: str, *, frozen: bool) -> None:
        try:
            await (self._containers.freeze(name) if frozen else self._containers.unfreeze(name))
            await self._store.containers.ready(name, self._instance, frozen=frozen)
        except TerminalsError as error:
            log.warning("container_not_moved", container=name, frozen=frozen, reason=error.message)
            await self._clearing.let_go(name)
        except BaseException:
            await asyncio.shield(self._clearing.let_go(name))
            raise

    def _trouble(self, key: tuple[str, str]) -> bool:
        trouble = self._troubles.get(key)
        return trouble is not None and time.monotonic() < trouble.until

    def _note(self, key: tuple[str, str], error: TerminalsError) -> None:
        trouble = self._troubles.setdefault(key, _Trouble())
        trouble.tries += 1
        trouble.until = time.monotonic() + BACKOFF_S[min(trouble.tries, len(BACKOFF_S) - 1)]
        log.warning(
            "container_not_warmed",
            image=key[0],
            network=key[1],
            code=error.code,
            reason=error.message,
            tries=trouble.tries,
        )


def _key(kind: Kind) -> tuple[str, str]:
    return kind.needs.image, kind.needs.network
