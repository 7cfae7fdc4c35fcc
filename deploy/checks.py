"""Lint, types and tests: what .ci/run runs."""

import contextlib
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from deploy import bundle, commands, environment, exceptions, lock, packages
from deploy.commands import Failed, run
from deploy.environment import Environment
from deploy.steps import Plan
from deploy.up import up
from deploy.world import CHECKOUT, World, say

TYPED = ("server", "terminals", "deploy", "tests")
FLOODS = ("tests/hostile/test_floods.py", "tests/browser/test_flood.py", "tests/attacks")
"""What leaves no core to others, and measures what is left."""
SOAK = ("tests/soak", *FLOODS)
"""What runs a tenth of its counts in `make test` and all of them in `make soak`."""
CHAOS = ("tests/chaos",)
"""The same for `make chaos`."""
AUDIT_S = 15
"""For what other machines know of our dependencies."""
SHELL = ("images/*/build", "images/*/customize", "images/*/init", ".ci/run")


def tools(world: World) -> Environment:
    """Makes what lint and types need: no service, no container."""
    made = environment.environment(world)
    with lock.locked(world.state / "lock", "setting up") as held:
        commands.hold(held)
        plan = Plan()
        plan.add("packages", lambda: packages.install(packages.LINT, world.state))
        plan.add("python environment", lambda: environment.make(made), "packages")
        plan.add("node modules", lambda: bundle.modules(made), "python environment")
        plan.run()
    return made


def lint(world: World) -> None:
    """Ruff's rules and format, shell syntax, what compilers and analyzers find in the holder, secrets, known vulnerabilities."""
    made = tools(world)
    shell = [("bash", "-n", file) for file in _scripts()]
    out = f"OUT={world.state / 'holder' / 'lint'}"
    holder = ("make", "--silent", f"--jobs={os.cpu_count()}", "-C", bundle.HOLDER, out, "lint")
    secrets = (made.python, "-m", "deploy.secrets")
    _all(made, ("ruff", "check", "."), ("ruff", "format", "--check", "."), *shell, holder, secrets)
    _audit(made)


def _audit(made: Environment) -> None:
    """Fails for what is known to be vulnerable; where nobody tells, that is said, and fails nothing."""
    command: list[str | Path] = [made.python, "-m", "deploy.advisories", *made.npm]
    try:
        ours = {**os.environ, **made.variables()}
        done = subprocess.run(
            command, cwd=CHECKOUT, env=ours, stdout=subprocess.PIPE, text=True, timeout=AUDIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        say(f"  dependencies NOT AUDITED: no advisory service answers within {AUDIT_S} s")
        return
    say(done.stdout.rstrip())
    if done.returncode:
        todo = f"take versions without it, or say in {exceptions.FILE.name} why we live with it, and until when"
        raise Failed("something that we use is known to be vulnerable", todo)


def types(world: World) -> None:
    """Python's types, then TypeScript's."""
    made = tools(world)
    there = [name for name in TYPED if any((CHECKOUT / name).rglob("*.py"))]
    _all(
        made,
        ("mypy", "--strict", "--explicit-package-bases", *there),
        (*made.npm, "--prefix", bundle.STATIC, "run", "--silent", "check"),
    )


def fmt(world: World) -> None:
    """Rewrites what can be put right without thinking."""
    _all(tools(world), ("ruff", "check", "--fix", "."), ("ruff", "format", "."))


def test(lanes: Sequence[World], words: Sequence[str]) -> int:
    """What the words select, in the first of the tests' worlds; without words the whole test suite and a short bench."""
    if not words:
        return _everything(lanes)
    first = lanes[0]
    with lock.locked(first.root / "lock", "running tests") as held:
        variables = _up(first)
        _front_end(first)
        return python(first, variables, "-m", "pytest", *words, held=[held])


def _everything(lanes: Sequence[World]) -> int:
    """Files of tests side by side, each lane in a world of its own; then what kills; then, in the first world, floods alone."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(lock.locked(lane.root / "lock", "running tests")) for lane in lanes]
        variables = [_up(lane) for lane in lanes]
        first, own = lanes[0], variables[0]
        _front_end(first)
        both = {**own, "EDUCENTER_LANES": json.dumps(variables)}
        # A file is one lane's: its tests share fixtures. In the order of their names, for the long ones come first in it.
        spread = (f"--numprocesses={len(lanes)}", "--dist=loadfile", "--no-loadscope-reorder", "--max-worker-restart=0")
        failed = _tests(first, both, *spread, *(f"--ignore={name}" for name in (*SOAK, *CHAOS)), held=held)
        say("\nWhat kills, cuts and waits: beside nothing that needs the cores")
        failed |= _tests(first, both, *spread, *CHAOS, "tests/soak", held=held)
        say("\nWhat needs the cores: alone")
        failed |= _tests(first, own, *FLOODS, held=held)
        if failed:
            return failed
        say("\nThe bench's first look: it must run, its figures pass or fail nothing")
        return python(first, own, "-m", "tests.bench", "--quick", held=held)


def _tests(world: World, variables: dict[str, str], *words: str, held: Sequence[int]) -> int:
    """Runs them; what failed once more, if LXD itself had hung meanwhile (tests/hangs.py)."""
    hangs = world.root / "hangs"
    hangs.unlink(missing_ok=True)
    told = {**variables, "EDUCENTER_HANGS": str(hangs)}
    failed = python(world, told, "-m", "pytest", *words, held=held)
    if not failed or not hangs.exists():
        return failed
    say(
        f"\nLXD answered nothing any more and was started anew, seen first in:\n{hangs.read_text()}What failed runs again:"
    )
    return python(world, told, "-m", "pytest", *words, "--last-failed", "--last-failed-no-failures=none", held=held)


def _front_end(found: World) -> None:
    """The tests of what runs in browsers."""
    made = environment.environment(found)
    _all(made, (*made.npm, "--prefix", bundle.STATIC, "run", "--silent", "test"))


def soak(world: World, words: Sequence[str]) -> int:
    """The tests that are repeated, as often as they are meant to be."""
    return _repeated(world, SOAK, words)


def chaos(world: World, words: Sequence[str]) -> int:
    """The same for those in which instances and services die."""
    return _repeated(world, CHAOS, words)


def _repeated(world: World, tests: Sequence[str], words: Sequence[str]) -> int:
    with lock.locked(world.root / "lock", "running repeated tests") as held:
        variables = {**_up(world), "SOAK": os.environ.get("SOAK", "1.0")}
        return python(world, variables, "-m", "pytest", *tests, *words, held=[held])


def python(world: World, variables: dict[str, str], *words: str, held: Sequence[int] = ()) -> int:
    """Runs the environment's Python on the terminal; the exit status."""
    made = environment.environment(world)
    command = [str(made.python), *words]
    # Compiled once, outside the checkout: the tests start servers by the hundred.
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(world.state / "pycache")}
    ours = {**os.environ, **made.variables(), **compiled, **variables}
    return subprocess.run(command, cwd=CHECKOUT, env=ours, pass_fds=held, check=False).returncode


def _up(world: World) -> dict[str, str]:
    return {**up(world), "PORT": "0", "CHROMIUM": "/usr/bin/chromium"}


def _scripts() -> list[Path]:
    return sorted(path for pattern in SHELL for path in CHECKOUT.glob(pattern))


def _all(made: Environment, *checks: Sequence[str | Path]) -> None:
    """Runs every check, then fails with all that failed."""
    failures = []
    for check in checks:
        try:
            run(*check, cwd=CHECKOUT, env={**made.variables(), "MAKEFLAGS": "", "MAKELEVEL": ""})
        except Failed as failure:
            say(failure.full)
            failures.append(failure.why.splitlines()[0])
    if failures:
        raise Failed("\n".join(failures), "make fmt mends what is mechanical")
    say(f"  {len(checks)} checks passed: {', '.join(dict.fromkeys(Path(check[0]).name for check in checks))}")
