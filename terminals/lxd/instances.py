"""Instances: containers made, started, stopped, changed and deleted."""

import asyncio
import re
from collections.abc import Callable
from functools import partial
from typing import cast

import pylxd
import structlog

from terminals.errors import NotFound, Refused
from terminals.lxd.caller import Caller, Json
from terminals.lxd.sizes import size_in_bytes

log = structlog.get_logger(__name__)

BUSY_WORDS = ("busy", "matching non-reusable operation", "already stopped", "quota exceeded")
"""How LXD says that somebody else is at it, or was a moment ago; or that it has stopped it all the same, though a full
disk kept it from tidying up."""
BUSY_TRIES, BUSY_S = 10, 1.0
RUNNING_WORDS = "already running"
SLIP = re.compile(
    "bad file descriptor|^LXD refused: Create instance from copy: .*(no such file or directory|not a directory)"
)
"""LXD's own slip, once in some thousand copies: while it walks through a template, a descriptor of its is closed, or is by then
another folder's. It takes back what it began."""
SLIPS = 2


class Instances(Caller):
    """Of the project."""

    async def names(self) -> list[str]:
        """Of all instances in the project."""

        def call(client: pylxd.Client) -> list[str]:
            urls = client.api.instances.get().json()["metadata"]
            return [url.rsplit("/", 1)[-1].split("?")[0] for url in urls]

        return await self._run("names", call)

    async def instances(self) -> list[Json]:
        """The records of all instances in the project."""

        def call(client: pylxd.Client) -> list[Json]:
            return cast("list[Json]", client.api.instances.get(params={"recursion": 1}).json()["metadata"])

        found = await self._run("instances", call)
        for each in found:
            self.whereabouts.learn(each["name"], each["location"])
        return found

    async def instance(self, name: str) -> Json:
        """LXD's record: status, config, devices and the like."""
        found = await self._run("instance", lambda c: cast("Json", c.api.instances[name].get().json()["metadata"]))
        self.whereabouts.learn(name, found["location"])
        return found

    async def create(
        self,
        name: str,
        source: Json,
        config: dict[str, str],
        devices: dict[str, dict[str, str]],
        member: str = "",
    ) -> None:
        """Creates a container from an image (`{"type": "image", "alias": …}`) or as a copy (`{"type": "copy", "source": …}`).

        `member`: of the cluster; empty: LXD chooses.
        """
        body = {"name": name, "type": "container", "source": source, "config": config, "devices": devices}
        params = {"target": member} if member else {}
        self.whereabouts.learn(name, member)

        def call(client: pylxd.Client) -> None:
            self._wait(client, client.api.instances.post(params=params, json=body))

        create = partial(self._run, "create", call, name)
        for _ in range(SLIPS):
            try:
                return await create()
            except Refused as error:
                if not SLIP.search(error.message):
                    raise
                log.warning("lxd_slipped", container=name, reason=error.message)
        return await create()

    async def start(self, name: str) -> None:
        """Starts a stopped container."""
        await self._state(name, "start", {"timeout": 30})

    async def stop(self, name: str) -> None:
        """Stops it at once, without asking its programs."""
        await self._state(name, "stop", {"timeout": 30, "force": True})

    async def freeze(self, name: str) -> None:
        """Stops its processes where they stand. Can take a second."""
        await self._state(name, "freeze", {"timeout": 10})

    async def unfreeze(self, name: str) -> None:
        """Lets a frozen container's processes run again."""
        await self._state(name, "unfreeze", {"timeout": 10})

    async def rename(self, name: str, new: str) -> None:
        """Renames a stopped container.

        Raises:
            Refused: there is one of that name, or it runs.
        """
        await self._run("rename", lambda c: self._wait(c, c.api.instances[name].post(json={"name": new})), name)

    async def grow_root(self, name: str, by: int, most: int) -> bool:
        """Allows a container's root disk `by` bytes more; False: it would be larger than `most`, or has no limit."""

        def call(client: pylxd.Client) -> bool:
            node = client.api.instances[name]
            root = node.get().json()["metadata"]["devices"].get("root", {})
            size = size_in_bytes(root.get("size", "")) + by
            if size == by or size > most:
                return False
            self._wait(client, node.patch(json={"devices": {"root": {**root, "size": str(size)}}}))
            return True

        return await self._run("grow_root", call, name)

    async def change(self, name: str, config: dict[str, str], devices: dict[str, dict[str, str]]) -> None:
        """Sets these keys and devices of an instance, running or not; all else stays."""
        body = {"config": config, "devices": devices} if devices else {"config": config}
        await self._run("change", lambda c: self._wait(c, c.api.instances[name].patch(json=body)), name)

    async def delete(self, name: str) -> None:
        """Stops and deletes; one that isn't there counts as deleted."""

        def call(client: pylxd.Client) -> None:
            self._halt(client, name)
            self._wait(client, client.api.instances[name].delete())

        try:
            await self._patiently("delete", call, name)
        except NotFound:
            log.info("container_already_gone", container=name)

    async def halt(self, name: str) -> None:
        """Stops it at once, whatever it does; one that doesn't run counts as stopped."""
        await self._patiently("stop", lambda c: self._halt(c, name), name)

    async def run(self, name: str) -> bool:
        """Starts it, or unfreezes it, when nothing else is being done to it; False: it ran."""

        def call(client: pylxd.Client) -> None:
            # Asked whatever its state: while a stop is under way it counts as running.
            self._wait(client, client.api.instances[name].state.put(json={"action": "start", "timeout": 30}))

        try:
            await self._patiently("start", call, name)
        except Refused as error:
            if RUNNING_WORDS not in error.message:
                raise
            return False
        return True

    def _halt(self, client: pylxd.Client, name: str) -> None:
        node = client.api.instances[name]
        if node.get().json()["metadata"]["status"] not in ("Stopped", "Error"):
            self._wait(client, node.state.put(json={"action": "stop", "timeout": 30, "force": True}))

    async def _patiently(self, operation: str, call: Callable[[pylxd.Client], None], name: str) -> None:
        """Again while somebody else does something to it at this moment: LXD does one thing at a time to an instance."""
        for _ in range(BUSY_TRIES):
            try:
                return await self._run(operation, call, name)
            except Refused as error:
                if not any(words in error.message for words in BUSY_WORDS):
                    raise
                await asyncio.sleep(BUSY_S)
        raise Refused(f"LXD has been busy with container {name} for {BUSY_S * BUSY_TRIES:.0f} s")

    async def _state(self, name: str, action: str, extra: Json) -> None:
        body = {"action": action, **extra}
        await self._run(action, lambda c: self._wait(c, c.api.instances[name].state.put(json=body)), name)
