"""Caller: how LXD is called: threads, one client, what its refusals mean, and how long it took."""

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar, cast

import pylxd
import requests
import structlog
from pylxd import exceptions
from urllib3.connection import HTTPConnection
from urllib3.exceptions import NewConnectionError

from terminals.errors import NotFound, Refused, Unavailable
from terminals.lxd.address import Address
from terminals.lxd.whereabouts import AWAY, Whereabouts, away, evacuated
from terminals.tallies import Durations

log = structlog.get_logger(__name__)

THREADS, QUICK_THREADS = 12, 8
"""For calls that may take long, and for those that a waiting person's prompt hangs on."""
QUICK = frozenset(("exec", "instance", "answers", "complaint", "outcome", "read", "unfreeze", "change", "push"))
CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 70
"""LXD answers a wait only when the operation is done: as long as the slowest one (unpacking an image on a slow disk)."""
SILENT_WORDS = ("Missing event connection with target cluster member", "Unable to connect to: ")
"""How LXD says that another member of its cluster doesn't answer it."""
GONE = "Instance not found"
"""What an operation ends with when another one deleted the instance meanwhile."""
EVACUATED_WORDS = "Cluster member is evacuated"
ALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 10_000),
)
"""A machine that lost its power says nothing any more: a call that waits for it learns so in about 10 s."""

T = TypeVar("T")
Json = dict[str, Any]


@dataclass(slots=True)
class Calls:
    """How often and how long LXD was called, for the metrics."""

    count: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By operation and result."""
    seconds: dict[str, Durations] = field(default_factory=dict)
    """By operation."""

    def add(self, operation: str, result: str, seconds: float) -> None:
        self.count[operation, result] += 1
        self.seconds.setdefault(operation, Durations()).add(seconds)


class Caller:
    """One project's. What is asked of LXD is said in the classes that inherit from it."""

    def __init__(self, address: Address, project: str) -> None:
        self.address = address
        self.project = project
        self.calls = Calls()
        self.whereabouts = Whereabouts()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="lxd")
        self._quick = ThreadPoolExecutor(QUICK_THREADS, thread_name_prefix="lxd-quick")
        self._lock = threading.Lock()
        self._client: pylxd.Client | None = None
        self._client_url = ""

    def close(self) -> None:
        """Lets running calls end by themselves; none is begun any more."""
        for threads in (self._threads, self._quick):
            threads.shutdown(wait=False, cancel_futures=True)

    def _wait(self, client: pylxd.Client, response: requests.Response) -> None:
        body = response.json()
        if body["type"] == "async":
            client.operations.wait_for_operation(body["operation"])

    async def _run(self, operation: str, call: Callable[[pylxd.Client], T], name: str = "") -> T:
        """Runs `call` in the pool and translates what pylxd and requests raise."""
        began, result, url = time.monotonic(), "ok", self.address.url
        try:
            self.whereabouts.check(name)
            threads = self._quick if operation in QUICK else self._threads
            found = await asyncio.get_running_loop().run_in_executor(threads, self._call, call)
            self.whereabouts.heard(self.whereabouts.of(name))
            return found
        except Unavailable:
            result = "unavailable"
            raise
        except exceptions.NotFound as error:
            result = "not_found"
            raise NotFound(f"LXD has no such thing: {error}") from error
        except exceptions.LXDAPIException as error:
            refusal = self._refusal(error, name)
            result = "unavailable" if refusal.code == AWAY else "refused"
            raise refusal from error
        except (requests.RequestException, exceptions.ClientConnectionFailed, OSError) as error:
            result = "unavailable"
            self._leave(url)
            raise Unavailable("LXD doesn't answer. Running programs go on; try again in a moment") from error
        finally:
            seconds = time.monotonic() - began
            self.calls.add(operation, result, seconds)
            log.debug("lxd_called", operation=operation, container=name, result=result, ms=round(seconds * 1000))

    def _refusal(self, error: exceptions.LXDAPIException, name: str) -> Refused | NotFound | Unavailable:
        reason = str(error) or "no reason given"
        if reason == GONE:
            return NotFound(f"LXD has no such thing: {name}")
        if silent(error):
            member = self.whereabouts.of(name)
            self.whereabouts.hush(member)
            return away(member)
        if EVACUATED_WORDS in reason:
            return evacuated(self.whereabouts.of(name))
        if busy_itself(error):
            return Unavailable("LXD is being restarted. Running programs go on; try again in a moment")
        if "not authorized" in reason.lower():
            return Unavailable("LXD answers but doesn't trust this server's certificate: add it to LXD's trust store")
        return Refused(f"LXD refused: {reason}" + (f" (container {name})" if name else ""))

    def _call(self, call: Callable[[pylxd.Client], T]) -> T:
        """At the next address where one can't be reached at all; else LXD may have done it."""
        for _ in self.address.all[1:]:
            url = self.address.url
            try:
                return call(self._connected())
            except (requests.RequestException, exceptions.ClientConnectionFailed, OSError) as error:
                if not _unsent(error):
                    raise
                self._leave(url)
        return call(self._connected())

    def _leave(self, url: str) -> None:
        if self.address.leave(url):
            log.warning("lxd_address_left", address=url)

    def _connected(self) -> pylxd.Client:
        """The one client: made when first needed, so that a server starts while LXD is down; anew at another address."""
        with self._lock:
            if self._client is None or self._client_url != self.address.url:
                self._client_url = self.address.url
                self._client = self._connect(self.project)
            return self._client

    def _connect(self, project: str | None) -> pylxd.Client:
        session = None
        if self.address.secure:
            # REQUESTS_CA_BUNDLE in the environment would replace the pinned certificate.
            session = pylxd.client.get_session_for_url(
                self.address.url, verify=self.address.server_cert, cert=(self.address.cert, self.address.key)
            )
            session.trust_env = False
            session.mount("https://", _Alive())
        endpoint = self.address.url if self.address.secure else self.address.socket
        return pylxd.Client(
            endpoint=endpoint, timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S), project=project, session=session
        )


def exists(node: Any) -> bool:
    try:
        node.get()
    except exceptions.NotFound:
        return False
    return True


def clustered(client: pylxd.Client) -> bool:
    # Whom it doesn't trust it doesn't tell: what is asked next is refused in words.
    return bool(client.api.get().json()["metadata"].get("environment", {}).get("server_clustered"))


def members(client: pylxd.Client) -> list[Json]:
    """Of the cluster."""
    return cast("list[Json]", client.api.cluster.members.get(params={"recursion": 1}).json()["metadata"])


def silent(error: exceptions.LXDAPIException) -> bool:
    """Another member doesn't answer LXD."""
    return any(words in str(error) for words in SILENT_WORDS)


def busy_itself(error: exceptions.LXDAPIException) -> bool:
    return bool(error.response.status_code == HTTPStatus.SERVICE_UNAVAILABLE)


def _unsent(error: Exception) -> bool:
    """There was no connection to send it over. A client that is made asks before anything is asked of it."""
    if isinstance(error, exceptions.ClientConnectionFailed | requests.ConnectTimeout):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", None), NewConnectionError)


class _Alive(pylxd.client.LXDSSLAdapter):  # type: ignore[misc]  # pylxd has no types
    def init_poolmanager(self, *words: Any, **more: Any) -> None:
        options = [*HTTPConnection.default_socket_options, *ALIVE]
        super().init_poolmanager(*words, **more, socket_options=options)
