"""`make fuzz`: every target of tests/fuzz/targets.py for a share of `--seconds`. Ends with 1 when one found something."""

import argparse
import re
import subprocess
import sys
from pathlib import Path

NAMES = ("decoder", "holder", "browser", "tickets")
FOLDER = Path(__file__).parent
SLACK_S = 60
"""Beyond its time: imports, seeds and the last input."""


def main() -> int:
    words = argparse.ArgumentParser(prog="make fuzz")
    words.add_argument("--seconds", type=float, default=60, help="in all")
    words.add_argument("--target", choices=NAMES, action="append", help="only this one (may be given again)")
    options = words.parse_args()
    wanted = options.target or NAMES
    seconds = max(1, round(options.seconds / len(wanted)))
    return max([fuzz(name, seconds) for name in wanted])


def fuzz(name: str, seconds: int) -> int:
    """Prints what was done and found; 1: something was."""
    command = [sys.executable, "-m", "tests.fuzz.run", name, str(FOLDER / "corpus" / name), str(seconds)]
    ended = subprocess.run(
        command, cwd=FOLDER.parent.parent, capture_output=True, text=True, errors="replace",
        timeout=seconds + SLACK_S, check=False,
    )  # fmt: skip
    last = re.findall(r"^#(\d+)\s+\w+.*?cov: (\d+)", ended.stderr, re.MULTILINE)
    runs, coverage = last[-1] if last else ("0", "0")
    found = ended.returncode != 0 or int(runs) == 0
    print(
        f"{name}: {runs} executions, coverage {coverage}, {seconds} s, {'FOUND SOMETHING' if found else 'no finding'}"
    )
    if found:
        print(ended.stdout[-3000:], ended.stderr[-4000:], sep="\n")
    return int(found)


if __name__ == "__main__":
    sys.exit(main())
