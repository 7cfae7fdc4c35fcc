"""The commands behind the Makefile: python3 -m deploy COMMAND."""

import argparse
import contextlib
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from deploy import checks, down, environment, lxcfs, lxd, postgres, processes, redisd
from deploy.commands import Failed
from deploy.up import settings, up
from deploy.world import CHECKOUT, TESTS, World, say, world

DAEMONS: dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]] = {
    "lxd": (lxd.start, lxd.stop),
    "postgres": (postgres.start, postgres.stop),
    "redis": (redisd.start, redisd.stop),
}
PASSING = {"test", "soak", "chaos", "bench", "fuzz", "server"}  # what follows them is passed on as it is


def main() -> int:
    """Runs one command; a failure says what, why, and what to do."""
    parser = _parser()
    chosen, words = parser.parse_known_args()
    chosen.words = words
    if words and chosen.command not in PASSING:
        parser.error(f"{chosen.command} does not take {' '.join(words)}")
    os.umask(0o022)  # what we make must be passable for PostgreSQL's user and for containers
    try:
        return COMMANDS[chosen.command][0](chosen)
    except Failed as failure:
        sys.stdout.flush()
        told = (("FAILED", failure.why.rstrip()), ("TO DO ", failure.todo))
        sys.stderr.writelines(f"\n{word}  " + text.replace("\n", "\n        ") + "\n" for word, text in told if text)
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted. What was finished stays; the same command goes on from there.\n")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m deploy", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if name in {"start", "halt"}:
            command.add_argument("daemon", choices=sorted(DAEMONS))
            command.add_argument("folder", type=Path)
        if name == "up":
            command.add_argument("world", choices=("run", *TESTS), nargs="?", default="run")
    return parser


def _run(_: argparse.Namespace) -> int:
    ours = world("run")
    variables = settings(ours)
    _check_port(variables["PORT"])
    variables = up(ours)
    _check_port(variables["PORT"])
    made = environment.environment(ours)
    say(f"\nServing on {variables['PUBLIC_URL']} (Ctrl-C stops the server; `make stop` the services as well)")
    if variables["DEMO"] == "on":
        say("Accounts: teacher@demo.test, student01@demo.test … student30@demo.test, password demo-demo")
    say("")
    os.chdir(CHECKOUT)
    ready = {**os.environ, **made.variables(), **variables, down.MARK: str(ours.state)}
    os.execve(made.python, [str(made.python), "-m", "server", "serve"], ready)  # noqa: S606 - the server takes our place


def _up(chosen: argparse.Namespace) -> int:
    ours = world(chosen.world)
    up(ours)
    say(f"\nReady. The variables: {ours.env_file}")
    return 0


def _test(chosen: argparse.Namespace) -> int:
    return checks.test([world(name) for name in TESTS], chosen.words)


def _soak(chosen: argparse.Namespace) -> int:
    return checks.soak(world("test"), chosen.words)


def _chaos(chosen: argparse.Namespace) -> int:
    return checks.chaos(world("test"), chosen.words)


def _tests_module(chosen: argparse.Namespace) -> int:
    ours = world("test")
    return checks.python(ours, up(ours), "-m", f"tests.{chosen.command}", *chosen.words)


def _server(chosen: argparse.Namespace) -> int:
    ours = world("run")
    return checks.python(ours, up(ours), "-m", "server", *chosen.words)


def _check(command: Callable[[World], None]) -> Callable[[argparse.Namespace], int]:
    def check(_: argparse.Namespace) -> int:
        command(world("test"))
        return 0

    return check


def _end(command: Callable[[World], None]) -> Callable[[argparse.Namespace], int]:
    def end(_: argparse.Namespace) -> int:
        command(world("run"))
        return 0

    return end


def _daemon(chosen: argparse.Namespace) -> int:
    start, stop = DAEMONS[chosen.daemon]
    folder = Path(os.path.realpath(chosen.folder))
    if chosen.command == "halt":
        stop(folder)
        return 0
    if chosen.daemon == "lxd":
        lxcfs.start(world("run").logs)
    say(f"{chosen.daemon}: {start(folder)}")
    return 0


def _check_port(port: str) -> None:
    if not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise Failed(f"PORT={port} is no port", "PORT=8000 make run")
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((os.environ.get("HOST") or "127.0.0.1", int(port)))
        except OSError as error:
            ours = processes.find(lambda process: down.serves(process) is not None)
            who = f" (by another `make run`, pid {ours[0].pid})" if ours else ""
            raise Failed(f"port {port} is in use{who}", "stop what uses it, or PORT=8001 make run") from error


COMMANDS: dict[str, tuple[Callable[[argparse.Namespace], int], str]] = {
    "run": (_run, "set everything up and serve"),
    "up": (_up, "set everything up and stop there (world run, test or test-2)"),
    "test": (_test, "set the tests' own world up and run pytest"),
    "soak": (_soak, "the same for the soak, with its full counts"),
    "chaos": (_chaos, "the same for the chaos, with its full counts"),
    "lint": (
        _check(checks.lint),
        "ruff, formats, shell syntax, static analysis of the holder, secrets, known vulnerabilities of what is used",
    ),
    "types": (_check(checks.types), "mypy --strict and tsc"),
    "fmt": (_check(checks.fmt), "format and mend"),
    "bench": (_tests_module, "measure, in the tests' world"),
    "fuzz": (_tests_module, "fuzz, in the tests' world"),
    "server": (_server, "a command of the server, with the variables of make run"),
    "stop": (_end(down.stop), "stop servers and services; data stays"),
    "clean": (_end(down.clean), "stop, and remove everything that was made"),
    "start": (_daemon, "start a private daemon in a folder (tests that kill it)"),
    "halt": (_daemon, "stop a private daemon in a folder"),
}

if __name__ == "__main__":
    sys.exit(main())
