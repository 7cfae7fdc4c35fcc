"""lxcfs: the right /proc/meminfo, uptime and CPU count inside containers. One per machine, shared by every LXD.

A running one is left alone, whoever started it. A second start on the same folder would break the first one.
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
    """Starts it if it doesn't answer; a dead one's mount goes first."""
    if answers():
        return "answers"
    dead = processes.stop(_ours, 5)
    if dead or _mounted():
        run("umount", "-l", FOLDER)
    PID_FILE.unlink(missing_ok=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    log = logs / "lxcfs.log"
    process = processes.start("lxcfs", f"--pidfile={PID_FILE}", FOLDER, log=log)
    processes.started(process, answers, START_SECONDS, log, "lxcfs")
    return "started"


def _mounted() -> bool:
    return any(line.split()[4] == str(FOLDER) for line in Path("/proc/self/mountinfo").read_text().splitlines())


def _ours(process: processes.Process) -> bool:
    return process.program == "lxcfs" and str(FOLDER) in process.arguments
