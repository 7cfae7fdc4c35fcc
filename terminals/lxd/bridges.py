"""Bridges: labs' networks and their access lists. They are of the default project, and LXD shows them in ours."""

from collections.abc import Callable
from typing import TypeVar, cast
from urllib.parse import urlsplit

import pylxd
from pylxd import exceptions

from terminals.errors import NotFound
from terminals.lxd.caller import Caller, Json, clustered, exists, members

T = TypeVar("T")


class Bridges(Caller):
    """A certificate that is restricted to our project is enough."""

    async def firewall(self) -> str:
        """By what LXD enforces filters and access lists: nftables, or something else."""
        return await self._run(
            "firewall", lambda c: str(c.api.get().json()["metadata"]["environment"].get("firewall") or "")
        )

    async def addresses(self) -> list[str]:
        """Of the machines that LXD runs on, bridges of LXD's aside."""

        def call(client: pylxd.Client) -> list[str]:
            known = client.api.networks.get(params={"recursion": 1}).json()["metadata"]
            names = {network["name"] for network in known if not network["managed"]}
            if not clustered(client):
                return sorted({each for name in names for each in _addresses(client, name, {})})
            found = set()
            for member in members(client):
                on = {"target": member["server_name"]}
                found.add(str(urlsplit(member["url"]).hostname))
                cards = client.api.resources.get(params=on).json()["metadata"]["network"]["cards"] or ()
                ports = {port["id"] for card in cards for port in card.get("ports") or ()}
                found.update(each for name in names | ports for each in _addresses(client, name, on))
            return sorted(found)

        return await self._run("addresses", call)

    async def network(self, name: str) -> dict[str, str] | None:
        """A bridge's config; None: there is none of ours of that name."""

        def call(client: pylxd.Client) -> dict[str, str] | None:
            found = client.api.networks[name].get().json()["metadata"]
            return cast("dict[str, str]", found["config"]) if found["managed"] else None

        return await self._there("network", call)

    async def put_network(self, name: str, config: dict[str, str]) -> None:
        """Makes a bridge, or gives it this config."""

        def call(client: pylxd.Client) -> None:
            body = {"config": config, "description": "EduCenter: made by `lxd setup`"}
            if exists(client.api.networks[name]):
                self._wait(client, client.api.networks[name].put(json=body))
                return
            new = {"name": name, "type": "bridge"}
            for member in members(client) if clustered(client) else ():
                self._wait(client, client.api.networks.post(params={"target": member["server_name"]}, json=new))
            self._wait(client, client.api.networks.post(json={**new, **body}))

        await self._run("put_network", call)

    async def acl(self, name: str) -> Json | None:
        """An access list's rules: ingress and egress; None: there is none."""

        def call(client: pylxd.Client) -> Json | None:
            found = client.api["network-acls"][name].get().json()["metadata"]
            return cast("Json", found)

        return await self._there("acl", call)

    async def put_acl(self, name: str, egress: list[dict[str, str]]) -> None:
        """Makes an access list, or gives it these rules and no others."""

        def call(client: pylxd.Client) -> None:
            body = {"egress": egress, "ingress": [], "config": {}, "description": "EduCenter: made by `lxd setup`"}
            lists = client.api["network-acls"]
            if exists(lists[name]):
                self._wait(client, lists[name].put(json=body))
            else:
                self._wait(client, lists.post(json={"name": name, **body}))

        await self._run("put_acl", call)

    async def _there(self, operation: str, call: Callable[[pylxd.Client], T]) -> T | None:
        """None where there is no such thing."""
        try:
            return await self._run(operation, call)
        except NotFound:
            return None


def _addresses(client: pylxd.Client, network: str, on: dict[str, str]) -> list[str]:
    try:
        state = client.api.networks[network].state.get(params=on).json()["metadata"]
    except exceptions.NotFound:
        return []  # not every host has one of that name
    return [each["address"] for each in state["addresses"] or ()]
