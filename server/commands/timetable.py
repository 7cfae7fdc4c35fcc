"""Timetable: when the courses' classes are."""

import argparse
import sys
from datetime import UTC, datetime

from server.commands.grammar import MOMENT, Grammar, moment
from server.commands.opened import known, with_store
from server.passwords import Passwords
from server.settings import Settings
from terminals.store import Store


def add_to(grammar: Grammar) -> None:
    """`timetable …`."""
    timetable = grammar.group("timetable", "Classes: no lab of the course is put to rest or ended while one is held.")
    adding = timetable.add(
        "add", add_class, "Add a class. Containers wait for its students ten minutes before it begins."
    )
    adding.add_argument("course")
    adding.add_argument("start", type=moment, help=MOMENT)
    adding.add_argument("end", type=moment, help=MOMENT)
    adding.add_argument(
        "--seats", type=int, default=0, metavar="N", help="students that are expected (0: the pool as ever)"
    )
    listing = timetable.add("list", list_classes, "List the classes that aren't over, the next first.")
    listing.add_argument("course", nargs="?", help="of this course only")
    removing = timetable.add("remove", remove_class, "Remove a class.")
    removing.add_argument("number", type=int, help="as list names it")


def add_class(settings: Settings, arguments: argparse.Namespace) -> int:
    if arguments.end <= arguments.start or arguments.seats < 0:
        print("A class ends after it begins, and has 0 seats or more", file=sys.stderr)
        return 2
    found: list[int | None] = []

    async def work(store: Store, _passwords: Passwords) -> None:
        made = await store.timetable.add(arguments.course, arguments.start, arguments.end, arguments.seats)
        found.append(made)
        if made is not None:
            print(f"class {made}")

    with_store(settings, work)
    return known(found[0] is not None, f"course {arguments.course}")


def list_classes(settings: Settings, arguments: argparse.Namespace) -> None:
    async def work(store: Store, _passwords: Passwords) -> None:
        print("class\tcourse\tstarts\tends\tseats")
        for each in await store.timetable.all(datetime.now(UTC), arguments.course):
            times = (each.starts_at.isoformat(timespec="minutes"), each.ends_at.isoformat(timespec="minutes"))
            print(each.id, each.course, *times, each.seats, sep="\t")

    with_store(settings, work)


def remove_class(settings: Settings, arguments: argparse.Namespace) -> int:
    found: list[bool] = []

    async def work(store: Store, _passwords: Passwords) -> None:
        found.append(await store.timetable.remove(arguments.number))

    with_store(settings, work)
    return known(found[0], f"class {arguments.number}")
