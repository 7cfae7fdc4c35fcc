"""Characters of several bytes and code points come out whole, wherever the stream is split or cut."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

from tests.browser.conftest import MakeLab, shared_loop
from tests.browser.lab import CLEARED, Lab
from tests.client import User
from tests.conftest import Server
from tests.e2e.test_main_job import MakeUser
from tests.proxy import Proxy

CUTS = 5
LINES = 120
TEXT = (
    "👩\u200d💻 woman at a laptop, 👨\u200d👩\u200d👧\u200d👦 family, 🏳️\u200d🌈 flag, 👍🏽 thumb, 🇫🇷🇩🇪 two flags, "
    "你好 世界, e\u0301a\u0308, नमस्ते, żółć, \x1b[1;32mgreen\x1b[0m \x1b[38;2;250;120;10m24 bits\x1b[0m"
)
# Writes byte by byte, so that a character is often split between two reads, and slowly enough to be cut meanwhile.
TRICKLE = """import os, time
data = open("text", "rb").read()
for at in range(len(data)):
    os.write(1, data[at:at + 1])
    at % 40 or time.sleep(0.01)
"""


@shared_loop
async def front(make_server: Callable[..., Server]) -> AsyncIterator[Proxy]:
    with Proxy(0) as proxy:
        server = make_server(PUBLIC_URL=f"http://127.0.0.1:{proxy.port}")
        await asyncio.to_thread(server.start)
        proxy.target = server.port
        yield proxy


async def test_text_in_single_bytes_and_cut_inside_characters_fills_the_same_cells(
    front: Proxy, make_user: MakeUser, make_lab: MakeLab
) -> None:
    seed = int(os.environ.get("SEED") or random.randrange(2**32))
    print(f"SEED={seed}")  # what a failure shows
    chance = random.Random(seed)
    url = f"http://127.0.0.1:{front.port}"
    student: User = await make_user(url)
    lab = await make_lab(url)
    lab.forgive("ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|WebSocket connection|ERR_CONNECTION_CLOSED")
    await lab.sign_in(student.email)
    await lab.start()
    lab.put("text", "".join(f"{number} {TEXT}\n" for number in range(LINES)))
    lab.put("trickle.py", TRICKLE)
    lab.put("show", "cat text\n")
    smooth = await _shown(lab)
    assert any("👩\u200d💻/2/" in row for row in smooth["rows"])
    lab.put("show", "python3 trickle.py\n")
    front.slivers = 1 << 40
    rough, cuts = await asyncio.gather(_shown(lab), _cut(lab, front, chance))
    print(f"cut after these bytes: {cuts}")
    assert len(rough["rows"]) == len(smooth["rows"])
    for was, now in zip(smooth["rows"], rough["rows"], strict=True):
        assert now.split() == was.split()
    assert rough == smooth


async def _shown(lab: Lab) -> dict[str, Any]:
    """The screen after the same words on an empty screen."""
    await lab.prompt()
    await lab.type("clear\n")
    await lab.page.wait_for_function(CLEARED)
    await lab.prompt()
    await lab.type("sh show; echo over''all\n")
    await lab.row("^overall$", 60_000)
    await lab.prompt()
    return await lab.screen()


async def _cut(lab: Lab, front: Proxy, chance: random.Random) -> list[int]:
    """Cuts what goes to the page, again and again as soon as text comes; after how many bytes."""
    await lab.row("^1 👩", 60_000)
    found = []
    for _ in range(CUTS):
        await lab.until_state("live")
        found.append(chance.randrange(100, 1000))
        trouble = front.arm("down", found[-1], chance.choice(("reset", "end")))
        assert await asyncio.to_thread(trouble.happened.wait, 20), "the text was over before the cuts were"
        await lab.until_state("reconnecting")
    return found
