"""Networks: what a lab may reach: nothing, listed host names through the forward proxy, or the internet. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Network, ip_address
from itertools import combinations

from terminals.errors import Invalid

NONE, CLOSED, INTERNET = "none", "closed", "internet"
MOST_HOSTS = 100
LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# The last label begins with a letter: an address is no name.
NAME = re.compile(rf"(?=.{{1,253}}\Z)(?:{LABEL}\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?")
BELOW = "*."
RESERVED = tuple(
    IPv4Network(block)
    for block in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
        *("224.0.0.0/4", "240.0.0.0/4"),
    )
)
"""Where no host of the internet lies (RFC 6890 and its successors): this machine, its neighbours, their organisation."""
GLOBAL6 = IPv6Network("2000::/3")
RESERVED6 = tuple(IPv6Network(block) for block in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))
"""Of GLOBAL6: tunnels, behind which any address of version 4 may lie, and what is only for documents."""
LEAST_ROOM = 28
"""Bits of the longest prefix: 13 labs."""
FILTERS = ("security.port_isolation", "security.mac_filtering", "security.ipv4_filtering", "security.ipv6_filtering")
"""A lab reaches no neighbour, and sends from no address but its own."""


def check(network: str, hosts: Sequence[str]) -> None:
    """Of a lesson.

    Raises:
        Invalid: no such network, or its host names can't be meant.
    """
    if network not in {NONE, CLOSED, INTERNET}:
        raise Invalid(f"There is no network {network!r}: a lesson's is none, closed or internet")
    if network != CLOSED and hosts:
        raise Invalid(f"Host names are for the closed network only; this lesson's is {network}")
    if network == CLOSED and not 0 < len(hosts) <= MOST_HOSTS:
        raise Invalid(f"A closed network needs the host names that labs may reach: 1 to {MOST_HOSTS}")
    for host in hosts:
        name = host.removeprefix(BELOW)
        if not NAME.fullmatch(name):
            raise Invalid(f"{host!r} is no host name: write pypi.org, or *.example.org for all names below it")


def allows(hosts: Iterable[str], name: str) -> bool:
    """Whether a name is one of these, or below one that begins with `*.`."""
    return any(name.endswith(host[1:]) if host.startswith(BELOW) else name == host for host in hosts)


def public(address: str) -> bool:
    """Whether it is an address of the internet, in no sense one of this machine's surroundings."""
    found = ip_address(address)
    if isinstance(found, IPv4Address):
        return not any(found in block for block in RESERVED)
    return found in GLOBAL6 and not any(found in block for block in RESERVED6)


@dataclass(frozen=True, slots=True)
class Plan:
    """One network as LXD must have it: a bridge of our own, and the access list that holds its labs."""

    network: str
    bridge: str
    """Its name, and the access list's."""
    address: IPv4Interface
    """The bridge's own; labs have the others of its block."""
    proxy_port: int
    resolvers: tuple[str, ...] = ()
    """Name servers of the internet, for its labs."""

    def config(self) -> dict[str, str]:
        """The bridge's. What the access list doesn't name is refused, or for the internet allowed."""
        closed = self.network == CLOSED
        # LXD's name server is off on both: LXD leaves port 53 of each bridge open to the other's labs, and a question is a way
        # to carry data out. Closed labs need none, the proxy resolves names.
        dns = f"port=0\ndhcp-option=option:dns-server,{','.join(self.resolvers)}" if self.resolvers else "port=0"
        return {
            "ipv4.address": str(self.address),
            "ipv4.nat": "false" if closed else "true",
            "ipv4.firewall": "true",
            "ipv6.address": "none",
            "dns.mode": "none",
            "security.acls": self.bridge,
            "security.acls.default.egress.action": "reject" if closed else "allow",
            "security.acls.default.ingress.action": "drop",
            "ipv4.routing": "false" if closed else "true",
            "raw.dnsmasq": dns,
        }

    def rules(self, host: Iterable[str]) -> list[dict[str, str]]:
        """What labs may send, or may not; `host`: the addresses of LXD's own machine."""
        if self.network == CLOSED:
            proxy = {"protocol": "tcp", "destination_port": str(self.proxy_port)}
            return [{"action": "allow", "state": "enabled", "destination": f"{self.address.ip}/32", **proxy}]
        # One that is reserved is in a block already, and overlaps would be refused.
        own = sorted({f"{address}/32" for address in host if "." in address and public(address)})
        blocks = [str(block) for block in RESERVED]
        return [{"action": "reject", "state": "enabled", "destination": ",".join([*blocks, *own])}]

    def device(self, address: str) -> dict[str, str]:
        """The network device of a container."""
        filters = dict.fromkeys(FILTERS, "true")
        return {"type": "nic", "name": "eth0", "network": self.bridge, "ipv4.address": address, **filters}

    def profile(self) -> bytes:
        """What login shells read: programs find the proxy by it."""
        proxy = f"http://{self.address.ip}:{self.proxy_port}"
        names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
        local = "no_proxy=localhost,127.0.0.1 NO_PROXY=localhost,127.0.0.1"
        return f"export {' '.join(f'{name}={proxy}' for name in names)} {local}\n".encode()


def plans(bridge: str, blocks: dict[str, str], proxy_port: int, resolvers: tuple[str, ...] = ()) -> dict[str, Plan]:
    """Of the networks that have a block; `resolvers`: name servers for internet labs.

    Raises:
        ValueError: that is no address of a bridge with its block.
    """
    found = {}
    for network, block in blocks.items():
        if block:
            found[network] = Plan(
                network, f"{bridge}-{network}", _address(block), proxy_port, resolvers if network == INTERNET else ()
            )
    return found


def _address(block: str) -> IPv4Interface:
    address = IPv4Interface(block)
    first = address.network.network_address + 1
    if address.network.prefixlen > LEAST_ROOM or address.ip != first or not address.is_private:
        raise ValueError(f"{block} isn't the first address of a private block")
    return address


def overlapping(found: Iterable[Plan]) -> bool:
    """Whether two of them share addresses."""
    return any(one.address.network.overlaps(other.address.network) for one, other in combinations(found, 2))
