"""Bulk: a file through the terminal, its checksum compared; bytes 0–255 and UTF-8 exact or not; CPU per MB."""

import asyncio
import hashlib
import random
import time
from collections.abc import Sequence
from typing import Any

from tests.bench import usage
from tests.bench.echo import settle
from tests.bench.figures import LIMIT, Rows
from tests.bench.lines import Line, until
from tests.bench.rivals import Rival

MB = 1_000_000
MAKE = (
    "import random,sys;r=random.Random({seed});"
    "sys.stdout.buffer.write(b''.join(r.randbytes(57).hex().encode()+b'\\n' for _ in range({lines})))"
)
LINE_BYTES = 115
BINARY = "import sys;sys.stdout.buffer.write(bytes(range(256))*2000)"
UTF8 = "import sys;sys.stdout.buffer.write('aé你👩‍💻\\n'.encode()*20000)"


async def throughput(rivals: Sequence[Rival], size: int, rounds: int) -> Rows:
    """MB/s from the first byte to the last, rivals in turn; LXD's and the server's CPU per MB."""
    speeds: dict[str, list[float]] = {rival.name: [] for rival in rivals}
    spent: dict[str, list[list[float]]] = {rival.name: [] for rival in rivals}
    exact: dict[str, int] = dict.fromkeys(speeds, 0)
    lines = {rival.name: await ready(rival) for rival in rivals}
    expected = _made(size)
    for line in lines.values():
        await _run(line, f'python3 -c "{MAKE.format(seed=1, lines=size // LINE_BYTES)}" > /tmp/bulk')
    for _ in range(rounds):
        for rival in rivals:
            helpers = usage.children(rival.pids)
            lxd = usage.lxd()
            before = [usage.cpu(pids) for pids in (rival.pids, helpers, lxd)]
            seconds, digest, count = await transfer(lines[rival.name], "cat /tmp/bulk")
            after = [usage.cpu(pids) for pids in (rival.pids, helpers, lxd)]
            speeds[rival.name].append(count / MB / seconds)
            spent[rival.name].append([(b - a) * 1000 / (count / MB) for a, b in zip(before, after, strict=True)])
            exact[rival.name] += digest == expected
    for line in lines.values():
        await line.close()
    base = _median(speeds.get(LIMIT, [1.0]))
    rows: Rows = {}
    for name, values in speeds.items():
        server, helpers_ms, lxd_ms = (_median([spending[i] for spending in spent[name]]) for i in range(3))
        rows[name] = {
            "MB/s": round(_median(values), 2),
            "ratio": round(_median(values) / base, 2),
            "exact": f"{exact[name]}/{rounds}",
            "server CPU ms/MB": round(server, 1),
            "helpers CPU ms/MB": round(helpers_ms, 1),
            "LXD CPU ms/MB": round(lxd_ms, 1),
        }
    return rows


async def fidelity(rivals: Sequence[Rival]) -> Rows:
    """Whether what a program writes is what arrives."""
    wanted = {"bytes 0–255": bytes(range(256)) * 2000, "UTF-8": "aé你👩‍💻\n".encode() * 20000}
    programs = {"bytes 0–255": BINARY, "UTF-8": UTF8}
    rows: Rows = {}
    for rival in rivals:
        line, row = await ready(rival), dict[str, Any]()
        for what, data in wanted.items():
            _, digest, count = await transfer(line, f'python3 -c "{programs[what]}"')
            row[what] = "exact" if digest == hashlib.sha256(data).hexdigest() else f"{count} of {len(data)} bytes"
        rows[rival.name] = row
        await line.close()
    return rows


async def transfer(line: Line, command: str) -> tuple[float, str, int]:
    """(seconds from the first byte to the last, SHA-256, bytes) of what the command prints, the tty left out of it."""
    # The marks are split in what is typed, for the shell echoes it; zeros would be lost in no terminal.
    await line.send(f"stty -opost; printf 'BE''GIN'; {command}; printf 'EN''D'; stty opost\r".encode())
    first = await until(line, b"BEGIN")
    began = time.perf_counter()
    parts = [first.partition(b"BEGIN")[2]]
    while b"END" not in (parts[-2][-2:] if len(parts) > 1 else b"") + parts[-1]:
        parts.append(await line.receive())
    seconds = time.perf_counter() - began
    data = b"".join(parts)
    data = data[: data.rindex(b"END")]
    await settle(line)
    return seconds, hashlib.sha256(data).hexdigest(), len(data)


async def ready(rival: Rival) -> Line:
    """A shell at its prompt."""
    line = await rival.line()
    await until(line, b"$ ")
    await settle(line)
    return line


async def _run(line: Line, command: str) -> None:
    await line.send(f"{command}; echo DO''NE\r".encode())
    async with asyncio.timeout(120):
        await until(line, b"DONE\r\n")
    await settle(line)


def _made(size: int) -> str:
    """What MAKE makes, without the container."""
    chance = random.Random(1)
    digest = hashlib.sha256()
    for _ in range(size // LINE_BYTES):
        digest.update(chance.randbytes(57).hex().encode() + b"\n")
    return digest.hexdigest()


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]
