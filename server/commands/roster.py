"""Roster: a list of people as schools export it, read whole before anything is done with it."""

import csv
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")
ROLES = ("student", "instructor")
MOST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Person:
    """One line."""

    email: str
    name: str
    role: str = ROLES[0]


def read_roster(file: str) -> tuple[list[Person], list[str]]:
    """Everybody, and what is wrong, by line; `-` is stdin.

    Commas or semicolons; UTF-8 with or without a mark, as spreadsheets write it.
    """
    try:
        data = sys.stdin.buffer.read(MOST_BYTES + 1) if file == "-" else Path(file).read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        return [], [f"{file}: {error.strerror}"]
    except UnicodeDecodeError as error:
        return [], [f"{file} isn't UTF-8 (byte {error.start}): save it as CSV UTF-8"]
    if len(data) > MOST_BYTES:
        return [], [f"{file} is larger than {MOST_BYTES >> 20} MiB"]
    lines = text.splitlines()
    delimiter = ";" if lines and lines[0].count(";") > lines[0].count(",") else ","
    return _people(csv.reader(lines, delimiter=delimiter))


def _people(rows: Iterable[list[str]]) -> tuple[list[Person], list[str]]:
    people: list[Person] = []
    problems: list[str] = []
    seen: dict[str, int] = {}
    head: list[str] = []
    for number, row in enumerate(rows, 1):
        if not any(field.strip() for field in row):
            continue
        if not head:
            head = [field.strip().lower() for field in row]
            if not {"email", "name"} <= set(head):
                return [], ["line 1: the head must name the columns email and name (and role, if wanted)"]
            continue
        said = {name: field.strip() for name, field in zip(head, row, strict=False)}
        person = Person(said.get("email", "").lower(), said.get("name", ""), said.get("role", "").lower() or ROLES[0])
        problem = _problem(person)
        if person.email in seen:
            problem = f"{person.email} stands in line {seen[person.email]}, too"
        if problem:
            problems.append(f"line {number}: {problem}")
        seen[person.email] = number
        people.append(person)
    if not people and not problems:
        problems.append("there is nobody in it")
    return people, problems


def _problem(person: Person) -> str:
    if not ADDRESS.fullmatch(person.email) or len(person.email) > 254:
        return f"{person.email or 'nothing'} is no e-mail address"
    if not 1 <= len(person.name) <= 200:
        return "a name has 1 to 200 characters"
    if person.role not in ROLES:
        return f"{person.role} is no role: say {' or '.join(ROLES)}"
    return ""
