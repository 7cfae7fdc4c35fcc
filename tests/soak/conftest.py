"""What the soak's tests share: the path that is cut, and the chance that is drawn anew in each run. SEED=… repeats one."""

import os
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path as Folder

import pytest

from tests.conftest import Server
from tests.soak.path import Path


@pytest.fixture
async def path(make_server: Callable[..., Server], tmp_path: Folder) -> AsyncIterator[Path]:
    async with Path.opened(make_server, tmp_path) as opened:
        yield opened


@pytest.fixture
def chance(aloud: Callable[[str], None]) -> random.Random:
    seed = int(os.environ.get("SEED") or random.randrange(2**32))
    aloud(f"SEED={seed}")
    print(f"SEED={seed}")  # beside a failure
    return random.Random(seed)
