"""Our daemons as processes: start one detached, find it again in /proc, stop it, and never touch another's.

No pid files: after a SIGKILL or a reboot they lie. A process is found by what it is (program, folder, arguments)
and signalled through a pidfd that was opened before the check, so a reused pid can't be hit.
"""

import contextlib
import os
import resource
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.commands import Failed, tail

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """One look at /proc/PID."""

    pid: int
    program: str
    arguments: tuple[str, ...]
    folder: str

    def variable(self, name: str) -> str | None:
        """A variable of the environment it was started with."""
        prefix = f"{name}="
        for item in _read(self.pid, "environ").split("\0"):
            if item.startswith(prefix):
                return item.removeprefix(prefix)
        return None


Match = Callable[[Process], bool]


def find(match: Match) -> list[Process]:
    """All living processes that match; zombies are dead."""
    return [process for process in _all() if match(process)]


def ancestors(pid: int) -> list[int]:
    """Its parent, the parent's parent, and so on."""
    found: list[int] = []
    while len(fields := _read(pid, "stat").rpartition(")")[2].split()) > 1 and int(fields[1]) > 0:
        pid = int(fields[1])
        found.append(pid)
    return found


def start(
    *command: str | Path,
    log: Path,
    env: Mapping[str, str] | None = None,
    user: str | None = None,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Starts a daemon in its own session, output to the log file, so that neither Ctrl-C nor our end reaches it."""
    soft_and_hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(env or {})},
            user=user,
            group=user,
            extra_groups=[] if user else None,
            cwd=cwd or Path("/"),
            start_new_session=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft_and_hard, soft_and_hard)),  # noqa: PLW1509 - only a system call
        )


def stop(match: Match, patience: float) -> int:
    """SIGTERM to each that matches, SIGKILL to those left after `patience` seconds. How many there were."""
    signalled = 0
    for process in find(match):
        signalled += _end(process.pid, match, patience)
    return signalled


def wait_for(answers: Callable[[], bool], seconds: float, pause: float = 0.05) -> bool:
    """Asks again and again until the answer is yes or the time is over."""
    deadline = time.monotonic() + seconds
    while not answers():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def started(
    process: subprocess.Popen[bytes], answers: Callable[[], bool], seconds: float, log: Path, name: str
) -> None:
    """Waits until the daemon answers; says what its log says when it ends or stays silent."""
    if wait_for(lambda: answers() or process.poll() is not None, seconds) and answers():
        return
    state = "does not answer" if process.poll() is None else f"ended with {process.returncode}"
    said = tail(log.read_text(errors="replace")) if log.exists() else ""
    raise Failed(f"{name} {state} after its start\n{said}", f"look into {log}")


def _end(pid: int, match: Match, patience: float) -> bool:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        process = _look(pid)
        if process is None or not match(process):
            return False
        for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
            if select.select([handle], [], [], seconds)[0]:
                return True
        raise Failed(f"{process.program} (pid {pid}) does not die from SIGKILL", "look at its state with ps")
    finally:
        os.close(handle)


def _all() -> Iterator[Process]:
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            process = _look(int(entry.name))
            if process is not None:
                yield process


def _look(pid: int) -> Process | None:
    try:
        program = (PROC / str(pid) / "exe").readlink().name.removesuffix(" (deleted)")
        folder = str((PROC / str(pid) / "cwd").readlink())
    except OSError:
        return None
    arguments = tuple(_read(pid, "cmdline").rstrip("\0").split("\0"))
    state = _read(pid, "stat").rpartition(")")[2].split()
    return Process(pid, program, arguments, folder) if state and state[0] not in "ZX" else None


def _read(pid: int, name: str) -> str:
    try:
        return (PROC / str(pid) / name).read_text(errors="replace")
    except OSError:
        return ""
