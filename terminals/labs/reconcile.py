"""Reconcile: what LXD has and what the rows say, made to agree, both ways. Idempotent, and careful: it deletes."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from terminals.errors import TerminalsError
from terminals.labs.clearing import Clearing
from terminals.labs.containers import TAG, Containers
from terminals.labs.power import Power
from terminals.labs.templates import DEPLOYMENT
from terminals.lxd import Json, Lxd
from terminals.store import Store

log = structlog.get_logger(__name__)

ORPHANED = f"{TAG}orphaned"
"""Since when (UTC) nobody knows this container."""
KEEP = timedelta(hours=24)
"""Before an orphan is deleted: a database may be restored meanwhile."""
YOUNG = timedelta(seconds=90)
"""A container so young may be of a row that was written since the rows were read."""
MISSING_S = 60.0
SILENT_S = 30.0
"""Whoever makes a container says so every 4 s."""
MOST, SHARE = 5, 0.2
"""A run that would remove more than so many, and more than this part, stops: something else is wrong."""


@dataclass(slots=True)
class Findings:
    """What one look found; `too_much` says why nothing may be removed."""

    orphans: list[str] = field(default_factory=list)
    """In LXD and in no row: stopped, and kept for a day."""
    kept: list[str] = field(default_factory=list)
    """Orphans since an earlier run."""
    expired: list[str] = field(default_factory=list)
    """Orphans for longer than that: deleted."""
    gone: list[str] = field(default_factory=list)
    """Rows that are to go: deleted in LXD, then here."""
    lost: list[str] = field(default_factory=list)
    """Live sessions whose container LXD doesn't have: ended."""
    unkept: list[str] = field(default_factory=list)
    """Kept after a reset, and LXD doesn't have them."""
    astray: list[str] = field(default_factory=list)
    """Wait in the pool by their rows, and are somebody's by LXD: the database was restored. Orphans from then on."""
    vanished: int = 0
    """Pool rows whose container LXD doesn't have."""
    too_much: str = ""


class Reconciler:
    """One deployment's containers."""

    def __init__(
        self, store: Store, lxd: Lxd, containers: Containers, clearing: Clearing, power: Power, young: timedelta = YOUNG
    ) -> None:
        self._store = store
        self._lxd = lxd
        self._containers = containers
        self._clearing = clearing
        self._power = power
        self._young = young

    async def look(self) -> Findings:
        """Only looks.

        Raises:
            Unavailable: LXD or PostgreSQL doesn't answer: nothing is known then.
        """
        there = await self._lxd.instances()
        instances = [each for each in there if ours(each, self._containers.deployment)]
        # After the instances: one is told whose it is when its row says so already.
        rows = await self._store.adoptions.rows()
        found = Findings()
        now = datetime.now(UTC)
        for instance in instances:
            name = instance["name"]
            if name in rows and rows[name].state == "ready" and f"{TAG}session" in instance["config"]:
                found.astray.append(name)
            if name in rows or now - datetime.fromisoformat(instance["created_at"]) < self._young:
                continue
            since = instance["config"].get(ORPHANED)
            if since is None:
                found.orphans.append(name)
            else:
                expired = now - datetime.fromisoformat(since) > KEEP
                (found.expired if expired else found.kept).append(name)
        # Also those on a member of the cluster that is away.
        names = [instance["name"] for instance in there]
        found.lost = await self._store.containers.lost(names, MISSING_S)
        found.gone = await self._store.containers.gone(SILENT_S)
        kept = await self._store.kept.names()
        found.unkept = sorted(kept.difference(names))
        found.too_much = _too_much(found, len(instances), await self._store.sessions.live(), len(kept))
        return found

    async def clear(self) -> None:
        """Deletes what rows say is to go, and what was kept long enough."""
        if expired := await self._store.kept.expire():
            log.info("kept_expired", count=expired)
        gone = await self._store.containers.gone(SILENT_S)
        await asyncio.gather(*(self._clearing.clear(name) for name in gone))

    async def run(self, *, force: bool = False) -> Findings:
        """Looks, and mends what it may. `force`: however much that is.

        Raises:
            Unavailable: as `look`.
        """
        found = await self.look()
        # However many: the next who comes would be given somebody's files.
        if found.astray and await self._store.adoptions.disown(found.astray):
            log.warning("containers_disowned", count=len(found.astray))
        await self.clear()
        if found.too_much and not force:
            log.error("reconcile_stopped", reason=found.too_much)
            return found
        instances = await self._lxd.instances()
        # An evacuation moves them from one member of a cluster to another.
        for name in await self._store.containers.move(
            {each["name"]: each["location"] for each in instances if each["location"] != "none"}
        ):
            log.info("container_moved", container=name)
        await self._rest(instances)
        names = [instance["name"] for instance in instances]
        await self._store.kept.vanish(found.unkept)
        found.vanished = await self._store.containers.vanished(names, MISSING_S)
        for name in found.orphans + found.kept:
            await self._set_aside(name)
        for name in found.expired:
            log.warning("orphan_deleted", container=name)
            await self._clearing.clear(name)
        found.too_much = ""
        return found

    async def _rest(self, instances: list[Json]) -> None:
        """Stops what is kept and runs still: the instance that was to do it died."""
        kept = await self._store.kept.names()
        for instance in instances:
            if instance["name"] in kept and instance["status"] != "Stopped":
                self._power.begin_rest(instance["name"])

    async def _set_aside(self, name: str) -> None:
        try:
            instance = await self._lxd.instance(name)
            if ORPHANED not in instance["config"]:
                log.warning("orphan_found", container=name)
                await self._lxd.change(name, {ORPHANED: datetime.now(UTC).isoformat(timespec="seconds")}, {})
            if instance["status"] != "Stopped":
                await self._lxd.stop(name)
        except TerminalsError as error:
            log.warning("orphan_not_set_aside", container=name, reason=error.message)


def ours(instance: Json, deployment: str) -> bool:
    """Of this deployment. A template isn't: it has no row, and `lxd setup` tends it.

    Of one on a member of a cluster that is away LXD knows the name alone: nobody's.
    """
    named = not instance["name"].startswith(("template-", "draft-"))
    return named and (instance["config"] or {}).get(DEPLOYMENT) == deployment


def _too_much(found: Findings, containers: int, live: int, kept: int) -> str:
    for what, count, of in (
        ("containers that no row knows", len(found.orphans) + len(found.expired), containers),
        ("live labs whose containers LXD doesn't have", len(found.lost), live),
        ("containers kept after a reset that LXD doesn't have", len(found.unkept), kept),
    ):
        if count > MOST and count > SHARE * of:
            return (
                f"{count} of {of} {what}: too many for an accident. Was a database restored (then `containers adopt` first), "
                "or is this another one's LXD? Look with `containers clean --dry-run`; `containers clean --force` does it "
                "all the same"
            )
    return ""
