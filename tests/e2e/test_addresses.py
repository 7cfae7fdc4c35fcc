"""Addresses of containers that have a network, and what the database lets a lesson say of it."""

import secrets
from collections.abc import AsyncIterator
from ipaddress import IPv4Interface, ip_address

import pytest

from server.seed import COURSE
from terminals.errors import Conflict, Invalid, Refused
from terminals.store import Store
from terminals.store.containers import Site
from terminals.store.lessons import Needs, Text, Wants
from tests.client import User

BLOCK = IPv4Interface("10.99.7.1/28")
NEEDS = Needs("busybox", "128MiB", "1", 100, "1GiB", network="closed")


@pytest.fixture
async def maker(store: Store) -> AsyncIterator[str]:
    name = f"addresses-{secrets.token_hex(4)}"
    yield name
    await store.database.run("DELETE FROM containers WHERE maker = $1", name)


async def _warm(store: Store, maker: str) -> str:
    made = await store.containers.warm("no-template", NEEDS, maker, site=Site(block=BLOCK))
    assert made is not None
    return made.name


async def test_each_container_has_an_address_of_its_own_until_none_is_left(store: Store, maker: str) -> None:
    names = [await _warm(store, maker) for _ in range(13)]
    found = {(await store.containers.made(name)).address for name in names}
    assert {ip_address(str(address)) for address in found} == set(BLOCK.network.hosts()) - {BLOCK.ip}
    with pytest.raises(Refused, match=r"No address of .* is left") as refused:
        await _warm(store, maker)
    assert refused.value.code == "no_address"
    freed = (await store.containers.made(names[5])).address
    await store.containers.let_go(names[5])
    with pytest.raises(Refused):
        await _warm(store, maker)  # LXD has it still
    await store.containers.forget(names[5])
    assert (await store.containers.made(await _warm(store, maker))).address == freed


async def test_only_a_closed_lab_that_is_somebodys_is_known_to_the_proxy(store: Store, maker: str) -> None:
    waiting = (await store.containers.made(await _warm(store, maker))).address
    assert await store.containers.closed(str(waiting)) is None
    assert await store.containers.closed("10.99.7.200") is None


async def test_a_lesson_whose_network_can_not_be_meant_is_not_put(store: Store) -> None:
    with pytest.raises(Invalid, match="is no host name"):
        await store.lessons.put("odd-net", COURSE, 91, Text("Odd", 10), Wants("lab", network="closed", hosts=("a b",)))


@pytest.mark.parametrize(
    ("network", "hosts"),
    [
        ("open", []),
        ("none", ["pypi.org"]),
        ("internet", ["pypi.org"]),
        ("closed", []),
        *(
            ("closed", [host])
            for host in ("PyPI.org", "10.0.0.1", "localhost", "*.org", "*", "", "a.org:443", "a.*.org")
        ),
    ],
)
async def test_nor_does_the_database_take_one(store: Store, network: str, hosts: list[str]) -> None:
    sql = "UPDATE lessons SET network = $1, hosts = $2 WHERE id = 'files'"
    with pytest.raises(Conflict, match="lessons_"):
        await store.database.run(sql, network, hosts)


async def test_a_lesson_that_needs_a_network_which_is_not_here_is_refused_in_words(student: User, store: Store) -> None:
    wants = Wants("busybox", network="internet")
    await store.lessons.put("no-net", COURSE, 89, Text("No net", 10), wants)
    try:
        session = (await student.call("POST", "/api/sessions", {"lesson": "no-net"}, 202))["id"]
        while (shown := await student.call("GET", f"/api/sessions/{session}"))["state"] != "ended":
            pass
    finally:
        await store.database.run("UPDATE lessons SET network = 'none' WHERE id = 'no-net'")
    assert shown["error"]["code"] == "no_network"
    assert "NETWORK_INTERNET isn't set" in shown["error"]["message"]
    assert await store.containers.of_session(session) is None
