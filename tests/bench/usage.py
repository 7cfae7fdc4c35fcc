"""Usage: what processes cost: CPU time and memory, read from /proc."""

import os
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
KIB_PER_MIB = 1024


def children(pids: list[int]) -> list[int]:
    """All descendants, theirs too."""
    found: list[int] = []
    for pid in pids:
        for task in _listed(Path(f"/proc/{pid}/task")):
            below = _read(task / "children").split()
            found += [int(child) for child in below] + children([int(child) for child in below])
    return found


def lxd() -> list[int]:
    """The daemon that the tests use, and what it runs: one process for each exec, a monitor for each container."""
    folder = f"LXD_DIR={Path(os.environ['LXD_URL']).parent}"
    daemons = [pid for pid in _all() if _read(Path(f"/proc/{pid}/comm")).strip() == "lxd"]
    ours = [pid for pid in daemons if folder in _read(Path(f"/proc/{pid}/environ")).split("\0")]
    return sorted({*ours, *(pid for pid in children(ours) if _read(Path(f"/proc/{pid}/comm")).strip() == "lxd")})


def monitors() -> list[int]:
    """LXC's process above each container of the LXD that the tests use."""
    ours = f"[lxc monitor] {Path(os.environ['LXD_URL']).parent}/"
    return [pid for pid in _all() if _read(Path(f"/proc/{pid}/cmdline")).startswith(ours)]


def available() -> float:
    """MiB that the kernel could give to programs."""
    (line,) = (line for line in _read(Path("/proc/meminfo")).splitlines() if line.startswith("MemAvailable:"))
    return int(line.split()[1]) / KIB_PER_MIB


def processes() -> int:
    """How many there are on this machine."""
    return len(_all())


def _all() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdecimal()]


def holders() -> list[int]:
    """The containers' holders and their bridges, whatever binary they run from."""
    return [pid for pid in _all() if _read(Path(f"/proc/{pid}/comm")).startswith("holder")]


def cpu(pids: list[int]) -> float:
    """Seconds of CPU, user and system, ended children not included."""
    total = 0
    for pid in pids:
        after_name = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
        if after_name:
            total += int(after_name[11]) + int(after_name[12])
    return total * TICK_S


def pss(pids: list[int]) -> float:
    """MiB, shared pages divided among who shares them."""
    total = 0
    for pid in pids:
        for line in _read(Path(f"/proc/{pid}/smaps_rollup")).splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / KIB_PER_MIB


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:  # it ended meanwhile
        return []


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
        return ""
