"""Networks over time: set up twice, changed behind our back, waited for in the pool, kept through a restart; else refused."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.lxd_api import Api
from server.seed import COURSE
from terminals.store import Store
from terminals.store.database import Database
from terminals.store.lessons import Text, Wants
from tests.attacks.island import CLOSED, HOST, INTERNET, Island, ip
from tests.client import User
from tests.conftest import Server, lxc, people
from tests.databases import environment
from tests.e2e.test_main_job import MakeUser, ask

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

HOSTS = ("listed.edu.example",)
POOL = {"POOL_READY": "1", "POOL_AWAKE": "1", "POOL_SPARE": "0"}
FRESH_S = 60.0
"""A server believes so long that a network is as it must be: tests take a new one."""


@pytest.fixture(scope="module")
def island() -> Iterator[Island]:
    with Island(Path(os.environ["LXD_URL"]).parent.parent) as made, environment(made.environment):
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def store(island: Island) -> AsyncIterator[Store]:
    async with Database.connected(os.environ["DATABASE_URL"]) as database:
        found = Store.over(database)
        # One image, one lesson of each network: the pool makes few.
        await database.run("DELETE FROM lessons")
        for position, wants in enumerate(
            (
                Wants("busybox", memory="128MiB", disk="1GiB"),
                Wants("busybox", memory="128MiB", disk="1GiB", network="closed", hosts=HOSTS),
                Wants("busybox", memory="128MiB", disk="1GiB", network="internet"),
            )
        ):
            await found.lessons.put(f"{wants.network}-lab", COURSE, position, Text(wants.network, 10), wants)
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def make_user(store: Store) -> AsyncIterator[MakeUser]:
    async with people(store) as make:
        yield make


@pytest.fixture
def served(island: Island, store: Store, tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path / "log")
    running.start()
    yield running
    running.stop()


async def refused(student: User, lesson: str) -> dict[str, str]:
    """Why a start failed."""
    session = (await student.call("POST", "/api/sessions", {"lesson": lesson}, 202))["id"]
    async with asyncio.timeout(60):
        while (shown := await student.call("GET", f"/api/sessions/{session}"))["state"] != "ended":
            await asyncio.sleep(0.1)
    error: dict[str, str] = shown["error"]
    return error


def rules(network: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = Api(os.environ["LXD_URL"]).get(f"/1.0/network-acls/edu-{network}")["egress"]
    return found


async def test_setting_up_again_changes_nothing(island: Island) -> None:
    done = island.command("lxd", "setup")
    assert done.returncode == 0
    assert "made" not in done.stdout


@pytest.mark.parametrize(
    "harm",
    [
        ("network", "acl", "rule", "add", "edu-closed", "egress", "action=allow", "state=enabled"),
        ("network", "acl", "rule", "add", "edu-closed", "ingress", "action=allow", "state=enabled"),
        ("network", "set", "edu-closed", "security.acls.default.egress.action=allow"),
        ("network", "set", "edu-closed", "ipv4.routing=true"),
        ("network", "unset", "edu-closed", "security.acls"),
        ("network", "unset", "edu-closed", "raw.dnsmasq"),
    ],
    ids=" ".join,
)
async def test_a_network_that_was_changed_gets_no_lab_until_it_is_set_up_again(
    island: Island, served: Server, make_user: MakeUser, harm: tuple[str, ...]
) -> None:
    student = await make_user(served.url)
    lxc(*harm)
    error = await refused(student, "closed-lab")
    assert error["code"] == "network_not_safe"
    assert "lxd setup" in error["message"]
    done = island.command("lxd", "setup")
    assert done.returncode == 0, done.stderr
    assert "network edu-closed" in done.stdout
    assert len(rules("closed")) == 1
    await student.start("closed-lab")


async def test_the_doctor_knows_which_network_holds(island: Island, store: Store) -> None:
    def said(**other: str) -> dict[str, str]:
        findings = json.loads(island.command("doctor", "--quick", "--json", **other).stdout)["findings"]
        return {each["check"]: f"{each['state']} {each['found']}" for each in findings if "network " in each["check"]}

    assert said() == {
        "network closed": f"ok edu-closed, {CLOSED}/24",
        "network internet": f"ok edu-internet, {INTERNET}/24",
    }
    lxc("network", "set", "edu-closed", "ipv4.routing=true")
    assert said()["network closed"].startswith(
        "wrong labs can't be started on it: its bridge was changed (ipv4.routing)"
    )
    assert island.command("lxd", "setup").returncode == 0
    assert "NETWORK_CLOSED isn't set" in said(NETWORK_CLOSED="")["network closed"]


async def test_another_address_of_the_host_is_no_way_into_it(
    island: Island, served: Server, make_user: MakeUser
) -> None:
    student = await make_user(served.url)
    ip("-n", island.inner, "addr", "add", "192.31.196.77/24", "dev", "up0")
    try:
        error = await refused(student, "internet-lab")
        assert error["code"] == "network_not_safe"
        assert "another address" in error["message"]
        assert island.command("lxd", "setup").returncode == 0
        assert "192.31.196.77/32" in rules("internet")[0]["destination"]
        await student.start("internet-lab")
    finally:
        ip("-n", island.inner, "addr", "del", "192.31.196.77/24", "dev", "up0")
        assert island.command("lxd", "setup").returncode == 0


async def test_containers_wait_for_each_network_and_only_for_its_lessons(
    island: Island, store: Store, make_user: MakeUser, tmp_path: Path
) -> None:
    server = Server(tmp_path / "pool", **POOL)
    server.start()
    sql = "SELECT name, host(address) AS address FROM containers WHERE state = 'ready' AND network = $1"
    waiting: dict[str, list[tuple[str, str | None]]] = {}
    try:
        async with asyncio.timeout(120):
            while not all(waiting.get(network) for network in ("none", "closed", "internet")):
                for network in ("none", "closed", "internet"):
                    rows = await store.database.fetch(sql, network)
                    waiting[network] = [(row["name"], row["address"]) for row in rows]
                await asyncio.sleep(0.2)
        assert waiting["none"][0][1] is None
        student = await make_user(server.url)
        for network in ("closed", "internet", "none"):
            session = (await student.call("POST", "/api/sessions", {"lesson": f"{network}-lab"}, 202))["id"]
            shown = await student.call("GET", f"/api/sessions/{session}")
            assert shown["state"] == "live", "it was there already"
            name, address = waiting[network][0]
            assert await store.containers.of_session(session) == name
            assert shown["network"] == {"kind": network, "hosts": list(HOSTS) if network == "closed" else []}
            async with student.page(shown["terminals"][0]["id"]) as page:
                links = await ask(page, "ls /sys/class/net | tr '\\n' ' '")
                assert links.split() == (["lo"] if network == "none" else ["eth0", "lo"])
                if address is not None:
                    await ask(page, "until ip addr show eth0 | grep -q 'inet '; do sleep 0.1; done")
                    assert address in await ask(page, "ip addr show eth0")
                proxy = f"http://{CLOSED}:3128" if network == "closed" else ""
                assert await ask(page, 'echo "[$https_proxy]"') == f"[{proxy}]"
    finally:
        server.stop()
        await store.database.run("UPDATE containers SET state = 'gone' WHERE session_id IS NULL")
        for row in await store.database.fetch("SELECT name FROM containers WHERE session_id IS NULL"):
            lxc("delete", "-f", row["name"])
            await store.containers.forget(row["name"])


async def test_a_lab_has_its_address_again_after_a_restart(served: Server, make_user: MakeUser, store: Store) -> None:
    student = await make_user(served.url)
    session = await student.start("closed-lab")
    address = (await store.containers.made(str(await store.containers.of_session(session)))).address
    await student.call("POST", f"/api/sessions/{session}/restart")
    async with asyncio.timeout(60):
        while not (shown := await student.call("GET", f"/api/sessions/{session}"))["terminals"] or shown["restarting"]:
            await asyncio.sleep(0.1)
    async with student.page(shown["terminals"][0]["id"]) as page:
        await ask(page, "until ip addr show eth0 | grep -q 'inet '; do sleep 0.1; done")
        assert f"inet {address}/" in await ask(page, "ip addr show eth0")


@pytest.mark.parametrize("network", ["closed", "internet"])
async def test_a_lab_that_a_restored_database_does_not_know_keeps_its_network_and_address(
    island: Island, make_user: MakeUser, store: Store, tmp_path: Path, network: str
) -> None:
    server = Server(tmp_path / "log")
    server.start()
    try:
        student = await make_user(server.url)
        session = await student.start(f"{network}-lab")
        name = str(await store.containers.of_session(session))
        address = (await store.containers.made(name)).address
        async with student.page(await student.first_terminal(session)) as page:
            shell = await ask(page, "echo $$")
    finally:
        server.stop()
    sql = "SELECT network, host(address) AS address, needs FROM containers WHERE name = $1"
    before = dict(await store.database.row(sql, name))
    # The backup knows another one, which is gone, at that address.
    sql_other = "UPDATE containers SET name = 'c-of-the-backup', state = 'ready', session_id = NULL WHERE name = $1"
    await store.database.run(sql_other, name)
    await store.database.run("DELETE FROM sessions WHERE id = $1", session)
    done = island.command("containers", "adopt")
    assert done.returncode == 0, done.stderr
    assert dict(await store.database.row(sql, name)) == before
    assert before["address"] == address
    server.start()
    try:
        async with student.page((await student.until(session, "live"))["terminals"][0]["id"]) as page:
            assert await ask(page, "echo $$") == shell
            await ask(page, "until ip addr show eth0 | grep -q 'inet '; do sleep 0.1; done")
            assert f"inet {address}/" in await ask(page, "ip addr show eth0")
    finally:
        server.stop()


@pytest.mark.parametrize("place", ["udp:10.78.0.1:53", f"{HOST}:53", f"udp:{HOST}:53"])
async def test_the_proxy_does_not_start_beside_a_name_server_that_labs_could_ask(island: Island, place: str) -> None:
    with island.listen(island.inner, place) as server:
        done = island.command("proxy")
        server.kill()
    assert done.returncode == 1
    assert "A name server of this host answers at " in done.stderr


async def test_the_proxy_says_where_it_belongs(island: Island) -> None:
    assert "NETWORK_CLOSED isn't set" in island.command("proxy", NETWORK_CLOSED="").stderr
    done = island.command("proxy", NETWORK_CLOSED="10.79.0.1/24")
    assert done.returncode == 1
    assert "isn't an address of this host" in done.stderr


async def test_an_lxd_that_can_not_enforce_networks_is_refused_at_set_up(island: Island, tmp_path: Path) -> None:
    with island.unarmed(tmp_path / "bin") as url:
        done = island.command("lxd", "setup", LXD_URL=url, LXD_POOL_SIZE="2GiB", LXD_BRIDGE="bare")
        assert done.returncode == 1
        assert "nftables" in done.stderr
        assert not Api(url).has("/1.0/networks/bare-closed")
