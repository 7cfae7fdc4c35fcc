"""Running other programs: quiet while they work, their last lines when they fail."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

TAIL_LINES = 15
SHOWN = 200  # characters of a command line in a message

_held: list[int] = []


class Failed(Exception):
    """A step went wrong: what it was about, why, and what the reader can do about it."""

    def __init__(self, why: str, todo: str = "", full: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.todo = todo
        self.full = full or why


def hold(fd: int) -> None:
    """Lets the build commands below inherit the set-up lock: whoever comes next waits for orphans of a killed one."""
    _held[:] = [fd]


def tail(text: str) -> str:
    """What matters of a program's output: the last lines, and the first ones, where compilers say it."""
    lines = text.rstrip().splitlines()
    if len(lines) > 2 * TAIL_LINES:
        lines = [*lines[:TAIL_LINES], "…", *lines[-TAIL_LINES:]]
    return "\n".join(lines)


def run(
    *command: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    user: str | None = None,
    timeout: float | None = None,
    locked: bool = False,
    todo: str = "",
) -> str:
    """Runs a program to its end and returns what it printed; Failed holds its last lines otherwise.

    `env` is added to ours. `locked` is for builders: they keep the set-up lock even when we are killed.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            input=stdin if stdin is not None else "",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            user=user,
            group=user,
            extra_groups=[] if user else None,
            timeout=timeout,
            pass_fds=_held if locked else [],
            check=False,
        )
    except FileNotFoundError as error:
        raise Failed(f"{words[0]}: {error.strerror}", todo) from error
    except subprocess.TimeoutExpired as error:
        printed = error.stdout.decode(errors="replace") if isinstance(error.stdout, bytes) else ""
        raise Failed(f"{_shown(words)}: no end after {timeout:.0f} s\n{tail(printed)}", todo) from error
    if done.returncode != 0:
        said = f"{_shown(words)}: exit {done.returncode}\n"
        raise Failed(said + tail(done.stdout), todo, said + done.stdout)
    return done.stdout


def works(*command: str | Path, env: Mapping[str, str] | None = None, timeout: float = 10) -> bool:
    """Whether the program ends well in time."""
    try:
        run(*command, env=env, timeout=timeout)
    except Failed:
        return False
    return True


def _shown(words: Sequence[str]) -> str:
    text = " ".join([Path(words[0]).name, *words[1:]])
    return text if len(text) < SHOWN else text[:SHOWN] + " …"
