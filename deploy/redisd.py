"""A private Redis in a folder, reached over its unix socket only. It keeps nothing on disk: Redis holds no truth."""

import contextlib
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from deploy import processes
from deploy.commands import Failed, run

USER = "redis"
START_SECONDS = 10.0
ANSWER_SECONDS = 3.0


def url(folder: Path) -> str:
    """What REDIS_URL says."""
    return f"unix://{folder}/redis.sock?db=0"


def ask(address: str) -> None:
    """Fails unless it answers a PING."""
    parts = urlsplit(address)
    password = unquote(parts.password) if parts.password else parse_qs(parts.query).get("password", [""])[0]
    login = [word for word in ("AUTH", unquote(parts.username or ""), password) if word] if password else []
    try:
        with contextlib.closing(_connect(address)) as connection:
            if login:
                connection.sendall(_encoded(login))
                connection.recv(64)
            connection.sendall(_encoded(["PING"]))
            answer = connection.recv(64)
    except OSError as error:
        raise Failed(f"no connection: {error}") from error
    if not answer.startswith(b"+PONG"):
        raise Failed(f"it says: {answer.decode(errors='replace').strip()}")


def answers(address: str) -> bool:
    """Whether it answers a PING."""
    try:
        ask(address)
    except Failed:
        return False
    return True


def start(folder: Path) -> str:
    """Starts it if it doesn't answer."""
    if answers(url(folder)):
        return "answers"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    run("chown", f"{USER}:{USER}", folder)
    processes.stop(_ours(folder), 5)
    log = folder / "log"
    process = processes.start(
        *("redis-server", "--port", "0", "--unixsocket", folder / "redis.sock", "--unixsocketperm", "700"),
        *("--dir", folder, "--save", "", "--appendonly", "no", "--daemonize", "no"),
        log=log,
        user=USER,
        cwd=folder,
    )
    processes.started(process, lambda: answers(url(folder)), START_SECONDS, log, "Redis")
    return "started"


def stop(folder: Path) -> None:
    """SIGTERM; there is nothing to save."""
    processes.stop(_ours(folder), 5)


def _ours(folder: Path) -> Callable[[processes.Process], bool]:
    return lambda process: process.program.startswith("redis-") and process.folder == str(folder)


def _connect(address: str) -> socket.socket:
    parts = urlsplit(address)
    if parts.scheme == "unix":
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(ANSWER_SECONDS)
        try:
            connection.connect(parts.path)
        except OSError:
            connection.close()
            raise
        return connection
    host = parts.hostname or "localhost"
    connection = socket.create_connection((host, parts.port or 6379), ANSWER_SECONDS)
    if parts.scheme != "rediss":
        return connection
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # a probe; the server checks
    return context.wrap_socket(connection, server_hostname=host)


def _encoded(words: list[str]) -> bytes:
    parts = [b"*%d\r\n" % len(words)]
    parts += [b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words]
    return b"".join(parts)
