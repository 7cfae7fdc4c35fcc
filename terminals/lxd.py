"""Lxd: the control plane, over pylxd in a bounded thread pool. The only file that imports pylxd.

Knows instances, files and execs in one LXD project; knows nothing of sessions or terminals. The streams of an exec are
`terminals/link/exec.py`'s. Exec addresses carry secrets: they are never logged.
"""

import asyncio
import re
import ssl
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

from terminals.errors import Invalid, NotFound, Refused, Unavailable
from terminals.tallies import Durations

log = structlog.get_logger(__name__)

THREADS, QUICK_THREADS = 12, 8
"""For calls that may take long, and for those that a waiting person's prompt hangs on."""
QUICK = frozenset(("exec", "instance", "answers", "complaint", "outcome", "read", "unfreeze", "change", "push"))
CONNECT_TIMEOUT_S = 5
BUSY_WORDS = ("busy", "matching non-reusable operation", "already stopped", "quota exceeded")
"""How LXD says that somebody else is at it, or was a moment ago; or that it has stopped it all the same, though a full
disk kept it from tidying up."""
BUSY_TRIES, BUSY_S = 10, 1.0
RUNNING_WORDS = "already running"
READ_TIMEOUT_S = 70
"""LXD answers a wait only when the operation is done: as long as the slowest one (unpacking an image on a slow disk)."""

T = TypeVar("T")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Address:
    """Where LXD listens: a unix socket's path, or an https address with the certificates to use."""

    url: str
    cert: str | None = None
    key: str | None = None
    server_cert: str | None = None

    @property
    def secure(self) -> bool:
        return self.url.startswith("https://")

    @property
    def socket(self) -> str:
        """The unix socket's path."""
        return self.url.removeprefix("unix://")

    def tls(self) -> ssl.SSLContext:
        """A context that trusts the pinned server certificate and nothing else.

        The name isn't checked: LXD's own certificate is self-signed for names that clients don't use.
        """
        context = ssl.create_default_context(cafile=self.server_cert)
        context.check_hostname = False
        if self.cert:
            context.load_cert_chain(self.cert, self.key)
        return context


@dataclass(frozen=True, slots=True)
class ExecSockets:
    """A started exec: its operation's id and the websocket secrets by stream. LXD waits 5 s for all to be connected."""

    operation: str
    secrets: dict[str, str]


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


class Lxd:
    """One LXD project. Every method may raise `Unavailable` (no answer), `NotFound` and `Refused` (LXD's own reason)."""

    def __init__(self, address: Address, project: str) -> None:
        self.address = address
        self.project = project
        self.calls = Calls()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="lxd")
        self._quick = ThreadPoolExecutor(QUICK_THREADS, thread_name_prefix="lxd-quick")
        self._lock = threading.Lock()
        self._client: pylxd.Client | None = None

    def close(self) -> None:
        """Lets running calls end by themselves; none is begun any more."""
        for threads in (self._threads, self._quick):
            threads.shutdown(wait=False, cancel_futures=True)

    # -- instances -------------------------------------------------------------------------------------------------

    async def names(self) -> list[str]:
        """Of all instances in the project."""

        def call(client: pylxd.Client) -> list[str]:
            urls = client.api.instances.get().json()["metadata"]
            return [url.rsplit("/", 1)[-1].split("?")[0] for url in urls]

        return await self._run("names", call)

    async def instances(self) -> list[Json]:
        """The records of all instances in the project."""

        def call(client: pylxd.Client) -> list[Json]:
            return cast("list[Json]", client.api.instances.get(params={"recursion": 1}).json()["metadata"])

        return await self._run("instances", call)

    async def instance(self, name: str) -> Json:
        """LXD's record: status, config, devices and the like."""
        return await self._run("instance", lambda c: cast("Json", c.api.instances[name].get().json()["metadata"]))

    async def create(self, name: str, source: Json, config: dict[str, str], devices: dict[str, dict[str, str]]) -> None:
        """Creates a container from an image (`{"type": "image", "alias": …}`) or as a copy (`{"type": "copy", "source": …}`)."""
        body = {"name": name, "type": "container", "source": source, "config": config, "devices": devices}
        await self._run("create", lambda c: self._wait(c, c.api.instances.post(json=body)), name)

    async def start(self, name: str) -> None:
        """Starts a stopped container."""
        await self._state(name, "start", {"timeout": 30})

    async def stop(self, name: str) -> None:
        """Stops it at once, without asking its programs."""
        await self._state(name, "stop", {"timeout": 30, "force": True})

    async def freeze(self, name: str) -> None:
        """Stops its processes where they stand. Can take a second."""
        await self._state(name, "freeze", {"timeout": 10})

    async def unfreeze(self, name: str) -> None:
        """Lets a frozen container's processes run again."""
        await self._state(name, "unfreeze", {"timeout": 10})

    async def rename(self, name: str, new: str) -> None:
        """Renames a stopped container.

        Raises:
            Refused: there is one of that name, or it runs.
        """
        await self._run("rename", lambda c: self._wait(c, c.api.instances[name].post(json={"name": new})), name)

    async def grow_root(self, name: str, by: int, most: int) -> bool:
        """Allows a container's root disk `by` bytes more; False: it would be larger than `most`, or has no limit."""

        def call(client: pylxd.Client) -> bool:
            node = client.api.instances[name]
            root = node.get().json()["metadata"]["devices"].get("root", {})
            size = size_in_bytes(root.get("size", "")) + by
            if size == by or size > most:
                return False
            self._wait(client, node.patch(json={"devices": {"root": {**root, "size": str(size)}}}))
            return True

        return await self._run("grow_root", call, name)

    async def change(self, name: str, config: dict[str, str], devices: dict[str, dict[str, str]]) -> None:
        """Sets these keys and devices of an instance, running or not; all else stays."""
        body = {"config": config, "devices": devices} if devices else {"config": config}
        await self._run("change", lambda c: self._wait(c, c.api.instances[name].patch(json=body)), name)

    async def delete(self, name: str) -> None:
        """Stops and deletes; one that isn't there counts as deleted."""

        def call(client: pylxd.Client) -> None:
            self._halt(client, name)
            self._wait(client, client.api.instances[name].delete())

        try:
            await self._patiently("delete", call, name)
        except NotFound:
            log.info("container_already_gone", container=name)

    async def halt(self, name: str) -> None:
        """Stops it at once, whatever it does; one that doesn't run counts as stopped."""
        await self._patiently("stop", lambda c: self._halt(c, name), name)

    async def run(self, name: str) -> bool:
        """Starts it, or unfreezes it, when nothing else is being done to it; False: it ran."""

        def call(client: pylxd.Client) -> None:
            # Asked whatever its state: while a stop is under way it counts as running.
            self._wait(client, client.api.instances[name].state.put(json={"action": "start", "timeout": 30}))

        try:
            await self._patiently("start", call, name)
        except Refused as error:
            if RUNNING_WORDS not in error.message:
                raise
            return False
        return True

    def _halt(self, client: pylxd.Client, name: str) -> None:
        node = client.api.instances[name]
        if node.get().json()["metadata"]["status"] not in ("Stopped", "Error"):
            self._wait(client, node.state.put(json={"action": "stop", "timeout": 30, "force": True}))

    async def _patiently(self, operation: str, call: Callable[[pylxd.Client], None], name: str) -> None:
        """Again while somebody else does something to it at this moment: LXD does one thing at a time to an instance."""
        for _ in range(BUSY_TRIES):
            try:
                return await self._run(operation, call, name)
            except Refused as error:
                if not any(words in error.message for words in BUSY_WORDS):
                    raise
                await asyncio.sleep(BUSY_S)
        raise Refused(f"LXD has been busy with container {name} for {BUSY_S * BUSY_TRIES:.0f} s")

    async def push(self, name: str, path: str, data: bytes, mode: int) -> None:
        """Writes a root-owned file into a container. Never over a running binary: LXD can't."""

        def call(client: pylxd.Client) -> None:
            headers = {"X-LXD-type": "file", "X-LXD-mode": f"{mode:04o}", "X-LXD-uid": "0", "X-LXD-gid": "0"}
            client.api.instances[name].files.post(params={"path": path}, data=data, headers=headers)

        await self._run("push", call, name)

    async def remove(self, name: str, path: str) -> None:
        """Deletes a file in a container.

        Raises:
            NotFound, Refused: there is none.
        """
        await self._run("remove", lambda c: c.api.instances[name].files.delete(params={"path": path}), name)

    async def make_folder(self, name: str, path: str, mode: int) -> None:
        """Makes a root-owned folder in a container; one that is there is left as it is."""

        def call(client: pylxd.Client) -> None:
            headers = {"X-LXD-type": "directory", "X-LXD-mode": f"{mode:04o}", "X-LXD-uid": "0", "X-LXD-gid": "0"}
            client.api.instances[name].files.post(params={"path": path}, headers=headers)

        await self._run("make_folder", call, name)

    async def read(self, name: str, path: str, most: int) -> bytes:
        """The first bytes of a file in a container, at most so many.

        Raises:
            NotFound, Refused: there is none.
        """

        def call(client: pylxd.Client) -> bytes:
            # A file in a container may have any size.
            with client.api.instances[name].files.get(params={"path": path}, stream=True) as response:
                return cast("bytes", next(response.iter_content(most), b""))

        return await self._run("read", call, name)

    async def exec(
        self, name: str, command: list[str], environment: dict[str, str], user: tuple[int, int] = (0, 0)
    ) -> ExecSockets:
        """Starts a non-interactive exec whose streams wait to be connected within 5 s; `user`: uid and gid."""
        body = {
            "user": user[0],
            "group": user[1],
            "command": command,
            "interactive": False,
            "wait-for-websocket": True,
            "environment": environment,
            "record-output": False,
        }

        def call(client: pylxd.Client) -> ExecSockets:
            operation = client.api.instances[name]["exec"].post(json=body).json()["metadata"]
            return ExecSockets(operation["id"], operation["metadata"]["fds"])

        return await self._run("exec", call, name)

    async def outcome(self, operation: str) -> int | None:
        """An ended exec's exit status; None: it didn't end by itself. An operation is forgotten 5 s after its end."""

        def call(client: pylxd.Client) -> int | None:
            found = client.api.operations[operation].wait.get(params={"timeout": 5}).json()["metadata"]
            status = (found.get("metadata") or {}).get("return")
            return int(status) if status is not None and not found.get("err") else None

        try:
            return await self._run("outcome", call)
        except NotFound:
            return None

    async def complaint(self, operation: str) -> str:
        """Why an exec failed, in LXD's words; empty when it doesn't say. An operation is forgotten 5 s after its end."""

        def call(client: pylxd.Client) -> str:
            found = client.api.operations[operation].wait.get(params={"timeout": 2}).json()["metadata"]
            status = (found.get("metadata") or {}).get("return", 0)
            return found.get("err") or {126: "Command not executable", 127: "Command not found"}.get(int(status), "")

        try:
            return await self._run("complaint", call)
        except NotFound:
            return ""

    # -- the house itself (`server lxd setup`, /readyz) --------------------------------------------------------------

    async def answers(self) -> str:
        """LXD's version.

        Raises:
            Unavailable: it doesn't answer, or doesn't trust us.
        """

        def call(client: pylxd.Client) -> str:
            found = client.api.get().json()["metadata"]
            if found.get("auth") != "trusted":
                raise Unavailable(
                    "LXD answers but doesn't trust this server's certificate: add it to LXD's trust store"
                )
            return cast("str", found["environment"]["server_version"])

        return await self._run("answers", call)

    async def resources(self, pool: str) -> list[tuple[str, Json, Json]]:
        """(name, its hardware, its storage pool's space) of each host that is online."""

        def call(client: pylxd.Client) -> list[tuple[str, Json, Json]]:
            def get(path: Any, target: str) -> Json:
                params = {"target": target} if target else {}
                return cast("Json", path.get(params=params).json()["metadata"])

            names = [""]
            if client.api.get().json()["metadata"]["environment"]["server_clustered"]:
                members = client.api.cluster.members.get(params={"recursion": 1}).json()["metadata"]
                names = [member["server_name"] for member in members if member["status"] == "Online"]
            space = client.api.storage_pools[pool].resources
            return [(name or "the host", get(client.api.resources, name), get(space, name)["space"]) for name in names]

        return await self._run("resources", call)

    async def server_record(self) -> Json:
        """What LXD says of itself: version, extensions, drivers."""
        return await self._run("server", lambda c: cast("Json", c.api.get().json()["metadata"]))

    async def pool_record(self, pool: str) -> Json:
        """Of a storage pool: its driver and configuration."""
        return await self._run("pool", lambda c: cast("Json", c.api.storage_pools[pool].get().json()["metadata"]))

    async def records(self, kind: str) -> list[Json]:
        """All `certificates` or `warnings` that we may see."""

        def call(client: pylxd.Client) -> list[Json]:
            return cast("list[Json]", client.api[kind].get(params={"recursion": 1}).json()["metadata"])

        return await self._run(kind, call)

    async def project_record(self) -> Json:
        """Of our project: its configuration and what uses it."""
        return await self._run("project", lambda c: cast("Json", c.api.projects[self.project].get().json()["metadata"]))

    async def leaving(self) -> bool:
        """Whether LXD was told to stop, or has only just begun: it answers, but what is asked of it must wait."""

        def call(client: pylxd.Client) -> bool:
            try:
                # There is no such call: LXD always refuses it, but in its own way when it refuses all but GET.
                client.api.projects.put(json={})
            except exceptions.LXDAPIException as error:
                return _busy_itself(error)
            return False

        return await self._run("leaving", call)

    async def setup(self, pool: str, driver: str, size: str) -> list[str]:
        """Makes our storage pool, project and default profile where they are missing. Returns what was made."""
        return await self._run("setup", lambda c: self._setup(c, pool, driver, size))

    def _setup(self, client: pylxd.Client, pool: str, driver: str, size: str) -> list[str]:
        made = []
        # Pools and projects are LXD's, not a project's: asked without ours.
        root = self._connect(None).api
        if not _exists(root.storage_pools[pool]):
            root.storage_pools.post(json={"name": pool, "driver": driver, "config": {"size": size} if size else {}})
            made.append(f"storage pool {pool} ({driver})")
        if not _exists(root.projects[self.project]):
            features = dict.fromkeys(("features.images", "features.profiles", "features.storage.volumes"), "true")
            root.projects.post(json={"name": self.project, "config": features, "description": "EduCenter Terminals"})
            made.append(f"project {self.project}")
        profile = {
            "description": "EduCenter: a root disk on our pool and no network",
            "config": {"boot.autostart": "false", "security.nesting": "false"},
            "devices": {"root": {"type": "disk", "path": "/", "pool": pool}},
        }
        client.api.profiles["default"].put(json=profile)
        return made

    async def firewall(self) -> str:
        """By what LXD enforces filters and access lists: nftables, or something else."""
        return await self._run("firewall", lambda c: _text(c.api.get().json()["metadata"]["environment"], "firewall"))

    async def addresses(self) -> list[str]:
        """Of the machine that LXD runs on, bridges of LXD's aside."""

        def call(client: pylxd.Client) -> list[str]:
            found = []
            for network in client.api.networks.get(params={"recursion": 1}).json()["metadata"]:
                if not network["managed"]:
                    state = client.api.networks[network["name"]].state.get()
                    found += [each["address"] for each in state.json()["metadata"]["addresses"]]
            return sorted(found)

        return await self._run("addresses", call)

    # Bridges and access lists are of the default project, and LXD shows them in ours: a certificate of ours is enough.
    async def network(self, name: str) -> dict[str, str] | None:
        """A bridge's config; None: there is none of ours of that name."""

        def call(client: pylxd.Client) -> dict[str, str] | None:
            found = client.api.networks[name].get().json()["metadata"]
            return cast("dict[str, str]", found["config"]) if found["managed"] else None

        return await self._there("network", call)

    async def put_network(self, name: str, config: dict[str, str]) -> None:
        """Makes a bridge, or gives it this config."""

        def call(client: pylxd.Client) -> None:
            body = {"config": config, "description": "EduCenter: made by `lxd setup`"}
            if _exists(client.api.networks[name]):
                self._wait(client, client.api.networks[name].put(json=body))
            else:
                self._wait(client, client.api.networks.post(json={"name": name, "type": "bridge", **body}))

        await self._run("put_network", call)

    async def acl(self, name: str) -> Json | None:
        """An access list's rules: ingress and egress; None: there is none."""

        def call(client: pylxd.Client) -> Json | None:
            found = client.api["network-acls"][name].get().json()["metadata"]
            return cast("Json", found)

        return await self._there("acl", call)

    async def put_acl(self, name: str, egress: list[dict[str, str]]) -> None:
        """Makes an access list, or gives it these rules and no others."""

        def call(client: pylxd.Client) -> None:
            body = {"egress": egress, "ingress": [], "config": {}, "description": "EduCenter: made by `lxd setup`"}
            lists = client.api["network-acls"]
            if _exists(lists[name]):
                self._wait(client, lists[name].put(json=body))
            else:
                self._wait(client, lists.post(json={"name": name, **body}))

        await self._run("put_acl", call)

    async def image_aliases(self) -> dict[str, str]:
        """Alias → fingerprint of the project's images."""

        def call(client: pylxd.Client) -> dict[str, str]:
            found = client.api.images.aliases.get(params={"recursion": 1}).json()["metadata"]
            return {alias["name"]: alias["target"] for alias in found}

        return await self._run("image_aliases", call)

    # -- how calls are made ------------------------------------------------------------------------------------------

    async def _state(self, name: str, action: str, extra: Json) -> None:
        body = {"action": action, **extra}
        await self._run(action, lambda c: self._wait(c, c.api.instances[name].state.put(json=body)), name)

    async def _there(self, operation: str, call: Callable[[pylxd.Client], T]) -> T | None:
        """None where there is no such thing."""
        try:
            return await self._run(operation, call)
        except NotFound:
            return None

    def _wait(self, client: pylxd.Client, response: requests.Response) -> None:
        body = response.json()
        if body["type"] == "async":
            client.operations.wait_for_operation(body["operation"])

    async def _run(self, operation: str, call: Callable[[pylxd.Client], T], name: str = "") -> T:
        """Runs `call` in the pool and translates what pylxd and requests raise."""
        began, result = time.monotonic(), "ok"
        try:
            threads = self._quick if operation in QUICK else self._threads
            return await asyncio.get_running_loop().run_in_executor(threads, self._call, call)
        except exceptions.NotFound as error:
            result = "not_found"
            raise NotFound(f"LXD has no such thing: {error}") from error
        except exceptions.LXDAPIException as error:
            result = "refused"
            raise _refusal(error, name) from error
        except (requests.RequestException, exceptions.ClientConnectionFailed, OSError) as error:
            result = "unavailable"
            raise Unavailable("LXD doesn't answer. Running programs go on; try again in a moment") from error
        finally:
            seconds = time.monotonic() - began
            self.calls.add(operation, result, seconds)
            log.debug("lxd_called", operation=operation, container=name, result=result, ms=round(seconds * 1000))

    def _call(self, call: Callable[[pylxd.Client], T]) -> T:
        return call(self._connected())

    def _connected(self) -> pylxd.Client:
        """The one client: made when first needed, so that a server starts while LXD is down."""
        with self._lock:
            if self._client is None:
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
        endpoint = self.address.url if self.address.secure else self.address.socket
        return pylxd.Client(
            endpoint=endpoint, timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S), project=project, session=session
        )


def size_in_bytes(size: str) -> int:
    """Of a size as LXD writes it ("4GiB", "512MB", "1048576"); 0 for none."""
    found = re.fullmatch(r"(\d+) ?([kKMGT]?)(i?)B?", size.strip())
    if found is None:
        return 0
    number, prefix, binary = found.groups()
    unit = (1024 if binary else 1000) ** ("KMGT".index(prefix.upper()) + 1 if prefix else 0)
    return int(number) * int(unit)


def _text(record: Json, key: str) -> str:
    return str(record.get(key) or "")


def _exists(node: Any) -> bool:
    try:
        node.get()
    except exceptions.NotFound:
        return False
    return True


def _busy_itself(error: exceptions.LXDAPIException) -> bool:
    return bool(error.response.status_code == HTTPStatus.SERVICE_UNAVAILABLE)


def _refusal(error: exceptions.LXDAPIException, name: str) -> Refused | Invalid | Unavailable:
    reason = str(error) or "no reason given"
    if _busy_itself(error):
        return Unavailable("LXD is being restarted. Running programs go on; try again in a moment")
    if "not authorized" in reason.lower():
        return Unavailable("LXD answers but doesn't trust this server's certificate: add it to LXD's trust store")
    return Refused(f"LXD refused: {reason}" + (f" (container {name})" if name else ""))
