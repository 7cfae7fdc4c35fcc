"""Courses: made, listed, joined by a code, filled from a list of people; and their lessons."""

import argparse
import secrets
import sys
from pathlib import Path

from server.commands.grammar import Grammar
from server.commands.opened import known, with_store
from server.commands.roster import Person, read_roster
from server.links import Links
from server.passwords import Passwords
from server.settings import LEAST_IDLE_MINUTES, Settings
from terminals.store import Store
from terminals.store.lessons import Text, Wants

KEPT = {
    "idle": "without use before a lab is put to sleep",
    "stop": "then, until it is stopped",
    "end": "then, until it is ended",
    "max": "a lab's longest life, extensions included",
}
"""What a course can say of its labs, in minutes."""
MOST_MINUTES = 43_200
CODE_LETTERS, CODE_LENGTH = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789", 8
"""A join code is read aloud and typed: no letter in it looks like a digit."""


def add_to(grammar: Grammar) -> None:
    """`course …` and `lesson …`."""
    courses = grammar.group("course", "Courses.")
    adding = courses.add("add", add_course, "Add a course, or give one another title.")
    adding.add_argument("course", help="its id: small letters, digits and -; it stands in addresses")
    adding.add_argument("title")
    courses.add("list", list_courses, "List the courses.")
    text = "Show the code with which people enrol themselves, or change it."
    coding = courses.add("code", join_code, text)
    coding.add_argument("course")
    changing = coding.add_mutually_exclusive_group()
    changing.add_argument("--new", action="store_true", help="draw a new one; the old one is void")
    changing.add_argument("--off", action="store_true", help="nobody enrols themselves any more")
    text = (
        "Enrol everybody of a CSV file with a head line: email,name and, if wanted, role (student, instructor). Who has no "
        "account gets one. Prints email,link of those: send each their link, with which they set their password. "
        "Where a line is wrong, nothing is done; again is harmless."
    )
    enrolling = courses.add("enrol", enrol, text)
    enrolling.add_argument("course")
    enrolling.add_argument("file", help="- reads stdin")
    text = "How long a course's labs are kept, in minutes. What isn't named is as the settings say, also if it was set before."
    keeping = courses.add("keep", keep, text)
    keeping.add_argument("course")
    for name, meaning in KEPT.items():
        keeping.add_argument(f"--{name}", type=_minutes, metavar="MINUTES", help=meaning)
    _add_lessons(grammar)


def _add_lessons(grammar: Grammar) -> None:
    putting = grammar.group("lesson", "Lessons.").add("put", put_lesson, "Add a lesson, or change it as a whole.")
    putting.add_argument("lesson", help="its id")
    putting.add_argument("course")
    putting.add_argument("title")
    putting.add_argument("--position", type=int, required=True, help="its number in the course")
    putting.add_argument("--image", required=True, help="an image's alias in LXD")
    putting.add_argument("--minutes", type=int, default=60, help="that it is expected to take (60)")
    putting.add_argument("--body", type=Path, metavar="FILE", help="its text, Markdown")
    putting.add_argument("--network", default="none", choices=("none", "closed", "internet"))
    putting.add_argument("--hosts", default="", metavar="NAMES", help="that a closed one lets labs reach, with commas")
    putting.add_argument("--root", action="store_true", help="its student may use sudo")
    for name in ("memory", "cpu", "disk"):
        putting.add_argument(f"--{name}", help="instead of the course's")
    for name in ("processes", "output"):
        putting.add_argument(f"--{name}", type=int, help="instead of the course's")


def _minutes(text: str) -> int:
    if not text.isdecimal() or int(text) > MOST_MINUTES:
        raise argparse.ArgumentTypeError(f"say a number of minutes up to {MOST_MINUTES}")
    return int(text)


def add_course(settings: Settings, arguments: argparse.Namespace) -> None:
    async def work(store: Store, _passwords: Passwords) -> None:
        await store.courses.name(arguments.course, arguments.title)

    with_store(settings, work)


def list_courses(settings: Settings, _arguments: argparse.Namespace) -> None:
    async def work(store: Store, _passwords: Passwords) -> None:
        print("course\ttitle\tcode\tinstructors\tstudents\tlessons\tlive labs")
        for each in await store.courses.all():
            print(*(each[name] if each[name] is not None else "-" for name in each), sep="\t")

    with_store(settings, work)


def join_code(settings: Settings, arguments: argparse.Namespace) -> int:
    found: list[bool] = []

    async def work(store: Store, _passwords: Passwords) -> None:
        if arguments.new or arguments.off:
            drawn = "".join(secrets.choice(CODE_LETTERS) for _ in range(CODE_LENGTH)) if arguments.new else None
            await store.courses.set_code(arguments.course, drawn)
        codes = {each["id"]: each["code"] for each in await store.courses.all()}
        found.append(arguments.course in codes)
        if found[0]:
            print(codes[arguments.course] or "Nobody can enrol themselves: --new draws a code.")

    with_store(settings, work)
    return known(found[0], f"course {arguments.course}")


def enrol(settings: Settings, arguments: argparse.Namespace) -> int:
    people, problems = read_roster(arguments.file)
    if problems:
        print("Nobody was enrolled:", *problems, sep="\n  - ", file=sys.stderr)
        return 2
    found: list[bool] = []

    async def work(store: Store, passwords: Passwords) -> None:
        found.append(await store.courses.is_there(arguments.course))
        if found[0]:
            await _enrol(store, passwords, Links(settings.secret_key, settings.public_url), arguments.course, people)

    with_store(settings, work)
    return known(found[0], f"course {arguments.course}")


async def _enrol(store: Store, passwords: Passwords, links: Links, course: str, people: list[Person]) -> None:
    print("email,link")
    added = 0
    for person in people:
        # Nobody's password: whoever has the link sets one.
        user, fresh = await store.users.add(person.email, person.name, await passwords.hash(secrets.token_urlsafe()))
        await store.courses.enrol(course, user, person.role)
        if fresh and (made := await store.users.by_id(user)):
            added += 1
            print(f"{made.email},{links.make(made)}")
    print(f"{len(people)} are enrolled, {added} of them have a new account.", file=sys.stderr)


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
    return known(found[0], f"course {arguments.course}")


def put_lesson(settings: Settings, arguments: argparse.Namespace) -> int:
    try:
        body = arguments.body.read_text(encoding="utf-8") if arguments.body else ""
    except (OSError, UnicodeDecodeError) as error:
        print(f"--body {arguments.body}: {error}", file=sys.stderr)
        return 2
    hosts = tuple(name.strip() for name in arguments.hosts.split(",") if name.strip())
    wants = Wants(
        image=arguments.image,
        network=arguments.network,
        hosts=hosts,
        root=arguments.root,
        **{name: getattr(arguments, name) for name in ("memory", "cpu", "disk", "processes", "output")},
    )
    found: list[bool] = []

    async def work(store: Store, _passwords: Passwords) -> None:
        found.append(await store.courses.is_there(arguments.course))
        if found[0]:
            text = Text(arguments.title, arguments.minutes, body)
            await store.lessons.put(arguments.lesson, arguments.course, arguments.position, text, wants)

    with_store(settings, work)
    return known(found[0], f"course {arguments.course}")
