"""Fuzzing the holder with libFuzzer (terminals/holder/fuzz): building, running and the kept corpus."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "terminals" / "holder"
BUILT = SOURCE / "build" / "fuzz"
"""Git ignores it: the targets, what they found new, and what made them crash."""
SHARES = {"holder": 6, "modes": 1, "frames": 1, "texts": 1, "arguments": 1}
"""The targets and their shares of the time: `holder` is the whole program, the others are its parsers."""
LONGEST_INPUT = 4_096
SLOW_S = 10
"""An input that takes longer is a finding."""
KEPT_FILES, KEPT_BYTES = 20, 40_000
"""Of corpus per target: the larger inputs first, for they reach the most; what is small a run finds again at once."""
FIGURES = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)/(\S+)")


@dataclass(frozen=True)
class Result:
    """What one target's run showed; `crash` is the end of its log when it found something."""

    target: str
    executions: int
    coverage: int
    features: int
    corpus: str
    crash: str

    def __str__(self) -> str:
        figures = f"{self.executions} executions, cov {self.coverage}, ft {self.features}, corpus {self.corpus}"
        return f"holder/{self.target}: {figures}" + (f"\n{self.crash}" if self.crash else "")


def build(out: Path = BUILT) -> None:
    command: list[str | Path] = ["make", "--silent", f"--jobs={os.cpu_count()}", "-C", SOURCE, f"OUT={out}", "fuzz"]
    subprocess.run(command, check=True, env={**os.environ, "MAKEFLAGS": "", "MAKELEVEL": ""})


def fuzz(seconds: float, *, merge_new: bool = False) -> int:
    """Every target for its share, printed; how many found something."""
    build()
    results = [run(name, seconds * share / sum(SHARES.values())) for name, share in SHARES.items()]
    print("\n".join(map(str, results)), flush=True)
    crashed = sum(bool(result.crash) for result in results)
    if merge_new and not crashed:
        print("\n".join(merge(name) for name in SHARES))
    return crashed


def kept(target: str) -> Path:
    return SOURCE / "fuzz" / "corpus" / target


def run(target: str, seconds: float, out: Path = BUILT) -> Result:
    """Fuzzes for so long, from the kept corpus and what earlier runs found in `out`."""
    corpus, crashes = out / "corpus" / target, out / "crashes"
    for folder in (corpus, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    command = [
        str(out / f"fuzz_{target}"),
        *(f"-max_total_time={max(1, round(seconds))}", f"-timeout={SLOW_S}", f"-max_len={LONGEST_INPUT}"),
        *("-print_final_stats=1", f"-artifact_prefix={crashes}/{target}-"),
        *(str(corpus), str(kept(target))),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds + 60, check=False)
    log = done.stdout.decode(errors="replace")
    coverage, features, inputs, size = (FIGURES.findall(log) or [("0", "0", "0", "0b")])[-1]
    executions = re.search(r"number_of_executed_units: (\d+)", log)
    return Result(
        target,
        int(executions[1]) if executions else 0,
        int(coverage),
        int(features),
        f"{inputs} inputs, {size}",
        "" if done.returncode == 0 else f"exit {done.returncode}, artefacts in {crashes}\n{log[-4000:]}",
    )


def merge(target: str, out: Path = BUILT) -> str:
    """Makes the kept corpus anew from itself and what runs found: each input of it reaches something that no other does."""
    merged = out / "merged" / target
    subprocess.run(["rm", "-rf", merged], check=True)
    merged.mkdir(parents=True)
    kept(target).mkdir(parents=True, exist_ok=True)
    command: list[str | Path] = [
        out / f"fuzz_{target}",
        "-set_cover_merge=1",
        f"-max_len={LONGEST_INPUT}",
        merged,
        kept(target),
    ]
    subprocess.run([*command, out / "corpus" / target], check=True, capture_output=True, timeout=600)
    for path in kept(target).iterdir():
        path.unlink()
    size = count = 0
    for path in sorted(merged.iterdir(), key=lambda path: path.stat().st_size, reverse=True):
        if count < KEPT_FILES and size + path.stat().st_size <= KEPT_BYTES:
            count, size = count + 1, size + path.stat().st_size
            path.rename(kept(target) / path.name[:16])
    return f"holder/{target}: {count} inputs are kept, {size} bytes"
