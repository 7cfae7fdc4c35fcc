"""Stopping what runs and removing what was made. Only ours: found by folder, never by name alone."""

import shutil

from deploy import bundle, lock, lxd, mounts, namespaces, postgres, processes, redisd
from deploy.commands import run
from deploy.world import CHECKOUT, TESTS, World, say

SERVER_SECONDS = 15.0
CACHES = (".ruff_cache", ".mypy_cache", ".pytest_cache", ".hypothesis")
MARK = "EDUCENTER_WORLD"


def stop(world: World) -> None:
    """The servers that make run started, then all worlds' services. Data stays."""
    with lock.locked(world.state / "lock", "setting up"):
        _stop(world)
    say("Stopped; `make run` starts it again.")


def clean(world: World) -> None:
    """Stops everything and removes the state folder and what was built in the checkout. Debian's packages stay."""
    with lock.locked(world.state / "lock", "setting up"):
        _stop(world)
        mounts.release(world.state)
        for folder in (bundle.DIST, bundle.SCREEN, bundle.MODULES, *(CHECKOUT / name for name in CACHES)):
            shutil.rmtree(folder, ignore_errors=True)
        # --one-file-system: should a mount have stayed after all, what it leads to is not ours to delete.
        run("rm", "-rf", "--one-file-system", world.state)
    say(f"Removed {world.state} and what was built in {CHECKOUT}.")


def _stop(world: World) -> None:
    processes.stop(lambda process: serves(process) == str(world.state), SERVER_SECONDS)
    tests = world.state / "test"
    # The last two are what the tests kill and start: a killed test run leaves them behind.
    for root in (world.state, *(world.state / name for name in TESTS), tests / "recovery", tests / "chaos"):
        postgres.stop(root / "postgres")
        redisd.stop(root / "redis")
        lxd.stop(root / "lxd")
    for name in ("island", "unarmed"):
        lxd.stop(world.state / name)
    for name in namespaces.MEMBERS:
        lxd.stop(world.state / "cluster" / name)
    for namespace in (*namespaces.of(world.state), *namespaces.members(world.state)):
        namespaces.remove(namespace)
    namespaces.unbridge(world.state)


def serves(process: processes.Process) -> str | None:
    """The state folder of the world it serves, if it is a server that make run started."""
    return process.variable(MARK) if "serve" in process.arguments else None
