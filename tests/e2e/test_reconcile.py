"""LXD and the rows are made to agree, both ways, and never rashly."""

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from terminals.holder import Holder
from terminals.labs.clearing import Clearing
from terminals.labs.containers import Containers
from terminals.labs.power import Power
from terminals.labs.reconcile import KEEP, MOST, ORPHANED, Reconciler
from terminals.labs.templates import DEPLOYMENT
from terminals.lxd import Lxd
from terminals.school.janitor import LEADER
from terminals.store import Store
from terminals.store.database import new_id
from terminals.store.lessons import Needs
from tests.client import User
from tests.conftest import ROOT, Server
from tests.e2e.test_main_job import MakeUser, ask, shell

OURS = "reconcile-tests"


class House:
    """Empty containers of a deployment in LXD that no row knows."""

    def __init__(self, lxd: Lxd) -> None:
        self.lxd = lxd
        self.made: list[str] = []

    async def orphan(self, deployment: str = OURS, **config: str) -> str:
        name = f"c-{secrets.token_hex(10)}"
        self.made.append(name)
        await self.lxd.create(name, {"type": "none"}, {DEPLOYMENT: deployment} | config, {})
        return name

    async def config(self, name: str) -> dict[str, str]:
        found: dict[str, str] = (await self.lxd.instance(name))["config"]
        return found


@pytest.fixture
async def house(lxd: Lxd) -> AsyncIterator[House]:
    made = House(lxd)
    yield made
    for name in made.made:
        await lxd.delete(name)


def reconciler(store: Store, lxd: Lxd, deployment: str = OURS) -> Reconciler:
    holder = Holder.load(Path(os.environ["HOLDER_PATH"]))
    containers = Containers(lxd, holder, os.environ["LXD_POOL"], deployment, {})
    power = Power(store, containers)
    return Reconciler(store, lxd, containers, Clearing(store, containers), power, timedelta(0))


async def test_an_orphan_is_set_aside_kept_for_a_day_and_then_deleted(store: Store, lxd: Lxd, house: House) -> None:
    mend = reconciler(store, lxd)
    fresh = await house.orphan()
    old = await house.orphan(**{ORPHANED: (datetime.now(UTC) - KEEP - timedelta(hours=1)).isoformat()})
    others = await house.orphan("somebody-else")
    looked = await mend.look()
    assert (looked.orphans, looked.expired) == ([fresh], [old])
    assert ORPHANED not in await house.config(fresh), "a look changes nothing"
    found = await mend.run()
    assert (found.orphans, found.expired, found.too_much) == ([fresh], [old], "")
    assert ORPHANED in await house.config(fresh)
    names = await lxd.names()
    assert old not in names
    assert {fresh, others} <= set(names)
    assert (await mend.run()).kept == [fresh]
    assert ORPHANED not in await house.config(others)


async def test_many_at_once_are_left_alone_until_somebody_says_so(store: Store, lxd: Lxd, house: House) -> None:
    mend = reconciler(store, lxd)
    names = [await house.orphan() for _ in range(MOST + 1)]
    found = await mend.run()
    assert "too many" in found.too_much
    assert not [name for name in names if ORPHANED in await house.config(name)]
    assert (await mend.run(force=True)).too_much == ""
    assert all([ORPHANED in await house.config(name) for name in names])
    # Those that are set aside already hold nothing up.
    another = await house.orphan()
    assert (await mend.run()).orphans == [another]


async def test_a_young_container_may_have_a_row_soon(store: Store, lxd: Lxd, house: House) -> None:
    mend = reconciler(store, lxd)
    mend._young = timedelta(minutes=5)
    await house.orphan()
    assert (await mend.look()).orphans == []


async def test_a_lab_whose_container_is_gone_is_ended_and_says_so(
    make_server: Callable[..., Server], make_user: MakeUser, store: Store, lxd: Lxd
) -> None:
    server = make_server()
    server.start()
    student: User = await make_user(server.url)
    neighbour: User = await make_user(server.url)
    session, page = await shell(student, "tiny-system")
    _, unhurt = await shell(neighbour, "tiny-system")
    await page.leave()
    container = await store.containers.of_session(session)
    assert container is not None
    await lxd.delete(container)
    await store.database.run("UPDATE containers SET heard_at = now() - interval '1 hour'")
    server.stop()
    server.start()
    await student.until(session, "ended")
    shown = await student.call("GET", f"/api/sessions/{session}")
    assert shown["error"]["code"] == "container_gone"
    await unhurt.connect()
    assert await ask(unhurt, "echo unhurt") == "unhurt"
    await unhurt.leave()


async def command(*words: str) -> tuple[int, str]:
    """One of the server's commands: its status and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "server",
        *words,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, printed.decode()


@pytest.fixture
async def leading(store: Store) -> AsyncIterator[None]:
    """No instance's janitor sweeps meanwhile: the test leads."""
    while True:
        async with store.database.lead(LEADER) as leads:
            if leads:
                yield
                return
        await asyncio.sleep(0.1)


async def test_operators_see_and_clean_the_same(
    student: User, store: Store, lxd: Lxd, house: House, seeded: None, leading: None
) -> None:
    session = await student.start("tiny-system")
    container = await store.containers.of_session(session)
    status, listed = await command("containers", "list")
    assert status == 0
    (line,) = (line for line in listed.splitlines() if line.startswith(str(container)))
    assert line.split("\t")[1:] == ["taken", line.split("\t")[2], "-", session, student.email, "tiny-system"]
    made = await store.containers.warm("template-of-nobody", Needs("busybox", "128MiB", "1", 100, "1GiB"), "nobody")
    assert made is not None
    gone = made.name
    await store.database.run("UPDATE containers SET heard_at = now() - interval '1 hour' WHERE name = $1", gone)
    status, told = await command("containers", "clean", "--dry-run")
    assert (status, f"{gone}\tto be deleted" in told, "Nothing was changed." in told) == (0, True, True)
    assert gone in await store.containers.names()
    status, told = await command("containers", "clean")
    assert (status, "Done." in told) == (0, True)
    assert gone not in await store.containers.names()
    assert container in await lxd.names()
    status, told = await command("pool", "status")
    assert status == 0
    images = {line.split("\t")[0]: line.split("\t")[1:] for line in told.splitlines()[1:-1]}
    assert images["busybox"][-1] == "1", "one live lab"
    assert "lab" in images


async def test_what_several_delete_at_once_is_deleted_for_each_of_them(lxd: Lxd) -> None:
    for _ in range(3):
        name = f"c-{new_id()}"
        await lxd.create(name, {"type": "image", "alias": "busybox"}, {}, {})
        await lxd.start(name)
        await asyncio.gather(*(lxd.delete(name) for _ in range(5)))
        assert name not in await lxd.names()
