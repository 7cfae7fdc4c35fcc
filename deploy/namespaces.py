"""Network namespaces of the tests: found by the state folder that they belong to, and removed with all that is in them."""

import hashlib
import shutil
from pathlib import Path

from deploy import processes
from deploy.commands import run

SEEN = Path("/run/netns")
FILES = Path("/etc/netns")
"""A folder for each, of files that stand in for those in /etc."""
LINKS = Path("/sys/class/net")
MEMBERS = ("n1", "n2", "n3")
"""Of the tests' LXD cluster."""


def of(state: Path) -> tuple[str, str]:
    """Of a state folder: one for its lab host, one for the rest of the internet."""
    return f"edu-island-{_mark(state)}", f"edu-sea-{_mark(state)}"


def remove(name: str) -> None:
    """Idempotent. Bridges and cables go with it."""
    if (SEEN / name).exists():
        inside = {int(pid) for pid in run("ip", "netns", "pids", name).split()}
        processes.stop(lambda process: process.pid in inside, 5)
        run("ip", "netns", "del", name)
    shutil.rmtree(FILES / name, ignore_errors=True)


def members(state: Path) -> tuple[str, ...]:
    """Of a state folder: one for each member of the tests' LXD cluster; what they hang on is called as `bridge` says."""
    return tuple(f"{bridge(state)}-{name}" for name in MEMBERS)


def bridge(state: Path) -> str:
    """In the host's own namespace: the network that joins the cluster's members."""
    return f"educl{_mark(state)}"


def subnet(state: Path) -> str:
    """Its addresses begin so: two worlds' clusters may run at the same time."""
    return f"10.97.{int(_mark(state), 16) % 250}"


def cable(state: Path, member: str) -> str:
    """The bridge's end of a member's cable."""
    return f"{bridge(state)}{MEMBERS.index(member)}"


def unbridge(state: Path) -> None:
    """Removes it, and the cables. Idempotent."""
    # A namespace goes, with its end of the cable, only when its last process is reaped.
    for name in (*(cable(state, member) for member in MEMBERS), bridge(state)):
        if (LINKS / name).exists():
            run("ip", "link", "del", name)


def _mark(state: Path) -> str:
    return hashlib.sha256(str(state).encode()).hexdigest()[:6]
