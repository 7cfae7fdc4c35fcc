"""Proxying: the forward proxy of closed labs, on LXD's host."""

import argparse
import asyncio
import errno
import fcntl
import resource
import signal
import socket
import struct
import sys

from server.commands.grammar import Grammar
from server.settings import Settings
from terminals.networks import CLOSED, Plan
from terminals.proxy import Proxy
from terminals.store import Store
from terminals.store.database import Database

DNS = 53
QUESTION = bytes.fromhex("1d2e 0100 0001 0000 0000 0000 00 0002 0001")
"""DNS: the root's name servers."""
ANSWER_S = 1.0
SIOCGIFADDR = 0x8915
"""netdevice(7): what address an interface has."""


def add_to(grammar: Grammar) -> None:
    """`proxy`."""
    text = (
        "Pass closed labs on to the host names that their lessons list, until SIGTERM. Runs on LXD's host, beside the "
        "bridge that `lxd setup` made for NETWORK_CLOSED; needs PostgreSQL, no privileges, and no more than one."
    )
    grammar.add("proxy", proxy, text)


def proxy(settings: Settings, _arguments: argparse.Namespace) -> int:
    plan = settings.networks.get(CLOSED)
    if plan is None:
        print("NETWORK_CLOSED isn't set: there are no closed labs, and nothing to do", file=sys.stderr)
        return 2
    if leak := _leak(plan):
        print(leak, file=sys.stderr)
        return 1
    # Two for each tunnel: what a shell allows by default is less.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        asyncio.run(_run(settings, plan))
    except OSError as error:
        print(_trouble(plan, error), file=sys.stderr)
        return 1
    return 0


async def _run(settings: Settings, plan: Plan) -> None:
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    async with Database.connected(settings.database_url) as database:
        store = Store.over(database, settings.limits)
        await Proxy(store.containers.closed).run(str(plan.address.ip), plan.proxy_port, over)


def _trouble(plan: Plan, error: OSError) -> str:
    where = f"{plan.address.ip}:{plan.proxy_port}"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{where} isn't an address of this host: `python -m server lxd setup` makes it, and this runs where LXD does"
    return f"{where} can't be listened on: {error.strerror}"


def _leak(plan: Plan) -> str:
    """LXD leaves port 53 of its host open to every bridge: with a name server there, questions could carry data out."""
    for address in sorted({str(plan.address.ip), *_addresses()}):
        if _answers(address, socket.SOCK_DGRAM) or _answers(address, socket.SOCK_STREAM):
            return (
                f"A name server of this host answers at {address}: closed labs could carry data out through it. "
                "Let it listen on loopback only"
            )
    return ""


def _answers(address: str, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as asking:
        asking.settimeout(ANSWER_S)
        try:
            asking.connect((address, DNS))
            if kind == socket.SOCK_DGRAM:
                asking.send(QUESTION)
                asking.recv(512)
        except OSError:
            return False
    return True


def _addresses() -> list[str]:
    """The first one of each interface of this host, but for loopback's."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(asking, SIOCGIFADDR, struct.pack("256s", name.encode()))
            except OSError:
                continue  # it has none
            found.append(socket.inet_ntoa(answer[20:24]))
    return [address for address in found if not address.startswith("127.")]
