"""Networks: the bridges of labs in LXD: made, looked at before labs are started on them, and refused unless they hold."""

import time

import structlog

from terminals.errors import Refused
from terminals.lxd import Json, Lxd
from terminals.networks import CLOSED, NONE, Plan

log = structlog.get_logger(__name__)

FIREWALL = "nftables"
"""LXD's own way to enforce filters and access lists; what it does without was never tried."""
FRESH_S = 60.0
"""What was seen of a network is believed for so long."""
SETTINGS = {"closed": "NETWORK_CLOSED", "internet": "NETWORK_INTERNET"}
RULE = ("action", "state", "source", "destination", "protocol", "source_port", "destination_port")


class Networks:
    """Those that this deployment has; `none` needs nothing."""

    def __init__(self, lxd: Lxd, plans: dict[str, Plan]) -> None:
        self._lxd = lxd
        self._plans = plans
        self._seen: dict[str, float] = {}
        """Network → when it was as it must be."""

    def of(self, network: str) -> Plan | None:
        """None: there is no such network here, or it is `none`."""
        return self._plans.get(network)

    def fresh(self, network: str) -> bool:
        """Whether labs may be started on it without a question to LXD."""
        if network == NONE:
            return True
        return network in self._plans and time.monotonic() - self._seen.get(network, -FRESH_S) < FRESH_S

    async def check(self, network: str) -> None:
        """Before a lab is started.

        Raises:
            Refused: it isn't here, or wouldn't hold the lab.
            Unavailable: LXD doesn't answer.
        """
        if self.fresh(network):
            return
        plan = self._plans.get(network)
        if plan is None:
            raise Refused(
                f"This lesson needs the network “{network}”, which this server doesn't have. Tell your teacher: "
                f"{SETTINGS.get(network, network)} isn't set",
                code="no_network",
            )
        if problem := await self._problem(plan):
            log.error("network_not_safe", network=network, bridge=plan.bridge, reason=problem)
            raise Refused(
                f"This lesson needs the network “{network}”, which isn't safe on the lab host now: {problem}. "
                "Tell your teacher: `python -m server lxd setup` says more",
                code="network_not_safe",
            )
        self._seen[network] = time.monotonic()

    async def look(self) -> list[tuple[Plan, str]]:
        """Each, and why labs can't be started on it; empty: nothing.

        Raises:
            Refused: this LXD couldn't enforce them.
        """
        return [(plan, await self._problem(plan)) for plan in self._plans.values()]

    async def setup(self) -> list[str]:
        """Makes them, or makes them so again; what was done.

        Raises:
            Refused: this LXD couldn't enforce them.
        """
        made = []
        for plan in self._plans.values():
            await self._enforceable()
            problem = await self._problem(plan)
            if not problem:
                continue
            # The list first: the bridge is never there without it.
            await self._lxd.put_acl(plan.bridge, plan.rules(await self._lxd.addresses()))
            await self._lxd.put_network(plan.bridge, plan.config())
            if left := await self._problem(plan):
                raise Refused(f"The network {plan.bridge} isn't as it must be after set-up: {left}")
            made.append(f"network {plan.bridge} ({plan.address}): {problem}")
        return made

    async def _enforceable(self) -> None:
        firewall = await self._lxd.firewall()
        if firewall != FIREWALL:
            raise Refused(
                f"LXD enforces networks by {firewall or 'nothing'} here, and labs are only held by {FIREWALL}: install "
                "nftables and dnsmasq-base on LXD's host and restart LXD, or unset NETWORK_CLOSED and NETWORK_INTERNET"
            )

    async def _problem(self, plan: Plan) -> str:
        """Why labs can't be started on it; empty: nothing."""
        await self._enforceable()
        config = await self._lxd.network(plan.bridge)
        if config is None:
            return "there is no such bridge"
        if wrong := sorted(key for key, value in plan.config().items() if config.get(key) != value):
            return f"its bridge was changed ({', '.join(wrong)})"
        rules = await self._lxd.acl(plan.bridge)
        if rules is None or _plain(rules.get("ingress", [])):
            return "its access list was changed"
        wanted = plan.rules([] if plan.network == CLOSED else await self._lxd.addresses())
        if _plain(rules.get("egress", [])) != _plain(wanted):
            return "its access list was changed, or the host has another address"
        return ""


def _plain(rules: list[Json]) -> list[tuple[str, ...]]:
    return sorted(tuple(rule.get(key) or "" for key in RULE) for rule in rules)
