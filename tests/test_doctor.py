"""The doctor: a world that is well is said to be, and each fault is named with what mends it. Faults are real."""

import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis

from server import migrate
from server.doctor.clock import compare
from server.doctor.finding import OK, WARNING, WRONG
from server.doctor.redis import redis as look_at_redis
from server.doctor.trial import Trial
from terminals.holder import Holder
from terminals.labs.containers import Containers
from terminals.labs.shells import Shells
from terminals.lxd import Lxd
from terminals.store import Store
from tests.conftest import ROOT, Server, lxc

Said = dict[str, dict[str, str]]
Ask = Callable[..., tuple[int, Said]]
HONEST = {"DEMO", "AppArmor", "ptys", "durability", "rights in LXD", "door", "screen helper"}
"""What may be worth a warning in the world of the tests."""


@pytest.fixture(autouse=True)
async def _real_lessons(store: Store, lxd: Lxd) -> None:
    """Without those of other tests, whose images aren't there."""
    there = list(await lxd.image_aliases())
    lessons = "SELECT id FROM lessons WHERE NOT image = ANY($1)"
    await store.database.run(f"DELETE FROM sessions WHERE lesson_id IN ({lessons})", there)
    await store.database.run("DELETE FROM lessons WHERE NOT image = ANY($1)", there)


@pytest.fixture
def ask(server: Server) -> Ask:
    """Exit status and findings by name, as `doctor --json` tells them in this environment, changed so."""

    def run(*words: str, **changes: str) -> tuple[int, Said]:
        command = [sys.executable, "-m", "server", "doctor", "--json", *words]
        environment = {**server.settings, "PORT": "8000", "LIMIT_OUTPUT": "0", **changes}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=150
        )
        assert done.returncode in (0, 1), done.stderr
        told = json.loads(done.stdout)
        assert told["ok"] == (done.returncode == 0)
        return done.returncode, {each["check"]: each for each in told["findings"]}

    return run


def test_a_world_that_is_well_is_said_to_be(ask: Ask) -> None:
    status, said = ask()
    assert not [each for each in said.values() if each["state"] == WRONG]
    assert status == 0
    assert {name for name, each in said.items() if each["state"] != OK} <= HONEST
    for name in (
        "settings",
        "SECRET_KEY",
        "Python",
        "packages",
        "pages",
        "PostgreSQL",
        "migrations",
        "rights in PostgreSQL",
        "connections",
        "clock of PostgreSQL",
        "Redis",
        "Redis's memory",
        "clock of Redis",
        "LXD",
        "LXD's API",
        "LXD's project",
        "storage pool",
        "cgroups",
        "lxcfs",
        "images",
        "room for labs",
        "trial container",
        "holder",
        "memory and process limits",
        "user namespace",
        "freezer",
        "disk quota",
    ):
        assert said[name]["state"] == OK, said[name]
    assert all(each["todo"] for each in said.values() if each["state"] != OK), "whatever isn't well has a mend"


async def test_the_trial_leaves_nothing(ask: Ask, lxd: Lxd) -> None:
    await asyncio.to_thread(ask)
    assert not [name for name in await lxd.names() if name.startswith("doctor-")]


@pytest.mark.parametrize(
    "loose", [{"limits.memory": "1GiB"}, {"limits.processes": "1000"}], ids=["memory", "processes"]
)
async def test_limits_that_do_not_hold_are_measured(lxd: Lxd, loose: dict[str, str]) -> None:
    holder = Holder.load(Path(os.environ["HOLDER_PATH"]))
    containers = Containers(lxd, holder, os.environ["LXD_POOL"], "doctor-tests", {})
    trial = Trial(lxd, containers, Shells(lxd, holder), "busybox")
    async with aclosing(trial.run()) as findings:
        assert (await anext(findings)).state == OK
        name = next(name for name in await lxd.names() if name.startswith("doctor-"))
        await lxd.change(name, loose, {})
        said = {each.check: each async for each in findings}
    assert said["memory and process limits"].state == WRONG
    assert "don't hold" in said["memory and process limits"].found


def test_people_get_a_table(server: Server) -> None:
    command = [sys.executable, "-m", "server", "doctor", "--quick"]
    environment = {**server.settings, "SECRET_KEY": "change-me-" * 4}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1, done.stderr
    line = next(line for line in done.stdout.splitlines() if "SECRET_KEY" in line)
    assert line.startswith("wrong ")
    assert "→ set the output of `openssl rand -hex 32`" in done.stdout
    assert done.stdout.splitlines()[-1].endswith(" 1 wrong"), done.stdout
    assert not [line for line in done.stdout.splitlines() if "  trial container" in line]


def test_wrong_settings_are_each_named_and_hide_nothing(ask: Ask) -> None:
    status, said = ask("--quick", PUBLIC_URL="labs", DATABASE_URL="somewhere")
    assert status == 1
    assert said["settings"]["state"] == WRONG
    assert "PostgreSQL" not in said, "nobody knows where to look for it"
    assert said["Redis"]["state"] == OK
    assert said["LXD"]["state"] == OK


@pytest.mark.parametrize(
    ("user", "database", "mend"), [("nobody-here", "", "make the role"), ("", "/no-such-database", "createdb")]
)
def test_a_postgresql_that_does_not_let_us_in_is_told_apart_from_one_without_our_database(
    ask: Ask, user: str, database: str, mend: str
) -> None:
    found = urlsplit(os.environ["DATABASE_URL"])
    _, _, host = found.netloc.rpartition("@")
    url = f"{found.scheme}://{user or found.username}@{host}{database or found.path}?{found.query}"
    status, said = ask("--quick", DATABASE_URL=url)
    assert status == 1
    assert said["PostgreSQL"]["state"] == WRONG
    assert mend in said["PostgreSQL"]["todo"]
    assert said["Redis"]["state"] == OK


@pytest.fixture
async def other_database(store: Store) -> AsyncIterator[str]:
    """An empty one beside ours."""
    name = f"doctor_{secrets.token_hex(4)}"
    await store.database.value(f'CREATE DATABASE "{name}"')
    found = urlsplit(os.environ["DATABASE_URL"])
    yield f"{found.scheme}://{found.netloc}/{name}?{found.query}"
    await store.database.value(f'DROP DATABASE "{name}" WITH (FORCE)')


async def test_migrations_that_are_missing_are_named(ask: Ask, other_database: str) -> None:
    _, said = await asyncio.to_thread(ask, "--quick", DATABASE_URL=other_database)
    assert (said["migrations"]["state"], "server migrate" in said["migrations"]["todo"]) == (WRONG, True)
    names = await asyncio.to_thread(migrate.apply, other_database)
    await asyncio.to_thread(migrate.roll_back, other_database, 1)
    _, said = await asyncio.to_thread(ask, "--quick", DATABASE_URL=other_database)
    assert said["migrations"]["state"] == WRONG
    assert names[-1] in said["migrations"]["found"]


async def test_a_redis_that_evicts_is_named(redis: Redis) -> None:
    before = {name: str((await redis.config_get(name))[name]) for name in ("maxmemory", "maxmemory-policy")}
    try:
        await redis.config_set("maxmemory-policy", "allkeys-lru")
        memory = await eviction(redis)
        assert memory[0] == WARNING, "nothing is evicted while there is no limit"
        await redis.config_set("maxmemory", 1 << 30)
        memory = await eviction(redis)
        assert memory[0] == WRONG
        assert "noeviction" in memory[1]
    finally:
        for name, value in before.items():
            await redis.config_set(name, value)
    assert (await eviction(redis))[0] == OK


async def eviction(client: Redis) -> tuple[str, str]:
    found = {each.check: each async for each in look_at_redis(client)}["Redis's memory"]
    return found.state, found.todo


async def test_clocks_that_differ_are_named(store: Store) -> None:
    async def theirs() -> float:
        return float(await store.database.value("SELECT extract(epoch FROM clock_timestamp())::float8"))

    assert (await compare("PostgreSQL", theirs, time.time)).state == OK
    ahead = await compare("PostgreSQL", theirs, lambda: time.time() - 3)
    assert (ahead.state, "3.0 s ahead" in ahead.found, "NTP" in ahead.todo) == (WARNING, True, True)
    behind = await compare("PostgreSQL", theirs, lambda: time.time() + 60)
    assert (behind.state, "behind" in behind.found) == (WRONG, True)


def test_a_door_that_containers_cannot_pass_is_named(ask: Ask, tmp_path: Path) -> None:
    # Not the test's own folder: a socket's path is short.
    folder = Path("/run") / f"door-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700)
    try:
        status, said = ask("--quick", DOOR_DIR=str(folder))
        assert status == 1
        assert (said["door"]["state"], "chmod 0711" in said["door"]["todo"]) == (WRONG, True)
        folder.chmod(0o711)
        assert ask("--quick", DOOR_DIR=str(folder))[1]["door"]["state"] == OK
    finally:
        folder.rmdir()


def test_what_was_not_built_is_named(ask: Ask, tmp_path: Path) -> None:
    status, said = ask("--quick", STATIC_DIR=str(tmp_path), SCREEN_SCRIPT=str(tmp_path / "none.mjs"))
    assert status == 1
    assert (said["pages"]["state"], "npm run build" in said["pages"]["todo"]) == (WRONG, True)
    assert said["screen helper"]["state"] == WARNING
    assert ask("--quick", HOLDER_PATH="/bin/true")[1]["holder's binary"]["state"] == WRONG


def test_an_lxd_that_is_away_is_named_and_the_others_are_looked_at(ask: Ask, tmp_path: Path) -> None:
    status, said = ask(LXD_URL=str(tmp_path / "unix.socket"))
    assert status == 1
    assert (said["LXD"]["state"], "start LXD" in said["LXD"]["todo"]) == (WRONG, True)
    assert said["PostgreSQL"]["state"] == said["Redis"]["state"] == OK


@contextmanager
def silent() -> Iterator[Path]:
    """A unix socket that takes connections and never says a word."""
    path = Path("/run") / f"silent-{secrets.token_hex(4)}"
    path.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path / "s"))
        listener.listen(64)
        held: list[socket.socket] = []
        over = threading.Event()

        def hold() -> None:
            listener.settimeout(0.1)
            while not over.is_set():
                try:
                    held.append(listener.accept()[0])
                except TimeoutError:
                    continue

        holding = threading.Thread(target=hold)
        holding.start()
        try:
            yield path / "s"
        finally:
            over.set()
            holding.join()
            for each in held:
                each.close()
            (path / "s").unlink()
            path.rmdir()


def test_services_that_hang_hold_nobody_up(ask: Ask) -> None:
    with silent() as path:
        began = time.monotonic()
        status, said = ask("--quick", LXD_URL=str(path), REDIS_URL=f"unix://{path}?db=0")
        assert time.monotonic() - began < 30
    assert status == 1
    assert said["LXD"]["state"] == said["Redis"]["state"] == WRONG
    assert said["PostgreSQL"]["state"] == said["migrations"]["state"] == OK


def test_a_pool_whose_quotas_do_not_hold_is_named_and_measured(ask: Ask) -> None:
    name = f"plain-{secrets.token_hex(3)}"
    lxc("storage", "create", name, "dir")
    try:
        status, said = ask(LXD_POOL=name)
    finally:
        lxc("storage", "delete", name)
    assert status == 1
    assert (said["storage pool"]["state"], "btrfs or zfs" in said["storage pool"]["todo"]) == (WRONG, True)
    assert said["disk quota"]["state"] == WRONG, said["disk quota"]
