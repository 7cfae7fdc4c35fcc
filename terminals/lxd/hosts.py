"""Hosts: LXD itself, the machines it runs on, and what a deployment needs there."""

import hashlib
import ssl
from base64 import b64encode
from typing import Any, cast

import pylxd
from pylxd import exceptions

from terminals.errors import Unavailable
from terminals.lxd.caller import Caller, Json, busy_itself, exists

Pool = tuple[str, str, str]
"""A storage pool's name and driver, and the size of its loop file; an empty one: as LXD likes."""


class Hosts(Caller):
    """For `server lxd setup`, /readyz, doctor and capacity."""

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

    async def resources(self, pool: str) -> list[tuple[str, Json, Json]]:
        """(name, its hardware, its storage pool's space) of each host that is online."""

        def call(client: pylxd.Client) -> list[tuple[str, Json, Json]]:
            def get(path: Any, target: str) -> Json:
                params = {"target": target} if target else {}
                return cast("Json", path.get(params=params).json()["metadata"])

            names = [""]
            if client.api.get().json()["metadata"]["environment"]["server_clustered"]:
                members = client.api.cluster.members.get(params={"recursion": 1}).json()["metadata"]
                names = [member["server_name"] for member in members if member["status"] == "Online"]
            space = client.api.storage_pools[pool].resources
            return [(name or "the host", get(client.api.resources, name), get(space, name)["space"]) for name in names]

        return await self._run("resources", call)

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

    async def project_record(self) -> Json:
        """Of our project: its configuration and what uses it."""
        return await self._run("project", lambda c: cast("Json", c.api.projects[self.project].get().json()["metadata"]))

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

    async def setup(self, pool: Pool, folder: str | None = None, *, sees_networks: bool = False) -> list[str]:
        """Makes our storage pool, project and default profile where they are missing. Returns what was made.

        Whoever may do all in the project can still take nothing of the host: no privileged container, no path of its
        disks but `folder`, no configuration of LXC's own, and no network interface of the host's. `sees_networks`: but
        those, for LXD shows them, and with them the host's addresses, only to whom it would give them.
        """
        restrictions = {
            "restricted": "true",
            "restricted.devices.disk": "allow" if folder else "managed",
            "restricted.devices.disk.paths": folder or "",
            "restricted.devices.nic": "allow" if sees_networks else "managed",
        }
        return await self._run("setup", lambda c: self._setup(c, pool, restrictions))

    def _setup(self, client: pylxd.Client, wanted: Pool, restrictions: dict[str, str]) -> list[str]:
        made, (pool, driver, size) = [], wanted
        # Pools and projects are LXD's, not a project's: asked without ours.
        root = self._connect(None).api
        if not exists(root.storage_pools[pool]):
            root.storage_pools.post(json={"name": pool, "driver": driver, "config": {"size": size} if size else {}})
            made.append(f"storage pool {pool} ({driver})")
        if not exists(root.projects[self.project]):
            features = dict.fromkeys(("features.images", "features.profiles", "features.storage.volumes"), "true")
            body = {"name": self.project, "config": features | restrictions, "description": "EduCenter Terminals"}
            root.projects.post(json=body)
            made.append(f"project {self.project}")
        else:
            project = root.projects[self.project].get().json()["metadata"]
            config = project["config"]
            if any(config.get(key, "") != value for key, value in restrictions.items()):
                # Whole: what a PATCH leaves out LXD 5.0 takes for switched off.
                body = {"description": project["description"], "config": {**config, **restrictions}}
                root.projects[self.project].put(json=body)
                made.append(f"restrictions of project {self.project}")
        profile = {
            "description": "EduCenter: a root disk on our pool and no network",
            "config": {"boot.autostart": "false", "security.nesting": "false"},
            "devices": {"root": {"type": "disk", "path": "/", "pool": pool}},
        }
        default = client.api.profiles["default"]
        known = default.get().json()["metadata"]
        # Instances that are just being made refuse it.
        if any(known[key] != value for key, value in profile.items()):
            default.put(json=profile)
        return made

    async def trust(self, pem: str, name: str) -> bool:
        """Lets whoever has this certificate's key do all in our project and nothing elsewhere. False: it was so."""
        der = ssl.PEM_cert_to_DER_cert(pem)
        fingerprint = hashlib.sha256(der).hexdigest()
        body: Json = {"name": name, "type": "client", "restricted": True, "projects": [self.project]}

        def call(_client: pylxd.Client) -> bool:
            root = self._connect(None).api
            if not exists(root.certificates[fingerprint]):
                root.certificates.post(json={**body, "certificate": b64encode(der).decode()})
                return True
            known = root.certificates[fingerprint].get().json()["metadata"]
            if all(known.get(key) == value for key, value in body.items()):
                return False
            root.certificates[fingerprint].put(json=body)
            return True

        return await self._run("trust", call)

    async def image_aliases(self) -> dict[str, str]:
        """Alias → fingerprint of the project's images."""

        def call(client: pylxd.Client) -> dict[str, str]:
            found = client.api.images.aliases.get(params={"recursion": 1}).json()["metadata"]
            return {alias["name"]: alias["target"] for alias in found}

        return await self._run("image_aliases", call)
