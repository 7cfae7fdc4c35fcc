"""The commands: `python -m server serve | drain | proxy | migrate | seed | lxd setup | course … | user … | session … | …`."""

import argparse
import sys

from server import logs, migrate
from server.commands import audits, courses, doctor, people, proxying, serving, sessions, timetable, upkeep
from server.commands.grammar import Command, Grammar
from server.settings import BadSettings, Settings, read
from terminals.errors import TerminalsError


def main() -> int:
    """The exit status: 0, 1 when a service or a command failed, 2 for wrong settings or arguments."""
    arguments = parser().parse_args()
    try:
        settings, arguments.problems = read(), []
    except BadSettings as error:
        if arguments.tolerant:
            settings, arguments.problems = error.settings, error.problems
            return _run(settings, arguments)
        print("The settings are wrong (.env.example explains them all):", file=sys.stderr)
        for problem in error.problems:
            print(f"  - {problem}", file=sys.stderr)
        return 2
    logs.configure(settings.log_level, settings.log_format)
    return _run(settings, arguments)


def _run(settings: Settings, arguments: argparse.Namespace) -> int:
    try:
        command: Command = arguments.command
        return command(settings, arguments) or 0
    except (TerminalsError, migrate.MigrateFailed) as error:
        print(error, file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """What there is, with help that teaches."""
    top = argparse.ArgumentParser(
        prog="python -m server",
        description="EduCenter Terminals. Settings come from the environment; .env.example explains them all.",
        epilog="First time on a machine: migrate, lxd setup, user add (or seed --demo), doctor, serve.",
    )
    grammar = Grammar(top)
    for part in (serving, proxying, upkeep, courses, timetable, people, sessions, audits, doctor):
        part.add_to(grammar)
    return top


if __name__ == "__main__":
    sys.exit(main())
