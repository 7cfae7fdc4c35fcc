"""Sessions: the labs that are, looked at and ended."""

import argparse

from server import app
from server.commands.grammar import Grammar
from server.commands.opened import known, with_store
from server.passwords import Passwords
from server.settings import Settings
from terminals.fleet.bus import Bus
from terminals.store import Store


def add_to(grammar: Grammar) -> None:
    """`session …`."""
    sessions = grammar.group("session", "Labs.")
    listing = sessions.add("list", list_sessions, "List the labs that haven't ended, the oldest first.")
    listing.add_argument("course", nargs="?", help="of this course only")
    text = "End a lab. Its container and all files in it are deleted."
    sessions.add("end", end_session, text).add_argument("session", help="as list names it")


def list_sessions(settings: Settings, arguments: argparse.Namespace) -> None:
    async def work(store: Store, _passwords: Passwords) -> None:
        print("session\tstate\tage (s)\tuser\tcourse\tlesson\tcontainer\tterminals")
        for row in await store.sessions.all(arguments.course):
            print(*("-" if value is None else value for value in row.values()), sep="\t")

    with_store(settings, work)


def end_session(settings: Settings, arguments: argparse.Namespace) -> int:
    found: list[bool] = []

    async def work(store: Store, _passwords: Passwords) -> None:
        found.append(await store.sessions.end(arguments.session) is not None)
        if found[0]:
            redis = app.make_redis(settings)
            await Bus(redis).notify("ended", arguments.session)
            await redis.aclose()

    with_store(settings, work)
    return known(found[0], f"lab {arguments.session} that hasn't ended")
