"""Known vulnerabilities of what is pinned: asked of OSV (Python's packages and npm's in one request) and of npm's own audit.

Runs beside lint (python3 -m deploy.advisories and how npm is called here). A service that doesn't answer fails nothing, and
is said in words that can't be taken for a pass. What Debian's packages and the base images have isn't asked for.
"""

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from deploy import exceptions
from deploy.world import CHECKOUT

OSV = "https://api.osv.dev/v1/querybatch"
REQUIREMENTS = ("requirements.txt", "requirements-dev.txt")
TIMEOUT_S = 8
"""For one service, and all at the same time; whoever runs this ends it after 15."""
PYTHON, NPM = "PyPI", "npm"
COVERED = {"OSV": (PYTHON, NPM), "npm audit": (NPM,)}
UNREADABLE = (OSError, HTTPException, ValueError, LookupError, TypeError, AttributeError)
"""No connection, or an answer that is none."""


@dataclass(frozen=True, order=True)
class Pin:
    """A package in the version that is installed."""

    ecosystem: str
    name: str
    version: str


@dataclass(frozen=True, order=True)
class Advisory:
    """What a service knows about one of them."""

    id: str
    package: str
    says: str


class Silent(Exception):
    """A service gave no answer that says anything."""


def pins(root: Path = CHECKOUT) -> list[Pin]:
    """All that the requirements and the lock file name, also what is pulled in."""
    text = "\n".join((root / name).read_text() for name in REQUIREMENTS)
    python = [Pin(PYTHON, *found) for found in re.findall(r"^([\w.-]+)==([\w.]+)", text, re.MULTILINE)]
    lock = json.loads((root / "static" / "package-lock.json").read_text())["packages"]
    return python + [
        Pin(NPM, path.rpartition("node_modules/")[2], found["version"]) for path, found in lock.items() if path
    ]


def osv(asked: Sequence[Pin], url: str = OSV) -> list[Advisory]:
    """What OSV knows: ids only, for that is what one request gives."""
    named = [{"package": {"ecosystem": pin.ecosystem, "name": pin.name}, "version": pin.version} for pin in asked]
    request = urllib.request.Request(  # noqa: S310 - the address is ours
        url, json.dumps({"queries": named}).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            results = json.load(answer)["results"]
        if len(results) != len(asked):
            raise Silent(f"{len(results)} answers to {len(asked)} questions")
        known = [
            (pin, found["id"]) for pin, result in zip(asked, results, strict=True) for found in result.get("vulns", ())
        ]
    except HTTPError as error:
        with error:
            raise Silent(f"status {error.code}") from error
    except UNREADABLE as error:
        raise Silent(str(error)) from error
    return [Advisory(each, f"{pin.name} {pin.version}", f"https://osv.dev/{each}") for pin, each in known]


def npm(command: Sequence[str], folder: Path = CHECKOUT / "static") -> list[Advisory]:
    """What npm's registry knows of the lock file."""
    patience = (f"--fetch-timeout={1000 * TIMEOUT_S}", "--fetch-retries=0")
    words = [*command, "audit", "--json", "--package-lock-only", *patience]
    try:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        said: dict[str, Any] = json.loads(done.stdout)
        if "vulnerabilities" not in said:
            raise Silent(said.get("message") or "no verdict")
        causes = [
            cause for found in said["vulnerabilities"].values() for cause in found["via"] if isinstance(cause, dict)
        ]
        return [Advisory(_id(cause), f"{cause['name']} {cause['range']}", cause["title"]) for cause in causes]
    except (*UNREADABLE, subprocess.TimeoutExpired) as error:
        raise Silent(str(error)) from error


def _id(cause: dict[str, Any]) -> str:
    """GitHub's, as OSV has it; else npm's own number."""
    address = str(cause.get("url", ""))
    return address.rpartition("/")[2] or str(cause["source"])


def audit(asked: Sequence[Pin], command: Sequence[str], url: str = OSV) -> tuple[list[str], list[str]]:
    """What to say, and what nobody has accepted."""
    with ThreadPoolExecutor(2) as pool:
        services = {"OSV": pool.submit(osv, asked, url), "npm audit": pool.submit(npm, command)}
    heard, silent, known = [], [], set[Advisory]()
    for name, service in services.items():
        try:
            known |= set(service.result())
            heard.append(name)
        except Silent as reason:
            silent.append(f"{name}: {reason}")
    accepted = exceptions.accepted(datetime.now(UTC).date())
    said = [
        _verdict(ecosystem, asked, [name for name in heard if ecosystem in COVERED[name]])
        for ecosystem in (PYTHON, NPM)
    ]
    said += [f"no answer from {each}" for each in silent]
    said += [
        f"accepted: {each.id}, {each.package}: {accepted[each.id]}" for each in sorted(known) if each.id in accepted
    ]
    return said, [f"{each.id}: {each.package}: {each.says}" for each in sorted(known) if each.id not in accepted]


def _verdict(ecosystem: str, asked: Sequence[Pin], heard: Sequence[str]) -> str:
    count = sum(pin.ecosystem == ecosystem for pin in asked)
    audited = f"audited, by {' and '.join(heard)}" if heard else "NOT AUDITED: no advisory service answers"
    return f"{count} packages of {ecosystem} {audited}"


def main() -> int:
    """Prints the verdicts, then what is known and not accepted, for which it fails."""
    said, wrong = audit(pins(), sys.argv[1:])
    sys.stdout.writelines(f"  {line}\n" for line in [*said, *wrong])
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
