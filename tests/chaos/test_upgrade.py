"""An upgrade and the way back: this version and the one before the newest migration serve side by side, under typing students."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from terminals.store import Store
from terminals.store.database import Database
from tests.chaos.desk import Desk
from tests.chaos.fleet import Fleet
from tests.client import User
from tests.conftest import ROOT, Server, people
from tests.databases import Own, environment
from tests.e2e.test_main_job import ask

pytestmark = pytest.mark.timeout(400)
DATABASE = "upgrade"
MIGRATIONS = ROOT / "migrations"


@dataclass(frozen=True)
class Version:
    """A checkout with its holder."""

    tree: Path
    holder: Path

    def command(self, *words: str) -> str:
        """One of its commands; what it printed."""
        done = subprocess.run(
            (sys.executable, "-m", "server", *words),
            cwd=self.tree,
            env={**os.environ, "HOLDER_PATH": str(self.holder), "DEMO": "on"},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def run_by(self, server: Server) -> None:
        """From its next start on."""
        server.tree = self.tree
        server.settings["HOLDER_PATH"] = str(self.holder)


def git(*words: str) -> bytes:
    return subprocess.run(("git", *words), cwd=ROOT, check=True, capture_output=True, timeout=60).stdout


def newest() -> Path:
    """The migration that this version brings."""
    return max(path for path in MIGRATIONS.glob("*.sql") if not path.name.endswith(".rollback.sql"))


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """The version before the newest migration came."""
    tree = tmp_path_factory.mktemp("before")
    added = git("log", "--diff-filter=A", "--format=%H", "--", str(newest().relative_to(ROOT))).decode().split()
    assert added, "the newest migration isn't committed yet: the version before it can't be told"
    subprocess.run(("tar", "-x", "-C", str(tree)), input=git("archive", f"{added[-1]}^"), check=True, timeout=60)
    assert not (tree / "migrations" / newest().name).exists()
    built = tree / "built"
    making = ("make", "--silent", "-C", str(tree / "terminals" / "holder"), f"OUT={built}")
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    subprocess.run(making, check=True, env=own, capture_output=True, timeout=120)
    # Another file is another version: the two must meet in one container.
    holder = built / "holder"
    holder.write_bytes(holder.read_bytes() + b"\0")
    return Version(tree, holder)


@pytest.fixture
def now() -> Version:
    return Version(ROOT, Path(os.environ["HOLDER_PATH"]))


@pytest.fixture
async def founded(before: Version) -> AsyncIterator[None]:
    """A database as the version before made it."""
    own = Own(DATABASE)
    await asyncio.to_thread(own.make)
    redis = re.sub(r"db=\d+", "db=9", os.environ["REDIS_URL"])
    with environment({"DATABASE_URL": own.url, "REDIS_URL": redis, "DEPLOYMENT": DATABASE}):
        await asyncio.to_thread(before.command, "migrate")
        await asyncio.to_thread(before.command, "seed", "--demo")
        yield
    await asyncio.to_thread(own.drop)


@pytest.fixture
async def make_user(founded: None) -> AsyncIterator[Callable[..., Any]]:
    """Of our database; their labs are gone before it is."""
    async with Database.connected(os.environ["DATABASE_URL"]) as database, people(Store.over(database)) as make:
        yield make


async def roll(fleet: Fleet, desks: list[Desk], version: Version, midway: Callable[[], Any]) -> None:
    """Every instance in its turn is another version's; `midway` when the first is."""
    for number, server in enumerate(fleet.servers):
        for desk in desks:
            desk.fault()
        await asyncio.to_thread(server.stop)
        version.run_by(server)
        await fleet.restart(server)
        for desk in desks:
            at = desk.reader.offset
            await desk.reader.when(lambda desk=desk, at=at: desk.reader.live and desk.reader.offset > at)
            desk.note()
        if number == 0:
            await midway()


async def test_old_and_new_serve_side_by_side_through_a_migration_and_back_and_nobody_loses_a_byte(
    before: Version,
    now: Version,
    make_user: Callable[..., Any],
    tmp_path: Path,
    told: Callable[[str, list[float]], None],
) -> None:
    own = {name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL", "DEPLOYMENT")}
    with Fleet.opened(tmp_path, 3, TREE=str(before.tree), HOLDER_PATH=str(before.holder), **own) as fleet:
        async with AsyncExitStack() as stack:
            desks: list[Desk] = []

            async def sit() -> None:
                student: User = await make_user(fleet.url)
                desks.append(await stack.enter_async_context(Desk.taken(student)))

            async def live_and_end() -> None:
                """A whole lab while both versions serve, by way of each instance."""
                for server in fleet.servers:
                    student: User = await make_user(fleet.url)
                    student.go_to(server.port)
                    session = await student.start("tiny-system")
                    async with student.page(await student.first_terminal(session), url=server.url) as page:
                        await page.expect("# ")
                        assert await ask(page, "echo mixed") == "mixed"
                    await student.end(session)

            await sit()
            await sit()
            # Old code on the new schema, shells of the old holder.
            assert newest().stem in await asyncio.to_thread(now.command, "migrate")
            await roll(fleet, desks, now, live_and_end)
            # New code everywhere; a lab of the new holder.
            await sit()
            # The way back: old code has shells of the new holder; then the schema goes back, too.
            await roll(fleet, desks, before, live_and_end)
            await asyncio.to_thread(now.command, "migrate", "--rollback", "1")
            await live_and_end()
            told("the longest silence of each instance's replacement", [s for desk in desks for s in desk.silences])
