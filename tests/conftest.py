"""The world of the tests: the real services that `make test` starts and names in the environment, and servers of their own."""

import asyncio
import contextlib
import itertools
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from redis.asyncio import Redis

from server import seed
from server.passwords import Passwords
from terminals.errors import Unavailable
from terminals.lxd import Address, Lxd
from terminals.store import Store
from terminals.store.database import Database
from tests import lanes
from tests.client import PASSWORD, User
from tests.figures import figures
from tests.log_lines import check_lines

lanes.enter()
pytest_plugins = ["tests.holder_builds", "tests.hangs"]
ROOT = Path(__file__).parent.parent
START_TIMEOUT_S = 20
REFUSED = (1, 2)
"""Exit statuses where settings or arguments are wrong, or the port is taken: that is said in words, before there is a log."""
ALOUD = "aloud"
PORTS = range(12_000, 32_000)
"""Below those that the kernel gives to connections: a server's stays free while it is down."""


class Server:
    """A server process as operators run it: `python -m server serve` with its settings in the environment."""

    def __init__(self, log: Path, workers: int = 1, /, **settings: str) -> None:
        self.tree = Path(settings.pop("TREE", str(ROOT)))
        """Whose code it runs."""
        self.workers = workers
        self.port = int(settings.get("PORT") or free_port())
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        self.settings = {
            **os.environ,
            "PORT": str(self.port),
            "HOST": "127.0.0.1",
            "PUBLIC_URL": self.url,
            "DEMO": "on",
            "LOG_FORMAT": "json",
            # Tests count containers: those of the pool's own tests wait.
            "POOL_READY": "0",
            # Tests of the path want it as fast as it goes.
            "LIMIT_OUTPUT": "0",
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None
        self._told = 0
        self._checked = 0

    def start(self, *, wait: bool = True) -> float:
        """Seconds until /readyz answered."""
        began = time.monotonic()
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "server", "serve", "--workers", str(self.workers)]
            self.process = subprocess.Popen(command, cwd=self.tree, env=self.settings, stdout=log, stderr=log)
        if wait:
            self.until_ready()
        return time.monotonic() - began

    def complete(self) -> None:
        """For another test: it runs, and has logged nothing yet."""
        if self.process is None or self.process.poll() is not None:
            self.start()
        self._told = self.log.stat().st_size

    def until_ready(self) -> None:
        limit = time.monotonic() + START_TIMEOUT_S
        while True:
            assert self.process is not None
            assert self.process.poll() is None, f"the server ended:\n{self.log.read_text()[-3000:]}"
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=3) as answer:
                    assert answer.status == 200
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                assert time.monotonic() < limit, "the server didn't become ready"
                time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL: it can clear nothing up."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)
        self._check_lines()

    def stop(self) -> float:
        """SIGTERM; seconds until it was gone."""
        assert self.process is not None
        began = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)
        took = time.monotonic() - began
        self._check_lines()
        return took

    def _check_lines(self) -> None:
        """All that it has logged since is as docs/log-schema.json says; the last line may be cut off by its death."""
        assert self.process is not None
        if self.settings["LOG_FORMAT"] != "json" or self.process.returncode in REFUSED:
            return
        with self.log.open("rb") as log:
            log.seek(self._checked)
            whole, end, _ = log.read().rpartition(b"\n")
        self._checked += len(whole + end)
        check_lines(whole)

    def worker_pids(self) -> list[int]:
        """The processes of its workers; none where it is one itself."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def logged(self, event: str) -> list[str]:
        """The log lines of an event."""
        lines = self.log.read_bytes()[self._told :].decode().splitlines()
        return [line for line in lines if f'"event": "{event}"' in line]


def lxc(*words: str) -> str:
    """LXD's own client on the tests' project; what it printed."""
    environment = {**os.environ, "LXD_DIR": str(Path(os.environ["LXD_URL"]).parent)}
    command = ["lxc", "--project", os.environ["LXD_PROJECT"], *words]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60).stdout


def container_of(session: str, ask: Callable[..., str] = lxc) -> str:
    """The container that was made for a session, as LXD knows it."""
    (name,) = ask("list", f"user.educenter.session={session}", "-c", "n", "-f", "csv").split()
    return name


def free_port() -> int:
    while True:
        port = random.choice(PORTS)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


@pytest.fixture(scope="session")
def seeded() -> None:
    async def work() -> None:
        async with Database.connected(os.environ["DATABASE_URL"]) as database:
            # What a run that was killed left; the database is the tests' own. Its containers are a sweep's.
            await database.run("UPDATE containers SET state = 'gone', session_id = NULL, heard_at = 'epoch'")
            await database.run("DELETE FROM sessions")
            await database.run("DELETE FROM users WHERE email LIKE '%@example.test'")
            passwords = Passwords()
            await seed.demo(Store.over(database), passwords)
            passwords.close()
        redis = Redis.from_url(os.environ["REDIS_URL"])
        await redis.flushdb()
        await redis.aclose()

    asyncio.run(work())


@pytest.fixture(scope="session")
def server(seeded: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that don't harm it."""
    running = Server(tmp_path_factory.mktemp("server") / "log")
    running.start()
    yield running
    running.stop()


@pytest.fixture
async def alone(server: Server, store: Store) -> AsyncIterator[None]:
    """No container is there, and that one server is away: it would take starts by rules of its own."""
    # What waits in a pool that nobody tends any more.
    await store.database.run("UPDATE containers SET state = 'gone', heard_at = 'epoch' WHERE state = 'ready'")
    async with asyncio.timeout(60):
        while await store.database.value("SELECT count(*) FROM containers WHERE state <> 'kept'"):
            await asyncio.sleep(0.2)
    await asyncio.to_thread(server.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(server.start)


@pytest.fixture
def make_server(seeded: None, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Makes servers that the test may harm; settings as keywords. Not started."""
    made: list[Server] = []
    numbers = itertools.count()

    def make(*, workers: Any = 1, **settings: Any) -> Server:
        made.append(Server(tmp_path / f"server-{next(numbers)}.log", workers, **settings))
        return made[-1]

    # Each of them, also when one ended badly: it would serve the next test's students.
    with contextlib.ExitStack() as stack:
        yield make
        for running in made:
            if running.process is not None:
                stack.callback(running.stop)


@pytest.fixture
def aloud(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Says something that is shown at the end of the run, whichever lane it comes from."""

    def say(text: str) -> None:
        request.node.user_properties.append((ALOUD, text))

    return say


@pytest.fixture
def told(aloud: Callable[[str], None]) -> Callable[[str, list[float]], None]:
    """Says what was measured, in seconds."""

    def tell(what: str, seconds: list[float]) -> None:
        aloud(f"{what}: {figures(seconds)}")

    return tell


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for found in terminalreporter.stats.values() for report in found]
    ends = [report for report in reports if isinstance(report, pytest.TestReport) and report.when == "call"]
    spoke = [(report.nodeid, [text for name, text in report.user_properties if name == ALOUD]) for report in ends]
    if any(texts for _, texts in spoke):
        terminalreporter.section("figures")
    for name, texts in spoke:
        for line in [name, *(f"  {text}" for text in texts)] if texts else ():
            terminalreporter.write_line(line)


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with Database.connected(os.environ["DATABASE_URL"]) as database:
        yield Store.over(database)


@pytest.fixture
async def redis() -> AsyncIterator[Redis]:
    client = Redis.from_url(os.environ["REDIS_URL"])
    yield client
    await client.aclose()


@pytest.fixture
async def lxd() -> AsyncIterator[Lxd]:
    client = Lxd(Address(os.environ["LXD_URL"]), os.environ["LXD_PROJECT"])
    yield client
    client.close()


@pytest.fixture
async def make_user(store: Store) -> AsyncIterator[Callable[..., Any]]:
    """Makes fresh people of the demo course; at the end their labs are ended and they are deleted."""
    async with people(store) as make:
        yield make


@cache
def password_hash() -> str:
    return PasswordHasher().hash(PASSWORD)


@asynccontextmanager
async def people(store: Store) -> AsyncIterator[Callable[..., Any]]:
    """The same for fixtures that live longer."""
    made: list[User] = []

    async def make(url: str, *, role: str | None = "student", name: str = "Test Person") -> User:
        email = f"t{secrets.token_hex(6)}@example.test"
        user = await store.users.put(email, name, password_hash())
        if role:
            await store.courses.enrol(seed.COURSE, user, role)
        person = User(url, email)
        made.append(person)
        await person.sign_in()
        return person

    try:
        yield make
    finally:
        for person in made:
            await person.http.close()
        await asyncio.gather(*(clear(store, person.email) for person in made))
        # One after the other: what they did to each other is a row of both.
        for person in made:
            await store.users.delete(person.email)


async def clear(store: Store, email: str) -> None:
    """Ends what a test left and waits until LXD has deleted it: the next test counts."""
    user = await store.users.by_email(email)
    assert user is not None
    rows = await store.database.fetch("SELECT id FROM sessions WHERE user_id = $1 AND state <> 'ended'", user.id)
    for row in rows:
        await store.sessions.end(row["id"])
    names = await store.database.fetch(
        """SELECT c.name FROM containers c LEFT JOIN sessions s ON s.id = c.session_id
        WHERE s.user_id = $1 OR c.kept_user = $1""",
        user.id,
    )
    await store.database.run("UPDATE containers SET state = 'gone' WHERE kept_user = $1", user.id)
    if names:
        client = Lxd(Address(os.environ["LXD_URL"]), os.environ["LXD_PROJECT"])
        await asyncio.gather(*(_deleted(client, row["name"]) for row in names))
        for row in names:
            await store.containers.forget(row["name"])
        client.close()


async def _deleted(client: Lxd, name: str) -> None:
    """As the product does, asks once more: a server deletes the same container at this moment, and LXD can lose one of two."""
    try:
        await client.delete(name)
    except Unavailable:
        await client.delete(name)


@pytest.fixture
async def student(server: Server, make_user: Callable[..., Any]) -> User:
    """A signed-in student on the shared server."""
    person: User = await make_user(server.url)
    return person
