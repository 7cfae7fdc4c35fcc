"""Grammar: how the commands say their names and arguments, with help that teaches."""

import argparse
from collections.abc import Callable
from datetime import datetime
from typing import Any

from server.settings import Settings

MOMENT = "with its zone, like 2026-12-01T10:00+01:00"
Command = Callable[[Settings, argparse.Namespace], int | None]


class Grammar:
    """Commands, or one group of them."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._commands: Any = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(self, name: str, command: Command, text: str) -> argparse.ArgumentParser:
        """A command; its arguments are added to what is returned."""
        found: argparse.ArgumentParser = self._commands.add_parser(name, help=text, description=text)
        found.set_defaults(command=command, tolerant=False)
        return found

    def group(self, name: str, text: str) -> "Grammar":
        """Commands of two words."""
        return Grammar(self._commands.add_parser(name, help=text, description=text))


def moment(text: str) -> datetime:
    """An argument's type."""
    try:
        found: datetime | None = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise argparse.ArgumentTypeError(f"say a moment {MOMENT}")
    return found
