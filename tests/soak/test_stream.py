"""Output: every byte of a long stream arrives once and in order, wherever and however often the path is cut."""

import hashlib
import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.client import User
from tests.conftest import lxc
from tests.soak import lab
from tests.soak.cuts import Cuts
from tests.soak.path import Path
from tests.soak.scale import times

BYTES = times(50_000_000)
CUTS = times(200)
WINDOW = 600_000
"""Bytes that may be under way: the last cut must come before the stream's end does."""
BEGIN, END = b"\r\nBEGIN\r\n", b"END\r\n"
MAKE = "import random, sys; sys.stdout.buffer.write(random.Random({seed}).randbytes({bytes}))"
"""Every byte from 0 to 255, broken UTF-8 and escape sequences without an end among them."""


@pytest.mark.timeout(60 + 5 * CUTS)
async def test_a_binary_stream_across_cuts_on_every_link_is_the_same_to_the_byte(
    path: Path, make_user: Callable[..., Any], chance: random.Random, aloud: Callable[[str], None]
) -> None:
    student: User = await make_user(path.url)
    async with lab.opened(student, chance) as (container, page):
        make = MAKE.format(seed=chance.randrange(2**32), bytes=BYTES)
        lxc("exec", container, "--", "sh", "-c", f"python3 -c '{make}' > /tmp/source")
        source = lxc("exec", container, "--", "sha256sum", "/tmp/source").split()[0]
        start = page.offset
        await page.allow(start)
        await page.type(
            "stty raw -echo; printf '\\r\\nBEG''IN\\r\\n'; cat /tmp/source; printf 'E''ND\\r\\n'; stty sane -echo\r"
        )
        cuts, began = Cuts(path, page, chance, 65_536), time.monotonic()
        places = sorted(chance.randrange(BYTES - WINDOW) for _ in range(CUTS))
        for place, kind in zip(places, cuts.draw(CUTS, times(8)), strict=True):
            await page.allow(max(page.offset, start + place))
            await page.when(lambda at=start + place: page.offset >= at)
            await page.allow(start + place + WINDOW // 2)
            await cuts.cut(kind)
        await page.allow(None)
        await page.when(lambda: END in page.output[-2000:], 120)
        at = page.output.index(BEGIN) + len(BEGIN)
        shown = bytes(page.output[at : at + BYTES])
        seconds = time.monotonic() - began
        aloud(f"{BYTES:,} bytes across {CUTS} cuts in {seconds:.0f} s; how long the page was away:\n{cuts.figures()}")
        assert len(shown) == BYTES
        assert set(shown) == set(range(256))
        assert hashlib.sha256(shown).hexdigest() == source
        assert page.output[at + BYTES :].startswith(END)
