"""Hosts: LXD itself, the machines it runs on, and what a deployment needs there."""

from dataclasses import dataclass, replace
from typing import Any, cast

import pylxd
from pylxd import exceptions

from terminals.errors import Unavailable
from terminals.lxd.caller import Caller, Json, busy_itself, clustered, members, silent

SCHEDULER = "scheduler.instance"
"""A member's own word on who may be placed there: all, those of a group that it is in, or nobody (manual)."""


@dataclass(frozen=True, slots=True)
class Host:
    """A machine that LXD runs on."""

    member: str
    """Its name in the cluster; empty: there is no cluster."""
    status: str = "Online"
    """As LXD calls it: Online, Offline, Evacuated and the like."""
    groups: tuple[str, ...] = ()
    scheduler: str = "all"
    hardware: Json | None = None
    """None: it doesn't answer."""
    space: Json | None = None


class Hosts(Caller):
    """For /readyz, doctor and capacity."""

    async def answers(self) -> str:
        """LXD's version.

        Raises:
            Unavailable: it doesn't answer, or doesn't trust us.
        """

        def call(client: pylxd.Client) -> str:
            found = client.api.get().json()["metadata"]
            if found.get("auth") != "trusted":
                raise Unavailable(
                    "LXD answers but doesn't trust this server's certificate: add it to LXD's trust store"
                )
            return cast("str", found["environment"]["server_version"])

        return await self._run("answers", call)

    async def hosts(self, pool: str) -> list[Host]:
        """All there are, with the storage pool's space on each."""

        def call(client: pylxd.Client) -> list[Host]:
            if not clustered(client):
                return [_host(client, pool, {})]
            return [_host(client, pool, member) for member in members(client)]

        found = await self._run("hosts", call)
        for host in found:
            # LXD itself takes 20 s to call it offline.
            (self.whereabouts.heard if host.hardware else self.whereabouts.hush)(host.member)
        return found

    async def server_record(self) -> Json:
        """What LXD says of itself: version, extensions, drivers."""
        return await self._run("server", lambda c: cast("Json", c.api.get().json()["metadata"]))

    async def pool_record(self, pool: str) -> Json:
        """Of a storage pool: its driver and configuration."""
        return await self._run("pool", lambda c: cast("Json", c.api.storage_pools[pool].get().json()["metadata"]))

    async def records(self, kind: str) -> list[Json]:
        """All `certificates` or `warnings` that we may see."""

        def call(client: pylxd.Client) -> list[Json]:
            return cast("list[Json]", client.api[kind].get(params={"recursion": 1}).json()["metadata"])

        return await self._run(kind, call)

    async def leaving(self) -> bool:
        """Whether LXD was told to stop, or has only just begun: it answers, but what is asked of it must wait."""

        def call(client: pylxd.Client) -> bool:
            try:
                # There is no such call: LXD always refuses it, but in its own way when it refuses all but GET.
                client.api.projects.put(json={})
            except exceptions.LXDAPIException as error:
                return busy_itself(error)
            return False

        return await self._run("leaving", call)

    async def image_aliases(self) -> dict[str, str]:
        """Alias → fingerprint of the project's images."""

        def call(client: pylxd.Client) -> dict[str, str]:
            found = client.api.images.aliases.get(params={"recursion": 1}).json()["metadata"]
            return {alias["name"]: alias["target"] for alias in found}

        return await self._run("image_aliases", call)


def _host(client: pylxd.Client, pool: str, member: Json) -> Host:
    name = member.get("server_name", "")

    def get(path: Any) -> Json:
        return cast("Json", path.get(params={"target": name} if name else {}).json()["metadata"])

    host = Host(
        name,
        member.get("status", "Online"),
        tuple(member.get("groups", ())),
        member.get("config", {}).get(SCHEDULER) or "all",
    )
    if host.status == "Offline":
        return host
    try:
        return replace(
            host, hardware=get(client.api.resources), space=get(client.api.storage_pools[pool].resources)["space"]
        )
    except exceptions.LXDAPIException as error:
        if not silent(error):
            raise
        return host
