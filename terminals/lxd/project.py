"""Project: what a deployment needs in LXD before labs can be made: storage pool, project, profile, and who may use them."""

import hashlib
import ssl
from base64 import b64encode
from typing import Any, cast

import pylxd

from terminals.lxd.caller import Caller, Json, clustered, exists, members

Pool = tuple[str, str, str]
"""A storage pool's name and driver, and the size of its loop file; an empty one: as LXD likes."""


class Project(Caller):
    """For `server lxd setup`."""

    async def project_record(self) -> Json:
        """Of our project: its configuration and what uses it."""
        return await self._run("project", lambda c: cast("Json", c.api.projects[self.project].get().json()["metadata"]))

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
        made, (pool, driver, _), grouped = [], wanted, clustered(client)
        if grouped:
            # Which host gets a container is decided by us, for it must be the one that has the template.
            restrictions = {**restrictions, "restricted.cluster.target": "allow"}
        # Pools and projects are LXD's, not a project's: asked without ours.
        root = self._connect(None).api
        if not exists(root.storage_pools[pool]):
            self._make_pool(root, wanted, [member["server_name"] for member in members(client)] if grouped else [])
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

    def _make_pool(self, root: Any, wanted: Pool, hosts: list[str]) -> None:
        """On each member of a cluster first, then for all."""
        name, driver, size = wanted
        body = {"name": name, "driver": driver, "config": {"size": size} if size else {}}
        for host in hosts:
            root.storage_pools.post(params={"target": host}, json=body)
        root.storage_pools.post(json={**body, "config": {}} if hosts else body)
