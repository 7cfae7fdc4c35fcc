"""Templates: a stopped container per image, launched once, so that unpacking, the id remap and the holder are behind it.

In a cluster each member has its own: a copy that crosses from one to another is no snapshot, and takes its time.
"""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import structlog

from terminals.errors import Invalid, Refused, TerminalsError, Unavailable
from terminals.holder import Holder
from terminals.lxd import AWAY, Lxd

log = structlog.get_logger(__name__)

DEPLOYMENT = "user.educenter.deployment"
EVACUATE = "cluster.evacuate"
"""What becomes of a container when its member is taken out of service."""
DRAFT_AGE = timedelta(minutes=15)
"""A template in the making for longer has lost its maker."""
TEMPLATE_AGE = timedelta(days=1)
FRESH_S = 60.0
"""An image that was published anew is noticed within so long."""


class Templates:
    """By image alias. A template's name holds the image's fingerprint and the holder's hash: what differs isn't it."""

    def __init__(self, lxd: Lxd, holder: Holder, config: dict[str, str]) -> None:
        self._lxd = lxd
        self._holder = holder
        self._config = config
        """What every container of ours has."""
        self._known: dict[str, str] = {}
        self._there: set[str] = set()
        """Those that LXD has."""
        self._looked_at = 0.0
        self._making: dict[str, asyncio.Lock] = {}

    async def of(self, image: str) -> str:
        """Its name, which says what a copy of it is; whether it is there, `at` sees to.

        Raises:
            Invalid: no such image.
            Refused, Unavailable: LXD's answer.
        """
        if image not in self._known:
            self._known[image] = self._name(await self._fingerprint(image))
        return self._known[image]

    async def at(self, image: str, member: str = "") -> str:
        """What is copied for containers on this member (empty: there is no cluster); made when it is missing.

        Raises:
            Invalid: no such image.
            Refused, Unavailable: LXD's answer.
        """
        name = _at(await self.of(image), member)
        async with self._making.setdefault(name, asyncio.Lock()):
            if name not in self._there:
                await self._find_or_make(image, name, member)
                self._there.add(name)
        return name

    def known(self, image: str) -> str | None:
        """Its name, if no question to LXD is needed for it."""
        return self._known.get(image)

    def all_known(self) -> dict[str, str]:
        """Image → its template's name, of those."""
        return dict(self._known)

    def forget(self, image: str) -> None:
        """It turned out to be gone, or another."""
        template = self._known.pop(image, None)
        if template is not None:
            self._there = {name for name in self._there if not name.startswith(template)}

    async def refresh(self) -> None:
        """Forgets those whose image was published anew; beside the way of who waits for a prompt."""
        if time.monotonic() - self._looked_at < FRESH_S:
            return
        try:
            aliases = await self._lxd.image_aliases()
        except TerminalsError as error:
            log.warning("images_not_seen", reason=error.message)
            return
        self._looked_at = time.monotonic()
        for image, template in list(self._known.items()):
            if template != self._name(aliases.get(image, "")):
                self.forget(image)

    async def prepare(self, members: Collection[str] = ()) -> dict[str, str]:
        """Image alias → template, of every image, on each member; what earlier images, holders and makers left is deleted."""
        images = sorted(await self._lxd.image_aliases())
        there = {await self.at(image, member) for image in images for member in members or ("",)}
        for name in await self._lxd.names():
            if name.startswith(("template-", "draft-")) and name not in there and await self._outdated(name):
                log.info("template_deleted", template=name)
                await self._lxd.delete(name)
        return {image: await self.of(image) for image in images}

    async def _outdated(self, name: str) -> bool:
        """A rolling deployment's older instances still copy yesterday's template; other deployments keep their own."""
        try:
            instance = await self._lxd.instance(name)
        except Unavailable as error:
            if error.code != AWAY:
                raise
            return False
        if instance["config"].get(DEPLOYMENT) != self._config[DEPLOYMENT]:
            return False
        age = datetime.now(UTC) - datetime.fromisoformat(instance["created_at"])
        return age > (DRAFT_AGE if name.startswith("draft-") else TEMPLATE_AGE)

    def _name(self, fingerprint: str) -> str:
        return f"template-{fingerprint[:12]}-{self._holder.version}"

    async def _fingerprint(self, image: str) -> str:
        fingerprint = (await self._lxd.image_aliases()).get(image)
        if fingerprint is None:
            raise Invalid(f"The lesson's image {image!r} doesn't exist here. Tell your teacher", code="no_image")
        return fingerprint

    async def _find_or_make(self, image: str, name: str, member: str) -> None:
        if name in await self._lxd.names():
            return
        fingerprint = await self._fingerprint(image)
        # Made under another name, so that a template is there only when it is whole, whoever is killed meanwhile.
        draft = f"draft-{secrets.token_hex(6)}"
        log.info("template_making", image=image, template=name)
        try:
            # An evacuation would carry it to another member, which has its own.
            config = {**self._config, EVACUATE: "stop"} if member else self._config
            await self._lxd.create(draft, {"type": "image", "fingerprint": fingerprint}, config, {}, member)
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


def _at(template: str, member: str) -> str:
    """An instance's name is a label of at most 63 letters, a member's may be a host's with its domain."""
    return f"{template}-{hashlib.sha256(member.encode()).hexdigest()[:8]}" if member else template
