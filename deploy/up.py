"""Setting a world up: from nothing, or from whatever a SIGKILL or a reboot left, to services that answer."""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from deploy import bundle, commands, image, lock, lxcfs, lxd, packages, postgres, quotas, redisd
from deploy import environment as environments
from deploy.commands import Failed, run
from deploy.environment import Environment
from deploy.lxd_api import Api
from deploy.steps import WIDTH, Plan
from deploy.world import CHECKOUT, World, say, secret, write

GIB = 1 << 30
OPTIONAL = ("LXD_CERT", "LXD_KEY", "LXD_SERVER_CERT", "HOST")  # told to the server only when given
POOL_MOST, POOL_LEAST, POOL_SHARE = 30, 8, 0.4  # GiB, GiB, part of the free disk


def up(world: World) -> dict[str, str]:
    """Sets up everything but the server and returns the variables that lead to it."""
    variables = settings(world)
    made = environments.environment(world)
    say(f"EduCenter Terminals, world `{world.name}`: setting up in {world.root}")
    with lock.locked(world.state / "lock", "setting up") as held:
        commands.hold(held)
        plan = Plan()
        wanted = packages.RUN if world.name == "run" else packages.TEST
        plan.add("packages", lambda: packages.install(wanted, world.state))
        _add_services(plan, world, variables)
        plan.add("python environment", lambda: environments.make(made), "packages")
        plan.add("node modules", lambda: bundle.modules(made), "python environment")
        plan.add("front-end bundle", lambda: bundle.bundle(made), "node modules")
        plan.add("holder", lambda: bundle.holder(world), "packages")
        built = ("python environment", "holder")
        plan.add("LXD project and pool", lambda: _lxd_setup(made, variables), "LXD", *built)
        if variables["LXD_URL"] == lxd.url(world.lxd):
            pool = world.lxd / "storage-pools" / variables["LXD_POOL"]
            plan.add("disk quotas", lambda: quotas.simplify(pool), "LXD project and pool")
        for name in image.names():
            plan.add(f"image {name}", _builder(world, name), "packages")
            plan.add(f"image {name} in LXD", _loader(world, name, variables), f"image {name}", "LXD project and pool")
        loaded = [f"image {name} in LXD" for name in image.names()]
        plan.add(
            "LXD templates",
            lambda: server(made, variables, "lxd", "setup") and "ready",
            "LXD project and pool",
            *loaded,
        )
        plan.add("migrations", lambda: _migrate(world, made, variables), "PostgreSQL", *built)
        if world.name == "run" and variables["DEMO"] == "on":
            plan.add("demo course", lambda: server(made, variables, "seed", "--demo") and "seeded", "migrations")
        plan.run()
        write(world.env_file, variables)
    return variables


def settings(world: World) -> dict[str, str]:
    """The server's variables. What is set in the environment wins, but never for the tests' own world."""
    defaults = {
        "DATABASE_URL": postgres.url(world.postgres),
        "REDIS_URL": redisd.url(world.redis),
        "LXD_URL": lxd.url(world.lxd),
        "LXD_PROJECT": world.project,
        "LXD_POOL": "educenter",
        "LXD_POOL_SIZE": _pool_size(world.state),
        "HOLDER_PATH": str(bundle.holder_path(world)),
        "DOOR_DIR": str(world.door),
        "SECRET_KEY": secret(world),
        "PUBLIC_URL": "http://127.0.0.1:8000",
        "PORT": "8000",
        "DEMO": "on",
        "STATIC_DIR": str(bundle.DIST),
        "SCREEN_SCRIPT": str(bundle.SCREEN / "screen.mjs"),
    }
    if world.name == "run":
        given = {name: os.environ[name] for name in (*defaults, *OPTIONAL) if os.environ.get(name)}
        port = given.get("PORT", defaults["PORT"])
        local = urlsplit(given.get("PUBLIC_URL", "")).hostname in {None, "127.0.0.1", "localhost", "::1"}
        return {**defaults, "PUBLIC_URL": f"http://127.0.0.1:{port}", "DEMO": "on" if local else "off", **given}
    return defaults


def server(made: Environment, variables: dict[str, str], *words: str) -> str:
    """Runs one of the server's commands; returns its last line."""
    printed = run(made.python, "-m", "server", *words, cwd=CHECKOUT, env={**made.variables(), **variables})
    lines = printed.strip().splitlines()
    return _short(lines[-1]) if lines else "done"


def _add_services(plan: Plan, world: World, variables: dict[str, str]) -> None:
    """Ours where the variable leads to ours; another's is only asked whether it answers."""
    plan.add("lxcfs", lambda: lxcfs.start(world.logs), "packages")
    durable = world.name == "run"
    own: dict[str, Callable[[], str]] = {
        postgres.url(world.postgres): lambda: postgres.start(world.postgres, durable=durable),
        redisd.url(world.redis): lambda: redisd.start(world.redis),
        lxd.url(world.lxd): lambda: lxd.start(world.lxd),
    }
    for name, variable, ask in (
        ("PostgreSQL", "DATABASE_URL", postgres.ask),
        ("Redis", "REDIS_URL", redisd.ask),
        ("LXD", "LXD_URL", lxd.ask),
    ):
        address = variables[variable]
        plan.add(name, own.get(address) or _checker(variable, address, ask), "packages", "lxcfs")


def _checker(variable: str, address: str, ask: Callable[[str], None]) -> Callable[[], str]:
    def check() -> str:
        try:
            ask(address)
        except Failed as failure:
            todo = failure.todo or f"start it, correct {variable}, or unset it"
            raise Failed(f"what {variable} names is not usable: {failure.why}", todo) from failure
        return f"answers ({variable} is set)"

    return check


def _builder(world: World, name: str) -> Callable[[], str]:
    return lambda: image.build(world, name)


def _loader(world: World, name: str, variables: dict[str, str]) -> Callable[[], str]:
    return lambda: image.load(world, name, Api(variables["LXD_URL"]), variables["LXD_PROJECT"])


def _pool_size(state: Path) -> str:
    """How big our storage pool's file may grow; it is sparse."""
    free = shutil.disk_usage(state).free / GIB
    return f"{int(max(POOL_LEAST, min(POOL_MOST, free * POOL_SHARE)))}GiB"


def _lxd_setup(made: Environment, variables: dict[str, str]) -> str:
    """Images need the project before them, templates the images: so this runs early and late, early only when new."""
    api = Api(variables["LXD_URL"])
    parts = (f"projects/{variables['LXD_PROJECT']}", f"storage-pools/{variables['LXD_POOL']}")
    return "there" if all(api.has(f"/1.0/{part}") for part in parts) else server(made, variables, "lxd", "setup")


def _migrate(world: World, made: Environment, variables: dict[str, str]) -> str:
    """The tests' database may have been made by another checkout, whose migrations aren't these: it is made anew."""
    kept = world.root / "migrations.json"
    known = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (CHECKOUT / "migrations").glob("*.sql")
    }
    if world.name != "run":
        applied = json.loads(kept.read_text()) if kept.exists() else None
        if applied is None or not applied.items() <= known.items():
            postgres.empty(world.postgres)
    done = server(made, variables, "migrate")
    partial = kept.with_suffix(".new")
    partial.write_text(json.dumps(known))
    partial.replace(kept)
    return done


def _short(line: str) -> str:
    """The event of a JSON log line, or the line itself, cut to the column."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        line = str(json.loads(line)["event"])
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"
