"""A private PostgreSQL in a folder, reached over its unix socket only.

Only root and postgres reach the socket (the folder is 0700), so local connections are trusted.
"""

from collections.abc import Callable
from pathlib import Path

from deploy import processes
from deploy.commands import Failed, run, works

NAME = "educenter"
PORT = 5432
USER = "postgres"
START_SECONDS = 30.0
ORPHAN_SECONDS = 8.0
UNSAFE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


def url(folder: Path, database: str = NAME) -> str:
    """What DATABASE_URL says; asyncpg, psycopg2 and libpq all take this form."""
    return f"postgresql://{NAME}@/{database}?host={folder}&port={PORT}"


def ask(address: str) -> None:
    """Fails unless a query gets its answer."""
    plain = address.replace("+asyncpg", "", 1)
    try:
        run("psql", "-XAtqc", "select 1", plain, env={"PGCONNECT_TIMEOUT": "3"}, timeout=10)
    except Failed as failure:  # the first line has the address with its password, the others say why
        raise Failed(" ".join(line.strip() for line in failure.why.splitlines()[1:])) from None


def answers(address: str) -> bool:
    """Whether a query gets its answer."""
    try:
        ask(address)
    except Failed:
        return False
    return True


def start(folder: Path, *, durable: bool = True) -> str:
    """Starts it if it doesn't answer, creates it if it isn't there. Safe after a SIGKILL at any moment."""
    if answers(url(folder)):
        return "answers"
    created = _create(folder)
    if not answers(url(folder, "postgres")):
        _clear(folder)
        log = folder / "log"
        settings = ["listen_addresses=", f"unix_socket_directories={folder}", "unix_socket_permissions=0700"]
        settings += [] if durable else UNSAFE
        process = processes.start(
            _program("postgres"),
            "-D",
            folder / "data",
            "-p",
            str(PORT),
            *[word for setting in settings for word in ("-c", setting)],
            log=log,
            user=USER,
        )
        processes.started(process, lambda: answers(url(folder, "postgres")), START_SECONDS, log, "PostgreSQL")
    if not answers(url(folder)):
        run("createdb", "-h", folder, "-p", str(PORT), "-U", NAME, NAME)
    return "created" if created else "started"


def empty(folder: Path) -> None:
    """A database with nothing in it, in place of the one that is there."""
    where = ("-h", folder, "-p", str(PORT), "-U", NAME)
    run("dropdb", *where, "--if-exists", "--force", NAME)
    run("createdb", *where, NAME)


def stop(folder: Path) -> None:
    """A fast shutdown: transactions are rolled back, nothing is lost."""
    if processes.find(_ours(folder)):
        data = folder / "data"
        as_user = ("setpriv", "--reuid", USER, "--regid", USER, "--clear-groups")
        works(*as_user, _program("pg_ctl"), "-D", data, "-m", "fast", "-w", "-t", "20", "stop", timeout=30)
        processes.stop(_ours(folder), 5)


def _create(folder: Path) -> bool:
    data = folder / "data"
    if data.exists():
        return False
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    run("chown", "postgres:postgres", folder)
    folder.chmod(0o700)
    fresh = folder / "data.new"
    run("rm", "-rf", fresh)
    options = ("--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8")
    run(_program("initdb"), "-D", fresh, "-U", NAME, *options, user=USER, cwd=Path("/"), locked=True)
    fresh.rename(data)
    return True


def _clear(folder: Path) -> None:
    """Lets a killed server's orphans go, then removes its lock files: their pids may be somebody else's by now.

    While any orphan lives the lock must stay: it guards the shared memory.
    """
    ours = _ours(folder)
    if not processes.wait_for(lambda: not processes.find(ours), ORPHAN_SECONDS):
        processes.stop(ours, 5)
    for lock in (folder / "data" / "postmaster.pid", folder / f".s.PGSQL.{PORT}.lock", folder / f".s.PGSQL.{PORT}"):
        lock.unlink(missing_ok=True)


def _ours(folder: Path) -> Callable[[processes.Process], bool]:
    data = str(folder / "data")
    return lambda process: process.program == "postgres" and process.folder == data


def _program(name: str) -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    if not found:
        raise Failed(f"{name} is not installed", "apt-get install postgresql-15")
    return found[-1]
