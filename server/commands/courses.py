"""Courses: how long their labs are kept, and when their classes are."""

import argparse
import sys
from datetime import UTC, datetime

from server.commands.grammar import Grammar
from server.commands.opened import with_store
from server.passwords import Passwords
from server.settings import LEAST_IDLE_MINUTES, Settings
from terminals.store import Store

KEPT = {
    "idle": "without use before a lab is put to sleep",
    "stop": "then, until it is stopped",
    "end": "then, until it is ended",
    "max": "a lab's longest life, extensions included",
}
"""What a course can say of its labs, in minutes."""
MOST_MINUTES = 43_200
MOMENT = "with its zone, like 2026-12-01T10:00+01:00"


def add_to(grammar: Grammar) -> None:
    """`course …` and `timetable …`."""
    text = "How long a course's labs are kept, in minutes. What isn't named is as the settings say, also if it was set before."
    keeping = grammar.group("course", "Courses.").add("keep", keep, text)
    keeping.add_argument("course")
    for name, meaning in KEPT.items():
        keeping.add_argument(f"--{name}", type=_minutes, metavar="MINUTES", help=meaning)
    timetable = grammar.group("timetable", "Classes: no lab of the course is put to rest or ended while one is held.")
    adding = timetable.add(
        "add", add_class, "Add a class. Containers wait for its students ten minutes before it begins."
    )
    adding.add_argument("course")
    adding.add_argument("start", type=_moment, help=MOMENT)
    adding.add_argument("end", type=_moment, help=MOMENT)
    adding.add_argument(
        "--seats", type=int, default=0, metavar="N", help="students that are expected (0: the pool as ever)"
    )
    listing = timetable.add("list", list_classes, "List the classes that aren't over, the next first.")
    listing.add_argument("course", nargs="?", help="of this course only")
    removing = timetable.add("remove", remove_class, "Remove a class.")
    removing.add_argument("number", type=int, help="as list names it")


def _minutes(text: str) -> int:
    if not text.isdecimal() or int(text) > MOST_MINUTES:
        raise argparse.ArgumentTypeError(f"say a number of minutes up to {MOST_MINUTES}")
    return int(text)


def _moment(text: str) -> datetime:
    try:
        found: datetime | None = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise argparse.ArgumentTypeError(f"say a moment {MOMENT}")
    return found


def keep(settings: Settings, arguments: argparse.Namespace) -> int:
    minutes = [getattr(arguments, name) for name in KEPT]
    for name, value in zip(KEPT, minutes, strict=True):
        if name in {"idle", "max"} and value is not None and value < LEAST_IDLE_MINUTES:
            print(f"--{name}: at least {LEAST_IDLE_MINUTES} minutes", file=sys.stderr)
            return 2
    found: list[bool] = []

    async def work(store: Store, _passwords: Passwords) -> None:
        found.append(await store.courses.keep(arguments.course, minutes))

    with_store(settings, work)
    return _known(found[0], f"course {arguments.course}")


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
    return _known(found[0] is not None, f"course {arguments.course}")


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
    return _known(found[0], f"class {arguments.number}")


def _known(found: bool, what: str) -> int:
    if not found:
        print(f"There is no {what}", file=sys.stderr)
    return 0 if found else 1
