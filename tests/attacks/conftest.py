"""One server, one neighbour who types and one hostile student for all attacks, and the table of what came of them."""

import os
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from terminals.store import Store
from terminals.store.database import Database
from tests.attacks.arena import ROWS, Arena
from tests.conftest import Server, people
from tests.e2e.test_main_job import shell
from tests.hostile.lab import Neighbour


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if rows := config.stash.get(ROWS, []):
        terminalreporter.section("attacks")
        for row in [("attack", "limit", "what the attacker sees", "a neighbour's echo p50/p95/max, ms"), *rows]:
            terminalreporter.write_line("{:<28} {:<34} {:<60} {}".format(*row))


@pytest.fixture(scope="module")
def attacked(seeded: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("attacks") / "log")
    running.start()
    yield running
    running.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def arena(attacked: Server, pytestconfig: pytest.Config) -> AsyncIterator[Arena]:
    async with Database.connected(os.environ["DATABASE_URL"]) as database:
        store = Store.over(database)
        async with people(store) as make_user:
            _, page = await shell(await make_user(attacked.url), "tiny-system")
            rows = pytestconfig.stash.setdefault(ROWS, [])
            made = Arena(attacked, store, await make_user(attacked.url), Neighbour(page), rows)
            await made.open()
            yield made
            await made.leave()
            await page.leave()
