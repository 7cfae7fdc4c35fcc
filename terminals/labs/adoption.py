"""Adoption: after a database was restored, labs that only LXD still knows have rows again, so that their students find them.

Careful: nothing is deleted in LXD but what waited in the pool. What isn't adopted is left to `reconcile`, which sets it aside.
"""

import asyncio
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import structlog

from terminals.errors import TerminalsError
from terminals.labs.containers import DISK, OPENINGS, TAG, Containers
from terminals.labs.reconcile import MOST, ORPHANED, SHARE, ours
from terminals.labs.shells import Shells
from terminals.lxd import Json, Lxd
from terminals.networks import CLOSED, INTERNET, NONE
from terminals.store import Store
from terminals.store.adoptions import Body, Shell, Standing, Tags
from terminals.store.database import ID
from terminals.store.lessons import Needs
from terminals.store.lives import Patience

log = structlog.get_logger(__name__)

LIVE, KEPT = "a live lab again", "kept, for its student to restore: there is a newer lab of the lesson, or it had ended"
TABS = "{count} more of its terminals"
DROPPED = "waited in the pool, and may be somebody's since: to be deleted, another one is made"
UNTOLD = "left: it names no lab; it waited in the pool, or was being made"
NO_USER, NEW_USER = "left: its user isn't there", "left: its user isn't there, and another one has the number since"
NO_LESSON, NO_MEMBER = "left: its lesson isn't there", "left: its user isn't in the lesson's course"
NO_NETWORK = "left: its network isn't one of this server's"
STRANGE = frozenset({NO_USER, NEW_USER, NO_LESSON, NO_MEMBER})
RESTS, STOPPED = {"Running": "awake", "Frozen": "asleep"}, "stopped"
"""LXD's word → of a session; any other one: stopped."""


@dataclass(slots=True)
class Report:
    """What was done, or is to be done, by container."""

    done: dict[str, str] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)
    """Live labs whose container LXD doesn't have, which stood in the way of one that it has."""
    too_much: str = ""
    """Why nothing was done."""


@dataclass(frozen=True, slots=True)
class _Case:
    """A container that somebody's lab is in, by its tags; `verdict` says what becomes of it."""

    instance: Json
    tags: Tags
    needs: Needs | None = None
    address: str | None = None
    verdict: str = ""

    @property
    def name(self) -> str:
        return str(self.instance["name"])

    @property
    def rest(self) -> str:
        return RESTS.get(self.instance["status"], STOPPED)


class Adoption:
    """Of one deployment's containers."""

    def __init__(
        self, store: Store, lxd: Lxd, containers: Containers, shells: Shells, patience: Patience, lost: tuple[str, str]
    ) -> None:
        """`lost`: code and words of a lab whose container is gone."""
        self._store = store
        self._lxd = lxd
        self._containers = containers
        self._shells = shells
        self._patience = patience
        self._lost = lost
        self._gate = asyncio.Semaphore(OPENINGS)

    async def run(self, *, dry: bool = False, force: bool = False) -> Report:
        """Adopts what can be. `dry`: only looks; `force`: however much belongs to nobody whom this database knows.

        Raises:
            Unavailable: LXD or PostgreSQL doesn't answer.
        """
        instances = {
            each["name"]: each for each in await self._lxd.instances() if ours(each, self._containers.deployment)
        }
        rows, report = await self._store.adoptions.rows(), Report()
        waiting: list[str] = []
        cases: list[_Case] = []
        for name, instance in instances.items():
            row, tags = rows.get(name), _tags(instance)
            if row is not None and not row.doubtful:
                continue
            if tags is not None:
                cases.append(await self._judged(_Case(instance, tags), list(instances)))
            elif row is None:
                report.done[name] = UNTOLD
            elif row.state == "ready":
                waiting.append(name)
        cases = _one_live(cases)
        report.done |= dict.fromkeys(waiting, DROPPED) | {case.name: case.verdict for case in cases}
        report.too_much = "" if force else _too_much(cases)
        if dry or report.too_much:
            return report
        await self._store.adoptions.drop(waiting)
        for case in cases:
            report.done[case.name] = await self._take(case, list(instances), report)
        await self._go_on(instances, report)
        return report

    # -- one container -------------------------------------------------------------------------------------------------

    async def _judged(self, case: _Case, names: list[str]) -> _Case:
        standing = await self._store.adoptions.standing(case.tags, case.name, names)
        if strange := _strange(standing):
            return replace(case, verdict=strange)
        needs = await self._store.lessons.needs(case.tags.lesson, case.tags.user)
        network, address = self._network(case.instance)
        if needs is None or network is None:
            return replace(case, verdict=NO_NETWORK if needs else NO_MEMBER)
        # A session that isn't over has another container.
        verdict = KEPT if standing.running or standing.state in {"live", "ended"} else LIVE
        return replace(case, needs=_needs(needs, case.instance, network), address=address, verdict=verdict)

    async def _take(self, case: _Case, names: list[str], report: Report) -> str:
        """What became of it."""
        name, tags = case.name, case.tags
        if case.needs is None:
            # Whosever it is, it isn't one to be given to the next who comes.
            await self._store.adoptions.disown([name])
            log.warning("container_not_adopted", container=name, reason=case.verdict)
            return case.verdict
        body = Body(name, case.needs, case.address)
        try:
            for gone, session in await self._store.adoptions.in_the_way(tags, case.address, names):
                await self._give_way(gone, session, report)
            if case.verdict == LIVE:
                await self._store.adoptions.live(tags, body, case.rest)
            else:
                await self._store.adoptions.keep(tags, body)
        except TerminalsError as error:
            log.warning("container_not_adopted", container=name, reason=error.message)
            return f"left: {error.message}"
        log.info(
            "container_adopted", container=name, session=tags.session, way="kept" if case.verdict == KEPT else "live"
        )
        return case.verdict

    async def _give_way(self, gone: str, session: str | None, report: Report) -> None:
        if session is None:
            await self._store.containers.let_go(gone)
        elif await self._store.sessions.end(session, self._lost) is not None:
            report.ended.append(session)
            log.info("session_ended", session=session, by="other", error=self._lost[0])
        await self._store.containers.forget(gone)

    def _network(self, instance: Json) -> tuple[str | None, str | None]:
        """Name and address; no name: it isn't one of ours."""
        device = instance["devices"].get("eth0")
        if device is None:
            return NONE, None
        for network in (CLOSED, INTERNET):
            plan = self._containers.networks.of(network)
            if plan is not None and plan.bridge == device.get("network") and "ipv4.address" in device:
                return network, device["ipv4.address"]
        return None, None

    # -- live labs -----------------------------------------------------------------------------------------------------

    async def _go_on(self, instances: dict[str, Json], report: Report) -> None:
        """Those that LXD has find the shells that run in them, and have time: nobody knows what was since the backup."""
        rows = await self._store.adoptions.rows()
        here = [(instances[name], row) for name, row in rows.items() if name in instances]
        await asyncio.gather(*(self._untag(instance) for instance, _ in here if ORPHANED in instance["config"]))
        live = [(instance, str(row.session)) for instance, row in here if row.session_state == "live"]
        rests = await asyncio.gather(*(self._find_shells(*each, report) for each in live))
        names = (instance["name"] for instance, _ in live)
        await self._store.lives.renew(dict(zip(names, rests, strict=True)), datetime.now(UTC), self._patience)

    async def _untag(self, instance: Json) -> None:
        """It isn't set aside any more."""
        try:
            await self._lxd.change(instance["name"], {ORPHANED: ""}, {})
        except TerminalsError as error:
            log.warning("orphan_not_untagged", container=instance["name"], reason=error.message)

    async def _find_shells(self, instance: Json, session: str, report: Report) -> str:
        """Its rest: to look, it may be woken."""
        name, rest = instance["name"], RESTS.get(instance["status"], STOPPED)
        shells: list[Shell] = []
        async with self._gate:
            try:
                unknown = await self._unknown(name, session) if rest != STOPPED else []
                if unknown and rest == "asleep":
                    await self._containers.unfreeze(name)
                    rest = "awake"
                found = [await self._shells.known(name, terminal) for terminal in unknown]
                shells = [shell for shell in found if shell is not None]
            except TerminalsError as error:
                log.warning("shells_not_seen", container=name, reason=error.message)
        added = await self._store.adoptions.add_shells(session, shells)
        if added and name not in report.done:
            report.done[name] = TABS.format(count=added)
        return rest

    async def _unknown(self, name: str, session: str) -> list[str]:
        """Terminals that it says it has and no row knows."""
        known = await self._store.adoptions.known(session)
        return [terminal for terminal in await self._shells.names(name) if terminal not in known]


def _tags(instance: Json) -> Tags | None:
    """Whose lab is in it; None: it doesn't say, or not so that it can be meant."""
    config = instance["config"]
    session, user, lesson = (config.get(TAG + key, "") for key in ("session", "user", "lesson"))
    if not re.fullmatch(ID, session) or not user.isdecimal() or not lesson:
        return None
    # One that was tagged by an earlier version doesn't say it: when it was made is never later.
    begun = datetime.fromisoformat(config.get(TAG + "begun") or instance["created_at"])
    return Tags(session, int(user), lesson, begun)


def _strange(standing: Standing) -> str:
    """Why it is nobody's whom the database knows; empty: it is somebody's."""
    if standing.user is None:
        return NO_USER
    if not standing.user:
        return NEW_USER
    if not standing.lesson:
        return NO_LESSON
    return "" if standing.enrolled else NO_MEMBER


def _needs(needs: Needs, instance: Json, network: str) -> Needs:
    """The lesson's, with the limits that the container has."""
    config = instance["config"]
    return replace(
        needs,
        memory=config.get("limits.memory", needs.memory),
        cpu=config.get("limits.cpu", needs.cpu),
        processes=int(config.get("limits.processes", needs.processes)),
        disk=config.get(DISK, needs.disk),
        network=network,
    )


def _one_live(cases: list[_Case]) -> list[_Case]:
    """Of one student's of one lesson only the newest is to be live, and one that runs before one that was kept after a reset."""
    found: list[_Case] = []
    live = set()
    for case in sorted(cases, key=lambda case: (case.rest == STOPPED, -case.tags.begun.timestamp())):
        whose = case.tags.user, case.tags.lesson
        if case.verdict == LIVE and whose in live:
            found.append(replace(case, verdict=KEPT))
            continue
        found.append(case)
        if case.verdict == LIVE:
            live.add(whose)
    return found


def _too_much(cases: list[_Case]) -> str:
    strange = sum(case.verdict in STRANGE for case in cases)
    if strange <= MOST or strange <= SHARE * len(cases):
        return ""
    return (
        f"{strange} of {len(cases)} labs that no row knows are of users, lessons or courses that aren't there: is this another "
        "one's database, or LXD? Look with `containers adopt --dry-run`; `containers adopt --force` adopts the others"
    )
