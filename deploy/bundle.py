"""What is compiled: the front-end bundle (static/dist), the screen helper (static/helper), the holder. Each when changed."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from deploy.commands import run
from deploy.environment import Environment
from deploy.world import CHECKOUT, World

STATIC = CHECKOUT / "static"
DIST = STATIC / "dist"
SCREEN = STATIC / "helper"
MODULES = STATIC / "node_modules"
HOLDER = CHECKOUT / "terminals" / "holder"


def modules(made: Environment) -> str:
    """Installs static/node_modules from the lock file."""
    lock, stamp = _hash([STATIC / "package.json", STATIC / "package-lock.json"]), MODULES / ".installed"
    if stamp.exists() and stamp.read_text() == lock:
        return "cached"
    npm = (*made.npm, "ci", "--no-audit", "--no-fund", "--loglevel=error")
    run(*npm, cwd=STATIC, env=made.variables(), locked=True, todo="is npm's registry reachable? (npm ping)")
    stamp.write_text(lock)
    return "installed"


def bundle(made: Environment) -> str:
    """Builds static/dist and static/helper."""
    inputs = [path for path in STATIC.rglob("*") if path.is_file() and not {MODULES, DIST, SCREEN} & set(path.parents)]
    sources, stamp = _hash(inputs), MODULES / ".built"
    if stamp.exists() and stamp.read_text() == sources and all(any(built.glob("*")) for built in (DIST, SCREEN)):
        return "cached"
    stamp.unlink(missing_ok=True)
    run(*made.npm, "run", "--silent", "build", cwd=STATIC, env=made.variables(), locked=True)
    stamp.write_text(sources)
    return "built"


def holder_path(world: World) -> Path:
    """Where the holder of these very sources lies."""
    sources = [path for path in HOLDER.glob("*") if path.suffix in {".c", ".h"} or path.name == "Makefile"]
    return world.state / "holder" / _hash(sources) / "holder"


def holder(world: World) -> str:
    """Compiles the holder; every version has its own path, because a running binary can't be replaced."""
    path = holder_path(world)
    if path.exists():
        return "cached"
    path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    fresh = path.parent / "new"
    run("make", "--silent", "-C", HOLDER, f"OUT={fresh}", env={"MAKEFLAGS": "", "MAKELEVEL": ""}, locked=True)
    (fresh / "holder").replace(path)
    fresh.rmdir()
    return "compiled"


def _hash(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.relative_to(CHECKOUT)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
