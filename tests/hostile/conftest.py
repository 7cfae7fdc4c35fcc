"""One server, one neighbour and one hostile student for all tests of this folder."""

import os
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from terminals.store import Store
from terminals.store.database import Database
from tests.conftest import Server, people
from tests.e2e.test_main_job import shell
from tests.hostile.lab import Lab, Neighbour


@pytest.fixture(scope="module")
def harmed(seeded: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("hostile") / "log")
    running.start()
    yield running
    running.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(harmed: Server) -> AsyncIterator[Lab]:
    async with Database.connected(os.environ["DATABASE_URL"]) as database:
        store = Store.over(database)
        async with people(store) as make_user:
            _, page = await shell(await make_user(harmed.url), "tiny-system")
            made = Lab(harmed, store, make_user, Neighbour(page))
            yield made
            await made.end()
            await page.leave()
