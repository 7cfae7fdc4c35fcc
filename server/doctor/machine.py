"""Machine: this host, what was built, and the settings."""

import asyncio
import json
import math
import os
import platform
import re
import resource
import secrets
import socket
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from importlib import metadata
from pathlib import Path

from server.doctor.finding import Finding, ok, warning, wrong
from server.settings import Settings
from terminals.holder import built
from terminals.link.frames import VERSION

OLDEST = (3, 11)
REQUIREMENTS = Path(__file__).parents[2] / "requirements.txt"
WEAK_BITS = 96.0
"""A SECRET_KEY with less is no random one."""
NODE_S = 5.0
FILES = 4096
"""Open files; a terminal takes up to six."""
LOW_MEMORY = 256 << 20


def settings(found: Settings, problems: list[str]) -> Iterator[Finding]:
    """What the environment says."""
    for problem in problems:
        yield wrong("settings", problem, "mend it in the environment or in .env; .env.example explains every variable")
    if not problems:
        yield ok("settings", f"complete; DEPLOYMENT={found.deployment}, PUBLIC_URL={found.public_url}")
    if len(found.secret_key) >= 1 and (bits := _bits(found.secret_key)) < WEAK_BITS:
        words = (
            f"it looks made up, not drawn (about {bits:.0f} bits): whoever guesses it signs resume tickets for anybody"
        )
        yield wrong("SECRET_KEY", words, "set the output of `openssl rand -hex 32`; open pages sign in again")
    elif found.secret_key:
        yield ok("SECRET_KEY", f"{len(found.secret_key)} characters")
    if found.demo:
        todo = "set DEMO=off wherever others than you can reach it"
        yield warning("DEMO", "on: accounts whose passwords are public may sign in", todo)
    if found.insecure_http and not found.secure:
        todo = "put something that ends TLS in front, and PUBLIC_URL=https://…"
        yield warning("PUBLIC_URL", "http: passwords and keystrokes go in the clear", todo)


def _bits(key: str) -> float:
    """Shannon's, over its own characters: what is drawn has many, a word or a repetition few."""
    counts = Counter(key)
    entropy = -sum(count / len(key) * math.log2(count / len(key)) for count in counts.values())
    halves = len(key) // 2
    repeats = key[:halves] == key[halves : 2 * halves]
    return entropy * len(key) / (2 if repeats else 1)


def versions() -> Iterator[Finding]:
    """Python, and the packages that were pinned."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST:
        yield wrong("Python", version, f"use {'.'.join(map(str, OLDEST))} or newer")
    else:
        yield ok("Python", version)
    if not REQUIREMENTS.is_file():
        yield warning("packages", f"there is no {REQUIREMENTS} to compare them with", "deploy the whole checkout")
        return
    # Those with a condition behind `;` belong to other Pythons and systems than most.
    pins = re.findall(r"^([\w-]+)==([\w.]+)$", REQUIREMENTS.read_text(), re.MULTILINE)
    others = [f"{name} {_installed(name)} instead of {pin}" for name, pin in pins if _installed(name) != pin]
    if others:
        yield warning("packages", ", ".join(others), "pip install -r requirements.txt, or build the image anew")
    else:
        yield ok("packages", f"all {len(pins)} as pinned")


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


def room() -> Iterator[Finding]:
    """What this process may use of this host."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < FILES:
        todo = f"raise the hard limit: LimitNOFILE={FILES * 16} in the unit, or `ulimit -Hn`"
        yield warning("open files", f"at most {most}, enough for {most // 6} terminals", todo)
    else:
        yield ok("open files", f"at most {most}")
    found = re.search(r"^MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    free = int(found[1]) * 1024 if found else 0
    if free < LOW_MEMORY:
        yield wrong("memory here", f"{free >> 20} MiB available", "free some: the kernel is about to kill programs")
    else:
        yield ok("memory here", f"{free >> 20} MiB available")


def bundle(folder: Path) -> Iterator[Finding]:
    """The front end."""
    todo = f"build it: (cd static && npm ci && npm run build); STATIC_DIR is {folder}"
    try:
        names: dict[str, str] = json.loads((folder / "manifest.json").read_text())
    except OSError as error:
        yield wrong("pages", f"there is no front end to serve: {error.strerror}: {error.filename}", todo)
        return
    except ValueError:
        yield wrong("pages", f"{folder}/manifest.json isn't JSON", todo)
        return
    missing = [name for name in names.values() if not (folder / name).is_file()]
    if missing:
        yield wrong("pages", f"{len(missing)} of {len(names)} files are missing, {missing[0]} among them", todo)
    else:
        yield ok("pages", f"{len(names)} files in {folder}")


async def holder(path: Path) -> AsyncGenerator[Finding, None]:
    """It speaks as this server does; whether it runs in containers the trial tells."""
    check = "holder's binary"
    todo = f"build the one of this version: make -C terminals/holder, or mend HOLDER_PATH ({path})"
    files = built(path)
    binary = files.get(platform.machine()) or next(iter(files.values()))
    try:
        process = await asyncio.create_subprocess_exec(str(binary), "version", env={}, stdout=-1, stderr=-3)
        told, _ = await process.communicate()
    except OSError as error:
        # Containers may be of another architecture than this host.
        yield warning(
            check, f"doesn't run here: {error.strerror}; the trial container tells whether it does there", todo
        )
        return
    if told.strip() != str(VERSION).encode():
        spoken = told.decode(errors="replace").strip()[:20] or "nothing"
        yield wrong(check, f"speaks {spoken}, and this server speaks version {VERSION}", todo)
    else:
        yield ok(check, f"speaks version {VERSION}, as this server does")


async def screens(node: Path | None, script: Path) -> AsyncGenerator[Finding, None]:
    """The screen helper starts, and ends with its input."""
    what = "without it, who comes late to a terminal gets the end of its output instead of its screen"
    if node is None:
        yield warning("screen helper", f"there is no node; {what}", "pip install -r requirements.txt, or set NODE")
        return
    try:
        process = await asyncio.create_subprocess_exec(
            str(node), str(script), env={}, stdin=asyncio.subprocess.PIPE, stdout=-3, stderr=asyncio.subprocess.PIPE
        )
    except OSError as error:
        yield warning("screen helper", f"{node} can't be started: {error.strerror}; {what}", "mend NODE")
        return
    try:
        async with asyncio.timeout(NODE_S):
            _, complaint = await process.communicate(b"")
    except TimeoutError:
        process.kill()
        await process.wait()
        complaint = f"it doesn't end within {NODE_S:.0f} s".encode()
    if process.returncode:
        words = complaint.decode(errors="replace").strip().splitlines() or [f"exit {process.returncode}"]
        todo = f"node 24 or newer, and a front end built by it (SCREEN_SCRIPT={script})"
        yield warning("screen helper", f"{' '.join(words)[-200:]}; {what}", todo)
    else:
        yield ok("screen helper", f"starts and ends with {node}")


def door(folder: Path | None, *, local: bool) -> Iterator[Finding]:
    """The folder for sockets between holders and us."""
    if folder is None:
        if local:
            todo = "install -d -m 0711 /run/educenter-door at every boot, and DOOR_DIR=/run/educenter-door"
            yield warning("door", "unset: keys and output go through LXD, at twice the latency", todo)
        else:
            yield ok("door", "unset, as it must be where LXD is another host")
        return
    mend = f"chown it to user {os.geteuid()} (this one), chmod 0711 {folder}"
    try:
        mode = folder.stat().st_mode & 0o777
    except OSError as error:
        yield wrong(
            "door", f"{folder}: {error.strerror}", f"install -d -m 0711 {folder} at every boot, or unset DOOR_DIR"
        )
        return
    if mode & 0o066 or not mode & 0o001:
        words = f"{folder} has mode {mode:04o}: others must pass, and neither list nor write"
        yield wrong("door", words, mend)
        return
    path = folder / secrets.token_hex(16)
    try:
        with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as caller:
            listener.bind(str(path))
            listener.listen(1)
            caller.connect(str(path))
    except OSError as error:
        yield wrong("door", f"no socket can be made in {folder}: {error.strerror or error}", mend)
    else:
        yield ok("door", f"sockets in {folder} can be reached")
    finally:
        path.unlink(missing_ok=True)
