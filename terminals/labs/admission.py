"""Admission: how much room there is for containers, looked up beside the way of who waits for one.

What is decided by it is decided in PostgreSQL, by one at a time, whatever instance asks (`store/promises.py`).
"""

import asyncio

import structlog

from terminals.capacity import ENDLESS, MANY, UNKNOWN, Bounds, Member, Policy, Room, places, room
from terminals.errors import NotFound, Refused, TerminalsError, Unavailable
from terminals.lxd import Host, Lxd, size_in_bytes
from terminals.store import Store
from terminals.store.lessons import Needs
from terminals.store.promises import Promised

log = structlog.get_logger(__name__)

CALM_S, CROWDED_S = 10.0, 3.0
"""Between two looks at the hosts; LXD takes a tenth of a second for one."""
FIRST_S = 5.0
"""Starts wait so long for the first look: an LXD that is slower holds them up itself."""


class Admission:
    """One for each instance: `run` it. Where LXD doesn't tell, what it told last counts."""

    def __init__(self, store: Store, lxd: Lxd, pool: str, policy: Policy, instance: str, group: str = "") -> None:
        self.instance = instance
        self._store = store
        self._lxd = lxd
        self._pool = pool
        self._group = group
        self.policy = policy
        self.members: list[Member] = []
        self.room: Room = UNKNOWN
        self.promised = Promised()
        self.held: dict[str, int] = {}
        """Containers by the member of the cluster that has them; '' where there is no cluster."""
        self.full = False
        """Somebody waits for room."""
        self._looked = asyncio.Event()
        self._silent = False

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                await self.look()
            except Exception:
                log.exception("capacity_not_seen")
            self._looked.set()
            await asyncio.sleep(CROWDED_S if self.full else CALM_S)

    async def look(self) -> None:
        """Once."""
        try:
            self.members = [member(host, self._group) for host in await self._lxd.hosts(self._pool)]
            self.room = room(self.members, self.policy, await self._bounds())
            self.promised = await self._store.promises.all()
            self.held = await self._store.containers.by_member()
        except TerminalsError as error:
            if not self._silent:
                log.warning("capacity_not_seen", reason=error.message)
            self._silent = True
            if not self.members and self.policy.labs:
                self.room = Room(labs=self.policy.labs)
        else:
            self._silent = False

    def places(self) -> dict[str, int]:
        """Members of the cluster that may have another container now, and their bytes of memory; empty: there is no cluster.

        Raises:
            Unavailable: none of them may.
        """
        silent = self._lxd.whereabouts.silent
        found = {name: memory for name, memory in places(self.members, self.policy).items() if name not in silent}
        if not found and any(each.target for each in self.members):
            # LXD would choose one, and it has no template there.
            raise Unavailable("No machine takes another lab just now. Try again in a moment")
        return found

    @property
    def up(self) -> list[str]:
        """Members whose waiting containers may be taken. Empty: there is no cluster, or LXD hasn't told."""
        silent = self._lxd.whereabouts.silent
        return [each.target for each in self.members if each.target and not each.absent and each.target not in silent]

    @property
    def closed(self) -> list[str]:
        """Members that answer, and on which no lab may begin: evacuated, or kept for others."""
        return [each.target for each in self.members if each.target and each.absent and each.memory]

    async def first(self) -> None:
        """Until the hosts were looked at, or that takes too long."""
        try:
            async with asyncio.timeout(FIRST_S):
                await self._looked.wait()
        except TimeoutError:
            log.warning("capacity_not_seen", reason=f"LXD hasn't told in {FIRST_S:.0f} s")

    def never(self, needs: Needs) -> str:
        """Why such a container can't be made here, ever; empty: it can."""
        return self.room.never(size_in_bytes(needs.memory), size_in_bytes(needs.disk))

    async def note(self, *, full: bool) -> None:
        """Whether the oldest start waits for room: said when that changes."""
        if full == self.full:
            return
        self.full = full
        self.promised = await self._store.promises.all()
        if full:
            log.warning("labs_full", reason=self.room.full(self.promised.labs, self.promised.memory))
        else:
            log.info("labs_not_full", labs=self.promised.labs)

    async def _bounds(self) -> Bounds:
        """The project's; LXD counts our templates, too."""
        try:
            record = await self._lxd.project_record()
        except (NotFound, Refused) as error:
            log.debug("project_not_seen", reason=error.message)
            return Bounds()
        config = record["config"]
        templates = sum("/template-" in used or "/draft-" in used for used in record["used_by"])
        counts = [int(config[key]) for key in ("limits.containers", "limits.instances") if config.get(key)]
        memory = size_in_bytes(config.get("limits.memory", "")) or ENDLESS
        return Bounds(labs=max(0, min(counts) - templates) if counts else MANY, memory=memory)


def member(host: Host, group: str) -> Member:
    """`group`: labs are placed on its members only; empty: on all that take them."""
    name, absent = host.member or "the host", _absent(host, group)
    if host.hardware is None or host.space is None:
        return Member(name, 0, 0, 0, 0, 0, host.member, absent)
    memory = host.hardware["memory"]
    return Member(
        name=name,
        cores=host.hardware["cpu"]["total"],
        memory=memory["total"],
        memory_used=memory["used"],
        disk=host.space["total"],
        disk_used=host.space["used"],
        target=host.member,
        absent=absent,
    )


def _absent(host: Host, group: str) -> str:
    """As an operator has set the cluster up: https://documentation.ubuntu.com/lxd, scheduler.instance."""
    if host.hardware is None:
        return "doesn't answer"
    if host.status != "Online":
        return f"is {host.status.lower()}"
    if host.scheduler == "manual":
        return "takes only what is placed there by hand"
    if group and group not in host.groups:
        return f"isn't in the group {group}"
    if host.scheduler == "group" and not group:
        return "takes only what is placed by its group"
    return ""
