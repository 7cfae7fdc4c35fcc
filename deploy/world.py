"""Where everything of a world lies, and the variables that lead there.

`run` is what `make run` serves, `test` is the tests' own, and `test-2` is another one for tests that run beside those. They
share what is built (environment, bundle, holder, images) and the LXD daemon, each with its own project in it.
"""

import os
import secrets
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.commands import Failed

CHECKOUT = Path(__file__).resolve().parent.parent
DEFAULT_STATE = "/var/lib/educenter"
TESTS = ("test", "test-2")
"""The tests' worlds: the first is for all that runs alone."""
LONGEST = 60  # bytes; a socket's path (test/postgres/.s.PGSQL.5432 and the like) stays below 100


@dataclass(frozen=True)
class World:
    """One of the worlds."""

    name: str
    state: Path

    @property
    def root(self) -> Path:
        """Its own services: database, Redis, variables."""
        return self.state if self.name == "run" else self.state / self.name

    @property
    def postgres(self) -> Path:
        """Its PostgreSQL."""
        return self.root / "postgres"

    @property
    def redis(self) -> Path:
        """Its Redis."""
        return self.root / "redis"

    @property
    def lxd(self) -> Path:
        """The LXD daemon, one for all."""
        return self.state / "lxd"

    @property
    def project(self) -> str:
        """Its project in LXD."""
        return "educenter" if self.name == "run" else f"educenter-{self.name}"

    @property
    def door(self) -> Path:
        """Where the containers' holders meet the server."""
        return self.root / "door"

    @property
    def logs(self) -> Path:
        """Logs of what has no folder of its own."""
        return self.state / "logs"

    @property
    def env_file(self) -> Path:
        """Its variables, for other programs."""
        return self.root / "env"


def world(name: str) -> World:
    """The world under EDUCENTER_STATE, its folders made and checked."""
    if os.geteuid() != 0:
        raise Failed("this sets up services and containers and must run as root", "sudo make …")
    state = Path(os.path.realpath(os.environ.get("EDUCENTER_STATE") or DEFAULT_STATE))
    if len(os.fsencode(state)) > LONGEST:
        raise Failed(f"EDUCENTER_STATE={state} is longer than {LONGEST} bytes: sockets would not fit", "shorten it")
    if state == CHECKOUT or CHECKOUT in state.parents:
        raise Failed(f"EDUCENTER_STATE={state} lies in the checkout", f"use {DEFAULT_STATE} or another path outside")
    for parent in reversed(state.parents):
        parent.mkdir(mode=0o755, exist_ok=True)
        if not parent.stat().st_mode & stat.S_IXOTH:
            raise Failed(
                f"{parent} is closed to other users, so containers and PostgreSQL can't reach {state}",
                f"chmod o+x {parent}, or set EDUCENTER_STATE to a path whose parents are open",
            )
    found = World(name, state)
    for folder in (state, found.root, found.logs, found.door):
        folder.mkdir(mode=0o711, exist_ok=True)
        folder.chmod(0o711)
    return found


def read(path: Path) -> dict[str, str]:
    """NAME=value lines; empty when there is no file."""
    if not path.exists():
        return {}
    lines = (line.partition("=") for line in path.read_text().splitlines() if "=" in line)
    return {name: value for name, _, value in lines}


def write(path: Path, variables: dict[str, str]) -> None:
    """Replaces the file in one go; only root may read it."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w") as file:
        file.writelines(f"{name}={value}\n" for name, value in variables.items())
    fresh.replace(path)


def secret(found: World) -> str:
    """The signing key, drawn once per world."""
    return read(found.env_file).get("SECRET_KEY") or secrets.token_urlsafe(48)


def say(text: str) -> None:
    """A line for the reader, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
