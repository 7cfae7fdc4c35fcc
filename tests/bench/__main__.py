"""`make bench`: figures and ratios, ours beside a direct LXD exec and terminado in one run. No pass or fail on time.

`--quick` for a first look (CI runs it), `--only WORD` for one measurement, `--json FILE` for comparing commits.
"""

import argparse
import asyncio
import json
import os
import platform
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from tests.bench import bulk, clicks, costs, crowd, echo, labs, prompt, rivals, stall, watched
from tests.bench.figures import Rows, table
from tests.conftest import ROOT, Server

MB = 1_000_000
PER_LAB = 7
"""Terminals that one session may have beside its first."""
LAB_SPARE = 3
"""Labs for everything but the crowd: 20 streams, a neighbour and the one that is measured."""


def main() -> None:
    words = argparse.ArgumentParser(prog="make bench")
    words.add_argument("--quick", action="store_true", help="a tenth of the counts")
    words.add_argument("--only", default="", help="measurements whose name holds this")
    words.add_argument("--json", type=Path, help="write the figures here, too")
    options = words.parse_args()
    figures = asyncio.run(run(0.1 if options.quick else 1.0, options.only))
    if options.json:
        facts = {"cores": os.cpu_count(), "system": platform.release(), "python": platform.python_version()}
        options.json.write_text(json.dumps({"machine": facts, "figures": figures}, indent=2))


async def run(scale: float, only: str) -> dict[str, Rows]:
    """Prints each table as soon as it is there."""
    typists = max(PER_LAB, int(400 * scale))
    figures: dict[str, Rows] = {}
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        server = Server(Path(folder) / "log")
        server.start()
        stack.callback(server.stop)
        crowded = any(only in name for name in CROWD)
        people = await stack.enter_async_context(
            labs.students(server.url, max(LAB_SPARE, -(-typists // PER_LAB) if crowded else 0) + 1)
        )
        clicker, *people = people
        started = await stack.enter_async_context(labs.started(people))
        names = [labs.container(session) for _, session in started]
        product = rivals.Product(server, started)
        limit = await stack.enter_async_context(rivals.direct(names))
        peer = await stack.enter_async_context(rivals.terminado(names[0]))
        both, all_ = (product, limit), (product, limit, peer)
        measurements: dict[str, Callable[[], Awaitable[Rows]]] = {
            "echo, idle": lambda: echo.idle(all_, int(1000 * scale)),
            "echo beside 20 streams": lambda: echo.beside_streams(all_, int(600 * scale), 20, max(1, int(4 * scale))),
            "bulk": lambda: bulk.throughput(all_, int(50 * MB * scale), 3),
            "fidelity": lambda: bulk.fidelity(all_),
            "connect to prompt": lambda: prompt.connect(product, (limit, peer), max(5, int(30 * scale))),
            "click to prompt": lambda: prompt.click(product, clicker, max(3, int(20 * scale))),
            "click to prompt in Chromium": lambda: clicks.clicks(clicker, max(2, int(100 * scale))),
            "stalled client": lambda: stall.stalled(all_, max(5, 60 * scale), max(40, int(300 * scale))),
            "containers' costs": lambda: costs.costs(max(4, int(50 * scale))),
            "watched": lambda: watched.watched(product, server.url, int(600 * scale)),
            CROWD[0]: lambda: crowd.idle(all_, max(10, int(100 * scale))),
            CROWD[1]: lambda: crowd.typing(both, typists, max(4, 10 * scale)),
        }
        for name, measure in measurements.items():
            if only in name:
                figures[name] = await measure()
                await product.sweep()
                print(table({name: figures[name]}), end="\n\n", flush=True)
    return figures


CROWD = ("idle terminals", "typing terminals")

if __name__ == "__main__":
    os.chdir(ROOT)
    main()
