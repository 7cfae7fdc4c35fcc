"""Fuzzing the server's decoders: each target of targets.py in a process of its own."""

import re
import subprocess
import sys
from pathlib import Path

NAMES = ("decoder", "holder", "browser", "wire", "tickets")
FOLDER = Path(__file__).parent
SLACK_S = 60
"""Beyond its time: imports, seeds and the last input."""


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
    verdict = "FOUND SOMETHING" if found else "no finding"
    print(f"server/{name}: {runs} executions, coverage {coverage}, {seconds} s, {verdict}", flush=True)
    if found:
        print(ended.stdout[-3000:], ended.stderr[-4000:], sep="\n")
    return int(found)
