"""Network namespaces of the tests: found by the state folder that they belong to, and removed with all that is in them."""

import hashlib
import shutil
from pathlib import Path

from deploy import processes
from deploy.commands import run

SEEN = Path("/run/netns")
FILES = Path("/etc/netns")
"""A folder for each, of files that stand in for those in /etc."""


def of(state: Path) -> tuple[str, str]:
    """Of a state folder: one for its lab host, one for the rest of the internet."""
    mark = hashlib.sha256(str(state).encode()).hexdigest()[:6]
    return f"edu-island-{mark}", f"edu-sea-{mark}"


def remove(name: str) -> None:
    """Idempotent. Bridges and cables go with it."""
    if (SEEN / name).exists():
        inside = {int(pid) for pid in run("ip", "netns", "pids", name).split()}
        processes.stop(lambda process: process.pid in inside, 5)
        run("ip", "netns", "del", name)
    shutil.rmtree(FILES / name, ignore_errors=True)
