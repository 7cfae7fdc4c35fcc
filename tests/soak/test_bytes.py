"""Bytes: all 256 of them, and characters split anywhere, both ways, in slivers of one byte and across cuts."""

import hashlib
import random
from collections.abc import Callable
from typing import Any

from tests.client import User
from tests.conftest import lxc
from tests.soak import lab
from tests.soak.cuts import Cuts
from tests.soak.path import Path
from tests.soak.scale import times

BYTES = times(200_000)
CUTS = times(50)
SLIVERS = 3_000
TEXT = "🏳️\u200d🌈👩\u200d💻 你好 e\u0301 नि \U0001f469\U0001f3fd\u200d🚀 żółć\r\n".encode()
KINDS = ("browser", "browser-rough", "lxd", "bridge", "takeover")


async def test_every_byte_goes_in_and_out_unchanged_in_slivers_and_across_cuts(
    path: Path, make_user: Callable[..., Any], chance: random.Random
) -> None:
    student: User = await make_user(path.url)
    sent = bytes(range(256)) + TEXT * 20 + chance.randbytes(BYTES)
    async with lab.opened(student, chance) as (container, page):
        await page.type(
            f"stty raw -echo; printf 'RE''ADY'; head -c {len(sent)} | tee /tmp/got; stty sane -echo; printf 'OV''ER'\r"
        )
        await page.when(lambda: b"READY" in page.output)
        start = page.output.index(b"READY") + len(b"READY")
        cuts = Cuts(path, page, chance, 1_000)
        at, number = 0, 0
        while at < len(sent):
            size = chance.choice((1, 2, 3, 7, chance.randrange(1, 8_000)))
            await page.type(sent[at : at + size])
            at += size
            if at * CUTS // len(sent) > number:
                number += 1
                path.front.slivers = path.lxd.slivers = SLIVERS
                await cuts.cut(chance.choice(KINDS))
        await page.when(lambda: page.output.endswith(b"OVER") or b"OVER" in page.output[start + len(sent) :])
        digest = hashlib.sha256(sent).hexdigest()
        assert lxc("exec", container, "--", "sha256sum", "/tmp/got").split()[0] == digest
        assert hashlib.sha256(page.output[start : start + len(sent)]).hexdigest() == digest
