"""What lint would refuse and is right all the same: exceptions.toml, each entry with its reason."""

import tomllib
from datetime import date
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("exceptions.toml")


def public(file: Path = FILE) -> set[tuple[str, str]]:
    """File and text of each thing that only looks like a secret."""
    return {(name, entry["text"]) for entry in _entries(file, "public", "text", "files") for name in entry["files"]}


def accepted(today: date, file: Path = FILE) -> dict[str, str]:
    """The advisories that we live with today, by their id: why."""
    entries = _entries(file, "accepted", "id", "until")
    return {entry["id"]: entry["reason"] for entry in entries if today <= entry["until"]}


def _entries(file: Path, table: str, *fields: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = tomllib.loads(file.read_text()).get(table, [])
    for entry in entries:
        if set(entry) != {*fields, "reason"} or not entry["reason"].strip():
            raise ValueError(f"{file.name}: an entry of {table} has {', '.join(fields)} and a reason, not {entry}")
    return entries
