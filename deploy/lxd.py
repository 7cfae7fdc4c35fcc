"""A private LXD daemon in a folder (its LXD_DIR), beside any other on the machine: makes it answer, and stops it.

What is in it (project, pool, profile, templates) is `python -m server lxd setup`'s business.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from deploy import mounts, processes
from deploy.commands import Failed, works
from deploy.lxd_api import Api

START_SECONDS = 40.0
# A daemon that got SIGTERM waits up to 30 s for its open execs while its socket is gone already.
LEAVING_SECONDS = 35.0
STOP_SECONDS = 30
FREEZER = Path("/sys/fs/cgroup/freezer")


def url(folder: Path) -> str:
    """What LXD_URL says."""
    return str(folder / "unix.socket")


def ask(address: str) -> None:
    """Fails unless it answers and trusts us."""
    if Api(address).get("/1.0")["auth"] != "trusted":
        raise Failed(
            "it answers but does not trust our certificate", "lxc config trust add CERTIFICATE, on that machine"
        )


def answers(address: str) -> bool:
    """Whether it answers."""
    try:
        ask(address)
    except Failed:
        return False
    return True


def running(folder: Path) -> bool:
    """Whether there is a daemon of this folder, answering or not."""
    return bool(processes.find(_daemon(folder)))


def start(folder: Path, within: Sequence[str] = ()) -> str:
    """Starts it if it doesn't answer. Safe after a SIGKILL of it, of its monitors, and after a reboot.

    `within`: a command that runs it in a namespace.
    """
    if answers(url(folder)):
        return "answers"
    _check(folder)
    ours = _daemon(folder)
    if not processes.wait_for(lambda: not processes.find(ours) or answers(url(folder)), LEAVING_SECONDS):
        processes.stop(ours, 5)
    if answers(url(folder)):
        return "answers"
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    thawed = thaw_orphans(folder)
    logs = folder / "logs"
    logs.mkdir(mode=0o700, exist_ok=True)
    log = logs / "daemon.log"
    process = processes.start(*within, "lxd", "--logfile", logs / "lxd.log", log=log, env=_environment(folder))
    processes.started(process, lambda: _ready(folder), START_SECONDS, log, "LXD")
    return f"started, {thawed} frozen orphans released" if thawed else "started"


def stop(folder: Path) -> None:
    """Stops its containers, then itself; takes apart what a killed one left."""
    ours = _daemon(folder)
    if answers(url(folder)):
        works("lxd", "shutdown", "--timeout", str(STOP_SECONDS), env=_environment(folder), timeout=STOP_SECONDS + 15)
        processes.wait_for(lambda: not processes.find(ours), 10)
    processes.stop(ours, 10)
    thaw_orphans(folder)
    processes.stop(_monitor(folder), 5)
    mounts.release(folder)


def thaw_orphans(folder: Path) -> int:
    """Thaws containers of ours that were frozen when their monitor was killed (cgroup v1).

    Their processes can't die while frozen, and LXD would start a second init on the same root.
    """
    monitors = {process.pid for process in processes.find(_monitor(folder))}
    thawed = 0
    for state in FREEZER.glob("lxc.payload.*/freezer.state"):  # by what is in it: LXD may have numbered its name
        inside = _inside(state.parent) if _frozen(state) else []
        if _rooted(inside, folder) and not any(monitors & set(processes.ancestors(pid)) for pid in inside):
            state.write_text("THAWED")
            thawed += 1
    return thawed


def _frozen(state: Path) -> bool:
    try:
        return state.read_text().strip() != "THAWED"
    except OSError:
        return False


def _inside(group: Path) -> list[int]:
    try:
        return [int(pid) for pid in (group / "cgroup.procs").read_text().split()]
    except OSError:
        return []


def _rooted(pids: list[int], folder: Path) -> bool:
    """Whether a process has its root in a pool of ours: another LXD may use the same names."""
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines():
                fields, _, rest = line.partition(" - ")
                if fields.split()[4] == "/":
                    file = mounts.backing(rest.split()[1])
                    return file is not None and file.is_relative_to(folder)
    return False


def _ready(folder: Path) -> bool:
    return answers(url(folder)) and works("lxd", "waitready", "--timeout", "5", env=_environment(folder))


def _check(folder: Path) -> None:
    if shutil.which("lxd") is None:
        raise Failed("lxd is not installed", "apt-get install lxd lxd-client")
    if len(os.fsencode(folder / "unix.socket")) > 100:  # noqa: PLR2004 - a unix socket's path has 108 bytes
        raise Failed(f"{folder} is too long for a unix socket", "set EDUCENTER_STATE to a shorter path")


def _environment(folder: Path) -> dict[str, str]:
    return {"LXD_DIR": str(folder)}


def _daemon(folder: Path) -> Callable[[processes.Process], bool]:
    def match(process: processes.Process) -> bool:
        daemon = process.program == "lxd" and "--logfile" in process.arguments
        return daemon and process.variable("LXD_DIR") == str(folder)

    return match


def _monitor(folder: Path) -> Callable[[processes.Process], bool]:
    title = f"[lxc monitor] {folder}/containers "
    return lambda process: process.arguments[0].startswith(title)
