"""One target until its time is over: `python -m tests.fuzz.run TARGET CORPUS SECONDS`. Guided by coverage where atheris is."""

import random
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

LONGEST = 8192
"""Bytes of one input."""


def main() -> None:
    name, corpus, seconds = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    if find_spec("atheris") is None:
        # There is a wheel for x86-64 only.
        _random(_target(name), corpus, seconds)
        return
    import atheris  # noqa: PLC0415 - it is looked for above

    with atheris.instrument_imports(include=["terminals", "server"], enable_loader_override=False):
        target = _target(name)
    with tempfile.TemporaryDirectory() as found:
        words = [f"-max_total_time={seconds:.0f}", f"-max_len={LONGEST}", "-rss_limit_mb=1024", "-timeout=10"]
        crash = f"-artifact_prefix={tempfile.gettempdir()}/{name}-"
        atheris.Setup([sys.argv[0], *words, crash, found, str(corpus)], target)
        atheris.Fuzz()  # ends the process


def _target(name: str) -> Callable[[bytes], None]:
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - its imports are what is instrumented

    return TARGETS[name]


def _random(target: Callable[[bytes], None], corpus: Path, seconds: float) -> None:
    seeds = [path.read_bytes() for path in sorted(corpus.iterdir())]
    chance, runs, ends = random.Random(), 0, time.monotonic() + seconds
    while time.monotonic() < ends:
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(0, 8)):
            at = chance.randrange(len(data) + 1)
            match chance.randrange(3):
                case 0 if at < len(data):
                    data[at] = chance.randrange(256)
                case 1:
                    data[at:at] = chance.choice(seeds)[: chance.randint(1, 40)]
                case _:
                    del data[at : at + chance.randint(1, 10)]
        try:
            target(bytes(data))
        except BaseException:
            print("input:", bytes(data).hex(), file=sys.stderr)
            raise
        runs += 1
    print(f"#{runs} DONE cov: 0", file=sys.stderr)


if __name__ == "__main__":
    main()
