"""Audits: the account of what instructors did in and to students' labs, out of the database."""

import argparse
from datetime import UTC, datetime

from server.commands.grammar import Grammar, moment
from server.commands.opened import with_store
from server.passwords import Passwords
from server.settings import Settings
from terminals.store import Store

FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


def add_to(grammar: Grammar) -> None:
    """`audit …`."""
    text = (
        "Print who typed into whose terminal (kind assist; bytes, never what) and who extended, restarted, reset or ended "
        "whose lab (kind act): one JSON object for each row, the oldest first."
    )
    exporting = grammar.group("audit", "What instructors did in and to students' labs.").add("export", export, text)
    exporting.add_argument("course", nargs="?", help="of this course only")
    exporting.add_argument(
        "--since", type=moment, default=FIRST, help="from this moment on, like 2026-12-01T00:00+01:00"
    )
    exporting.add_argument("--until", type=moment, default=LAST, help="what began before this moment")


def export(settings: Settings, arguments: argparse.Namespace) -> None:
    async def work(store: Store, _passwords: Passwords) -> None:
        async for line in store.ledger.lines(arguments.course, arguments.since, arguments.until):
            print(line)

    with_store(settings, work)
