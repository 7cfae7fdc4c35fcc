"""lxcfs: the right /proc/meminfo, uptime and CPU count inside containers. One per machine, shared by every LXD.

A running one is kept, whoever started it: a second start on the same folder would break the first one. But it is made
read-only: without AppArmor a student's root, who needs only a folder /var/lib/lxcfs, could make cgroups through it.
"""

from pathlib import Path

from deploy import processes
from deploy.commands import run, works

FOLDER = Path("/var/lib/lxcfs")
PID_FILE = Path("/run/educenter-lxcfs.pid")
START_SECONDS = 10.0


def answers() -> bool:
    """Whether a file of it can be read."""
    return works("cat", FOLDER / "proc/meminfo", timeout=5)


def start(logs: Path) -> str:
    """Starts it if it doesn't answer; a dead one's mount goes first. Nobody has to write to it."""
    if answers():
        return _seal()
    dead = processes.stop(_ours, 5)
    if dead or _mounted():
        run("umount", "-l", FOLDER)
    PID_FILE.unlink(missing_ok=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    log = logs / "lxcfs.log"
    process = processes.start("lxcfs", f"--pidfile={PID_FILE}", "-o", "allow_other,ro", FOLDER, log=log)
    processes.started(process, answers, START_SECONDS, log, "lxcfs")
    return "started"


def _seal() -> str:
    """The file system itself, not only this mount of it: that holds in running containers, too."""
    if "ro" in _mounted().split(","):
        return "answers"
    run("mount", "-o", "remount,ro", FOLDER)
    return "answers, read-only now"


def _mounted() -> str:
    """The options of the file system that is mounted there; empty for none."""
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return next((words[-1] for words in lines if words[4] == str(FOLDER)), "")


def _ours(process: processes.Process) -> bool:
    return process.program == "lxcfs" and str(FOLDER) in process.arguments
