"""LXD: reached, of an age, its pool and project as we need them, its host's kernel, its images, and how much room is left."""

import asyncio
import hashlib
import os
import re
import socket
import ssl
from collections.abc import AsyncGenerator
from pathlib import Path

from server.doctor.finding import Finding, ok, warning, wrong
from server.settings import Settings
from terminals.errors import NotFound, Refused, TerminalsError, Unavailable
from terminals.labs.admission import Admission
from terminals.labs.networks import SETTINGS, Networks
from terminals.lxd import Json, Lxd

NAME = "LXD"
EXTENSIONS = (
    "storage",
    "patch",
    "container_push",
    "file_delete",
    "directory_manipulation",
    "container_only_migration",
    "resources_v2",
    "kernel_limits",
    "restrict_devlxd",
    "projects",
    "container_exec_user_group_cwd",
    "instances",
)
"""Of its API, that we use."""
QUOTAS = ("btrfs", "zfs")
"""Drivers that hold a root disk's size, and copy in a moment."""
CONTROLLERS = re.compile(r"cgroup (memory|pids|cpu|freezer)", re.IGNORECASE)
APPARMOR = "apparmor support has been disabled"
LXCFS = Path("/var/lib/lxcfs")
PTYS = 4096
"""The kernel's default for all containers together, of which each may open 1,024."""


async def lxd(client: Lxd, settings: Settings) -> AsyncGenerator[Finding, None]:
    """What can't be reached is one finding."""
    if socket_found := _socket(settings):
        yield socket_found
        return
    try:
        server = await client.server_record()
    except (Unavailable, Refused) as error:
        yield _unreached(error, settings)
        return
    if server.get("auth") != "trusted":
        todo = f"on its host: lxc config trust add {settings.lxd_cert or 'client.crt'} --name educenter"
        yield wrong(NAME, "answers, and doesn't trust our certificate", todo)
        return
    environment = server["environment"]
    yield ok(NAME, f"answers, version {environment['server_version']}, Linux {environment['kernel_version']}")
    yield _extensions(server)
    yield await _access(client, settings)
    yield await _project(client, settings)
    yield await _pool(client, settings)


def _socket(settings: Settings) -> Finding | None:
    """A unix socket that isn't there or isn't ours to use; None: it is, or LXD is elsewhere."""
    if settings.lxd_url.startswith("https://"):
        return None
    path = settings.lxd_url.removeprefix("unix://")
    try:
        with socket.socket(socket.AF_UNIX) as caller:
            caller.settimeout(2)
            caller.connect(path)
    except PermissionError:
        todo = f"put user {os.geteuid()} into the socket's group (ls -l {path}) and start anew, or use https"
        return wrong(NAME, f"{path} isn't ours to use: permission denied", todo)
    except FileNotFoundError:
        todo = "start LXD; its snap's socket is /var/snap/lxd/common/lxd/unix.socket: mend LXD_URL"
        return wrong(NAME, f"there is no socket at {path}", todo)
    except OSError as error:
        return wrong(NAME, f"nobody answers at {path}: {error.strerror or error}", "start LXD: systemctl start lxd")
    return None


def _unreached(error: TerminalsError, settings: Settings) -> Finding:
    cause = error.__cause__ or error
    words = str(cause)[:200] or type(cause).__name__
    if "CERTIFICATE_VERIFY_FAILED" in words:
        todo = f"LXD's own certificate has changed: copy its server.crt to {settings.lxd_server_cert} again"
    else:
        todo = "start it, see that LXD_URL is right (lxc config get core.https_address) and no firewall is between"
    return wrong(NAME, f"not reached at {settings.lxd_url}: {words}", todo)


def _extensions(server: Json) -> Finding:
    missing = [name for name in EXTENSIONS if name not in server["api_extensions"]]
    if missing:
        return wrong("LXD's API", f"lacks {', '.join(missing)}", "LXD 4.0 or newer, or Incus; 5.0 was tried")
    return ok("LXD's API", f"has the {len(EXTENSIONS)} extensions that are used")


async def _access(client: Lxd, settings: Settings) -> Finding:
    """How much harm whoever breaks into this server could do."""
    check = "rights in LXD"
    if not settings.lxd_url.startswith("https://"):
        words = "through its socket: whoever breaks into this process is root on this host"
        return warning(check, words, "right for one machine; else https with a restricted certificate (operations.md)")
    der = ssl.PEM_cert_to_DER_cert(await asyncio.to_thread(Path(str(settings.lxd_cert)).read_text))
    try:
        certificates = await client.records("certificates")
    except (Refused, Unavailable, NotFound):
        return ok(check, "may not even list certificates: restricted")
    ours = next((each for each in certificates if each["fingerprint"] == hashlib.sha256(der).hexdigest()), None)
    if ours is not None and not ours.get("restricted"):
        todo = (
            f"trust it anew: lxc config trust add … --restricted --projects {settings.lxd_project} (operations.md, 5.)"
        )
        return warning(check, "our certificate may do everything on LXD's hosts", todo)
    return ok(check, f"restricted to project {settings.lxd_project}")


async def _project(client: Lxd, settings: Settings) -> Finding:
    check, name = "LXD's project", settings.lxd_project
    try:
        record = await client.project_record()
    except NotFound:
        return wrong(check, f"there is no project {name}", "python -m server lxd setup, or mend LXD_PROJECT")
    if record["config"].get("features.profiles") != "true":
        todo = "give us a project of our own: LXD_PROJECT=educenter, `lxd setup`"
        return warning(check, f"{name} shares the default project's profiles: others' devices come in", todo)
    if record["config"].get("restricted") == "true":
        return ok(check, f"{name}, restricted; the trial container tells whether too much")
    return ok(check, name)


async def _pool(client: Lxd, settings: Settings) -> Finding:
    check, name = "storage pool", settings.lxd_pool
    try:
        record = await client.pool_record(name)
    except NotFound:
        return wrong(check, f"there is no pool {name}", "python -m server lxd setup, or mend LXD_POOL")
    driver, state = record["driver"], record.get("status", "Created")
    if state != "Created":
        return wrong(check, f"{name} is {state}", "see LXD's log why it can't be mounted: `lxc storage show`")
    if driver not in QUOTAS:
        words = f"{name} is of driver {driver}: copies take seconds to minutes, and a disk's size may not hold"
        return wrong(check, words, "make one of btrfs or zfs, name it in LXD_POOL, and `lxd setup`")
    if driver != settings.lxd_pool_driver:
        words = f"{name} is {driver}, and LXD_POOL_DRIVER says {settings.lxd_pool_driver}"
        return warning(check, words, "mend LXD_POOL_DRIVER: the pool is as it was made")
    return ok(check, f"{name}, {driver}")


async def images(client: Lxd, wanted: list[str], holder_version: str) -> AsyncGenerator[Finding, None]:
    """Those of lessons are there, and a template of each."""
    check = "images"
    there = await client.image_aliases()
    if missing := sorted(set(wanted) - set(there)):
        words = f"lessons name {', '.join(missing)}, which LXD doesn't have: they can't start"
        yield wrong(
            check, words, "lxc image import … --alias NAME --project …, then `lxd setup` (operations.md, Images)"
        )
    names = await client.names()
    bare = [image for image in sorted(there) if f"template-{there[image][:12]}-{holder_version}" not in names]
    if bare:
        words = f"no template of {', '.join(bare)} with this version's holder: the first students wait for it"
        yield warning(check, words, "python -m server lxd setup")
    elif not missing:
        yield ok(check, f"{len(there)}, each with its template; lessons use {len(set(wanted))}")


async def networks(found: Networks, wanted: set[str]) -> AsyncGenerator[Finding, None]:
    """Those that are set are as set-up makes them; those that lessons want are set."""
    for network in sorted(network for network in wanted & SETTINGS.keys() if found.of(network) is None):
        words = f"lessons want it, and {SETTINGS[network]} isn't set: they can't start"
        yield wrong(
            f"network {network}", words, f"set {SETTINGS[network]} and `lxd setup` (operations.md, Networks of labs)"
        )
    for plan, problem in await found.look():
        check = f"network {plan.network}"
        if problem:
            yield wrong(check, f"labs can't be started on it: {problem}", "python -m server lxd setup")
        else:
            yield ok(check, f"{plan.bridge}, {plan.address}")


async def kernel(client: Lxd, *, local: bool) -> AsyncGenerator[Finding, None]:
    """What LXD's host can hold containers with."""
    try:
        said = [each for each in await client.records("warnings") if each["status"] != "resolved"]
    except (Refused, NotFound, Unavailable) as error:
        said = []
        yield warning("kernel", f"LXD's warnings may not be read: {error.message}", "on its host: lxc warning list")
    lacking = [each["type"] for each in said if CONTROLLERS.search(each["type"])]
    if lacking:
        todo = "boot with cgroup_enable=memory swapaccount=1 and systemd's unified hierarchy; limits don't hold without"
        yield wrong("cgroups", "; ".join(lacking), todo)
    else:
        yield ok("cgroups", "LXD misses none of memory, pids, cpu and freezer")
    apparmor = not any(APPARMOR in each["type"].lower() for each in said)
    if apparmor:
        yield ok("AppArmor", "LXD doesn't miss it")
    else:
        todo = "boot a kernel with it (apparmor=1 security=apparmor) where there is one; until then lxcfs must be read-only"
        yield warning("AppArmor", "the kernel has none: one wall of two around each container", todo)
    for found in _host(apparmor=apparmor) if local else _elsewhere():
        yield found


def _host(*, apparmor: bool) -> list[Finding]:
    return [_lxcfs(apparmor=apparmor), _ptys()]


def _elsewhere() -> list[Finding]:
    todo = "grep lxcfs /proc/mounts: ro, or AppArmor on; sysctl kernel.pty.max (security-limits.md)"
    return [warning("LXD's host", "its mounts and sysctls can't be seen from here", f"there: {todo}")]


def _lxcfs(*, apparmor: bool) -> Finding:
    check = "lxcfs"
    mounts = [line.split(" ") for line in Path("/proc/mounts").read_text().splitlines()]
    options = next((words[3].split(",") for words in mounts if words[1] == str(LXCFS)), None)
    if options is None:
        todo = "start lxcfs before LXD; its snap has its own: then look there (security-limits.md)"
        return warning(check, f"isn't mounted at {LXCFS}: containers may see the host's memory and cores", todo)
    if "ro" not in options and not apparmor:
        todo = f"mount -o remount,ro {LXCFS}, and for ever by lxcfs' unit (security-limits.md)"
        return wrong(check, "is writable, and there is no AppArmor: a student's root can make cgroups through it", todo)
    return ok(check, "mounted read-only" if "ro" in options else "writable, behind AppArmor")


def _ptys() -> Finding:
    most = int(Path("/proc/sys/kernel/pty/max").read_text())
    if most <= PTYS:
        todo = "sysctl kernel.pty.max = 1024 × containers, in /etc/sysctl.d"
        return warning("ptys", f"kernel.pty.max is {most}: three containers can take them all", todo)
    return ok("ptys", f"kernel.pty.max is {most}")


async def capacity(admission: Admission) -> AsyncGenerator[Finding, None]:
    """Whether one more lab has room."""
    await admission.look()
    check, room, promised = "room for labs", admission.room, admission.promised
    if not admission.members:
        todo = "let our certificate read /1.0/resources, or set CAPACITY_LABS: only that counts now"
        yield warning(check, "LXD doesn't say what its hosts have", todo)
        return
    for member in admission.members:
        if member.absent:
            yield warning("cluster", f"no lab begins on {member.name}: it {member.absent}", "lxc cluster list")
    words = (
        f"{promised.labs} containers of {room.labs}, {promised.memory >> 20} MiB promised of {room.memory >> 20} MiB"
    )
    todo = "end labs, make POOL_MOST smaller, grow the pool (lxc storage set … size=…), or change CAPACITY_…"
    if room.shortage:
        yield wrong(check, f"nothing new begins: {room.shortage}", todo)
    elif promised.labs >= room.labs or promised.memory >= room.memory:
        yield warning(check, f"full: {words}; who comes waits", todo)
    else:
        yield ok(check, words)
