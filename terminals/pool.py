"""Pool: containers that can be had quickly.

A template per image is launched and stopped once, so that unpacking and the id remap are behind it; a container is a
copy of it, started.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog

from terminals.errors import Invalid, NotFound, Refused
from terminals.holder import Holder
from terminals.lxd import Json, Lxd, size_in_bytes
from terminals.store.lessons import Needs

log = structlog.get_logger(__name__)

SUDOERS = b"student ALL=(ALL) NOPASSWD: ALL\n"
DEPLOYMENT = "user.educenter.deployment"
DISK = "user.educenter.disk"
"""The lesson's limit."""
DRAFT_AGE = timedelta(minutes=15)
"""A template in the making for longer has lost its maker."""
TEMPLATE_AGE = timedelta(days=1)
OPENINGS = 4
"""Containers that are made, or deleted, at the same time: LXD's database suffers from mass opens."""
ROOM = 16 * 1024 * 1024
"""Bytes that a container with a full disk is given on top, for what LXD itself writes when it starts it."""
ROOMS = 8
"""So often in a container's life."""
FULL = (
    "Your container has stopped, and its disk is full to the last block, so that it can't be started. "
    "End the lab and start it again, or ask your teacher to give it room"
)

Say = Callable[[str, int], Awaitable[None]]
"""Tells the student what is being done, and how many of `STEPS` are behind."""
STEPS = 3


class Pool:
    """Makes and wakes containers of one LXD project and pool."""

    def __init__(
        self, lxd: Lxd, holder: Holder, storage: str, deployment: str, devices: dict[str, dict[str, str]]
    ) -> None:
        self._lxd = lxd
        self._holder = holder
        self._storage = storage
        self._deployment = deployment
        self._devices = devices
        """Every container's, beside its root disk."""
        self._templates: dict[str, str] = {}
        self._making: dict[str, asyncio.Lock] = {}
        self._openings = asyncio.Semaphore(OPENINGS)
        self._deletions = asyncio.Semaphore(OPENINGS)

    async def make(self, name: str, needs: Needs, tags: dict[str, str], say: Say) -> None:
        """A started container `name` with the lesson's limits. Whoever calls deletes it when this fails.

        Raises:
            Invalid: the lesson's image doesn't exist.
            Refused, Unavailable: LXD's answer.
        """
        await say("Waiting for a place", 0)
        async with self._openings:
            await say("Preparing the lab's system", 0)
            template = await self.template(needs.image)
            await say("Making your container", 1)
            try:
                await self._copy(template, name, needs, tags)
            except NotFound:
                # Somebody deleted the template since we last looked.
                self._templates.pop(needs.image, None)
                await self._copy(await self.template(needs.image), name, needs, tags)
            await say("Starting it", 2)
            await self._lxd.start(name)
            if needs.root:
                await self.grant_root(name)

    async def grant_root(self, name: str) -> None:
        """Lets `student` use sudo. An image without sudo has nothing to grant: its shell is root's, or stays as it is."""
        try:
            await self._lxd.push(name, "/etc/sudoers.d/educenter", SUDOERS, 0o440)
        except (NotFound, Refused) as error:
            log.info("sudo_not_granted", container=name, reason=error.message)

    async def delete(self, name: str) -> None:
        """Stops and deletes; idempotent. A class that ends at once is paced."""
        async with self._deletions:
            await self._lxd.delete(name)

    async def wake(self, name: str) -> str | None:
        """Starts a stopped container, unfreezes a frozen one. What was done, for people; None: it ran.

        Raises:
            NotFound: there is no such container.
        """
        instance = await self._lxd.instance(name)
        match instance["status"]:
            case "Running":
                return None
            case "Frozen":
                await self._lxd.unfreeze(name)
                return "Your container was asleep and is awake again"
            case _:
                await self._restart(name, instance)
                return "Your container had stopped and was started again"

    async def _restart(self, name: str, instance: Json) -> None:
        """Starts it. A full disk leaves LXD no room for what it writes itself, so it is given a little more."""
        try:
            await self._lxd.start(name)
        except Refused:
            if not await self._give_room(name, instance):
                raise
            await self._lxd.start(name)

    async def _give_room(self, name: str, instance: Json) -> bool:
        most = size_in_bytes(instance["config"].get(DISK, "")) + ROOM * ROOMS
        try:
            grown = await self._lxd.grow_root(name, ROOM, most)
        except Refused as full:
            raise Refused(FULL, code="disk_full") from full
        if grown:
            log.warning("container_given_room", container=name)
        return grown

    async def template(self, image: str) -> str:
        """The name of the stopped template of an image alias; made when it is missing.

        Raises:
            Invalid: no such image.
        """
        async with self._making.setdefault(image, asyncio.Lock()):
            if image not in self._templates:
                self._templates[image] = await self._find_or_make(image)
            return self._templates[image]

    async def prepare(self) -> dict[str, str]:
        """Image alias → template, of every image; what earlier images, holders and killed makers left is deleted."""
        found = {image: await self.template(image) for image in sorted(await self._lxd.image_aliases())}
        for name in await self._lxd.names():
            if name.startswith(("template-", "draft-")) and name not in found.values() and await self._outdated(name):
                log.info("template_deleted", template=name)
                await self._lxd.delete(name)
        return found

    async def _outdated(self, name: str) -> bool:
        """A rolling deployment's older instances still copy yesterday's template; other deployments keep their own."""
        instance = await self._lxd.instance(name)
        if instance["config"].get(DEPLOYMENT) != self._deployment:
            return False
        age = datetime.now(UTC) - datetime.fromisoformat(instance["created_at"])
        return age > (DRAFT_AGE if name.startswith("draft-") else TEMPLATE_AGE)

    async def _find_or_make(self, image: str) -> str:
        fingerprint = (await self._lxd.image_aliases()).get(image)
        if fingerprint is None:
            raise Invalid(f"The lesson's image {image!r} doesn't exist here. Tell your teacher", code="no_image")
        name = f"template-{fingerprint[:12]}-{self._holder.version}"
        if name in await self._lxd.names():
            return name
        # Made under another name, so that a template is there only when it is whole, whoever is killed meanwhile.
        draft = f"draft-{secrets.token_hex(6)}"
        log.info("template_making", image=image, template=name)
        try:
            await self._lxd.create(draft, {"type": "image", "fingerprint": fingerprint}, self._config({}), {})
            await self._lxd.start(draft)
            await self._holder.install(self._lxd, draft)
            await self._lxd.stop(draft)
            try:
                await self._lxd.rename(draft, name)
            except Refused:
                if name not in await self._lxd.names():
                    raise
                # Another instance was first.
                await self._lxd.delete(draft)
        except BaseException:
            await asyncio.shield(self._lxd.delete(draft))
            raise
        log.info("template_made", image=image, template=name)
        return name

    async def _copy(self, template: str, name: str, needs: Needs, tags: dict[str, str]) -> None:
        config = self._config(tags) | {
            "limits.memory": needs.memory,
            "limits.cpu": needs.cpu,
            "limits.processes": str(needs.processes),
            DISK: needs.disk,
        }
        root = {"type": "disk", "path": "/", "pool": self._storage, "size": needs.disk}
        await self._lxd.create(
            name, {"type": "copy", "source": template, "instance_only": True}, config, {"root": root, **self._devices}
        )

    def _config(self, tags: dict[str, str]) -> dict[str, str]:
        """What every container of ours has; LXD would restart a whole class after a crash of its own."""
        return {
            "boot.autostart": "false",
            DEPLOYMENT: self._deployment,
            **{f"user.educenter.{key}": value for key, value in tags.items()},
        }
