"""Containers: what LXD is asked to do with one container of ours: make, fit, wake, stop, delete. Rows are the store's."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from terminals.errors import NotFound, Refused
from terminals.holder import Holder
from terminals.labs.networks import Networks
from terminals.labs.templates import DEPLOYMENT, EVACUATE, Templates
from terminals.lxd import Json, Lxd, size_in_bytes
from terminals.networks import CLOSED
from terminals.store.lessons import Needs

log = structlog.get_logger(__name__)

# A closed lab's root finds the proxy as its student does.
SUDOERS = b"""student ALL=(ALL) NOPASSWD: ALL
Defaults env_keep += "http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY"
"""
SUDOERS_PATH = "/etc/sudoers.d/educenter"
PROFILES = "/etc/profile.d"
PROFILE_PATH = f"{PROFILES}/educenter-network.sh"
TAG = "user.educenter."
"""In front of what a container is told in LXD of itself."""
DISK = f"{TAG}disk"
"""The lesson's limit."""
OPENINGS = 4
"""Containers that are deleted, or stopped, at the same time: LXD's database suffers from mass opens and closes."""
ROOM = 16 * 1024 * 1024
"""Bytes that a container with a full disk is given on top, for what LXD itself writes when it starts it."""
ROOMS = 8
"""So often in a container's life."""
FULL = (
    "Your container has stopped, and its disk is full to the last block, so that it can't be started. "
    "End the lab and start it again, or ask your teacher to give it room"
)

GUARDS = {
    "security.privileged": "false",
    "security.nesting": "false",
    # Its socket is LXD's own: what a student asks of it would cost the host's CPU, without a limit.
    "security.devlxd": "false",
    # A share where cores are short: a container's programs get a tenth of what one of the host's gets.
    "limits.cpu.allowance": "10%",
    "limits.memory.swap": "false",
    # One byte: a dump that is piped to a program of the host's, outside all limits, isn't begun (core(5)).
    "limits.kernel.core": "1",
}
"""Every container's, beside its lesson's limits. Where the network is none, there is no device for it."""

Say = Callable[[str, int], Awaitable[None]]
"""Tells the student what is being done, and how many of `STEPS` are behind."""
STEPS = 3


class Containers:
    """Of one LXD project and storage pool."""

    def __init__(
        self,
        lxd: Lxd,
        holder: Holder,
        storage: str,
        deployment: str,
        devices: dict[str, dict[str, str]],
        networks: Networks | None = None,
    ) -> None:
        self._lxd = lxd
        self.networks = networks or Networks(lxd, {})
        self._storage = storage
        # LXD would restart a whole class after a crash of its own.
        self._config = {"boot.autostart": "false", DEPLOYMENT: deployment, **GUARDS}
        self.deployment = deployment
        self.templates = Templates(lxd, holder, self._config)
        self._devices = devices
        """Every container's, beside its root disk."""
        self._deletions = asyncio.Semaphore(OPENINGS)

    async def make(
        self, name: str, needs: Needs, tags: dict[str, str], say: Say, address: str | None = None, member: str = ""
    ) -> None:
        """A started container `name` with the lesson's limits. Whoever calls deletes it when this fails.

        `member`: of the cluster.

        Raises:
            Invalid: the lesson's image doesn't exist.
            Refused, Unavailable: LXD's answer, or the lesson's network isn't safe.
        """
        await self.networks.check(needs.network)
        await say("Preparing the lab's system", 0)
        template = await self.templates.at(needs.image, member)
        await say("Making your container", 1)
        copy = partial(self._copy, name=name, needs=needs, tags=tags, address=address, member=member)
        try:
            await copy(template)
        except NotFound:
            # Somebody deleted the template since we last looked.
            self.templates.forget(needs.image)
            await copy(await self.templates.at(needs.image, member))
        await say("Starting it", 2)
        await self._lxd.start(name)
        if needs.network == CLOSED:
            await self._tell_proxy(name)
        if needs.root:
            await self.grant_root(name)

    async def fit(self, name: str, needs: Needs, tags: dict[str, str]) -> None:
        """Gives a running container of the right image the lesson's limits, and what else it needs."""
        await self._lxd.change(name, self._limits(needs) | _tagged(tags), {"root": self._root(needs)})
        await (self.grant_root(name) if needs.root else self._revoke_root(name))

    async def tag(self, name: str, tags: dict[str, str]) -> None:
        """Says in LXD whose it is, so that rows can be found again after a database was restored."""
        await self._lxd.change(name, _tagged(tags), {})

    async def grant_root(self, name: str) -> None:
        """Lets `student` use sudo. An image without sudo has nothing to grant: its shell is root's, or stays as it is."""
        try:
            await self._lxd.push(name, SUDOERS_PATH, SUDOERS, 0o440)
        except (NotFound, Refused) as error:
            log.info("sudo_not_granted", container=name, reason=error.message)

    async def _revoke_root(self, name: str) -> None:
        try:
            await self._lxd.remove(name, SUDOERS_PATH)
        except (NotFound, Refused) as error:
            log.debug("sudo_not_there", container=name, reason=error.message)

    async def freeze(self, name: str) -> None:
        """Stops its processes where they stand: it costs no CPU then."""
        await self._lxd.freeze(name)

    async def unfreeze(self, name: str) -> None:
        await self._lxd.unfreeze(name)

    async def sleep(self, name: str) -> None:
        """Freezes it if it runs."""
        if (await self._lxd.instance(name))["status"] == "Running":
            await self._lxd.freeze(name)

    async def stop(self, name: str) -> None:
        """Its memory is given back; its files stay. Idempotent."""
        if (await self._lxd.instance(name))["status"] != "Stopped":
            await self._lxd.stop(name)

    async def delete(self, name: str) -> None:
        """Stops and deletes; idempotent. A class that ends at once is paced."""
        async with self._deletions:
            await self._lxd.delete(name)

    async def wake(self, name: str, say: Callable[[str], None] = lambda _: None) -> bool:
        """Starts a stopped container, unfreezes a frozen one; `say` tells people so first. False: it ran.

        Raises:
            NotFound: there is no such container.
        """
        instance = await self._lxd.instance(name)
        match instance["status"]:
            case "Running":
                return False
            case "Frozen":
                say("Your container is asleep: waking it")
                await self._lxd.unfreeze(name)
            case _:
                say("Your container has stopped: starting it")
                await self.start(name)
        return True

    async def halt(self, name: str) -> None:
        """Stops it at once, whatever it does; idempotent."""
        async with self._deletions:
            await self._lxd.halt(name)

    async def restart(self, name: str) -> None:
        """All its programs end, and it runs again.

        Raises:
            NotFound: there is no such container.
        """
        await self._lxd.halt(name)
        await self.start(name)

    async def start(self, name: str) -> None:
        """Starts it; one that runs counts as started.

        A full disk leaves LXD no room for what it writes itself, so it is given a little more.
        """
        try:
            await self._lxd.run(name)
        except Refused as error:
            # LXD doesn't say that a full disk is why.
            log.info("container_not_started", container=name, reason=error.message)
            if not await self._give_room(name, await self._lxd.instance(name)):
                raise
            await self._lxd.run(name)

    async def _give_room(self, name: str, instance: Json) -> bool:
        most = size_in_bytes(instance["config"].get(DISK, "")) + ROOM * ROOMS
        try:
            grown = await self._lxd.grow_root(name, ROOM, most)
        except Refused as full:
            raise Refused(FULL, code="disk_full") from full
        if grown:
            log.warning("container_given_room", container=name)
        return grown

    async def _copy(
        self, template: str, *, name: str, needs: Needs, tags: dict[str, str], address: str | None, member: str
    ) -> None:
        source = {"type": "copy", "source": template, "instance_only": True}
        # Else it would have its template's.
        config = self._config | _tagged(tags) | self._limits(needs) | ({EVACUATE: "auto"} if member else {})
        devices = {"root": self._root(needs), **self._devices}
        if (plan := self.networks.of(needs.network)) is not None and address is not None:
            devices["eth0"] = plan.device(address)
        await self._lxd.create(name, source, config, devices, member)

    async def _tell_proxy(self, name: str) -> None:
        plan = self.networks.of(CLOSED)
        if plan is not None:
            await self._lxd.make_folder(name, PROFILES, 0o755)
            await self._lxd.push(name, PROFILE_PATH, plan.profile(), 0o644)

    def _root(self, needs: Needs) -> dict[str, str]:
        return {"type": "disk", "path": "/", "pool": self._storage, "size": needs.disk}

    def _limits(self, needs: Needs) -> dict[str, str]:
        return {
            "limits.memory": needs.memory,
            "limits.cpu": needs.cpu,
            "limits.processes": str(needs.processes),
            DISK: needs.disk,
        }


def _tagged(tags: dict[str, str]) -> dict[str, str]:
    return {TAG + key: value for key, value in tags.items()}
