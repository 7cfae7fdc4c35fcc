"""One set-up at a time per state folder, and one test run."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from deploy.world import say


@contextlib.contextmanager
def locked(path: Path, doing: str) -> Iterator[int]:
    """Holds the file's lock, waiting with a message while another process has it; the kernel frees it at our death."""
    told = False
    while True:
        path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    say(f"Waiting: another one is {doing} ({path} is locked)")
                told = True
                fcntl.flock(file, fcntl.LOCK_EX)
            if path.exists() and path.samefile(f"/proc/self/fd/{file}"):  # not the one that make clean just removed
                yield file
                return
        finally:
            os.close(file)
