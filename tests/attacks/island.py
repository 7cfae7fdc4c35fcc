"""Island: an LXD of the tests' own in a network namespace without a way out, and beside it one that is the internet.

Nothing that a lab or the proxy sends can leave the two. LXD's folder is kept from run to run, so that only the first one
unpacks images.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from deploy import image, namespaces
from deploy import lxd as daemon
from deploy.lxd_api import Api
from deploy.world import World
from tests.conftest import ROOT
from tests.databases import Own

CLOSED, INTERNET = "10.77.0.1", "10.78.0.1"
"""The bridges."""
HOST, WEB, INSIDE = "192.31.196.2", "192.31.196.10", "192.168.77.10"
"""The lab host's own address, a web server of the internet, and one of the organisation, which only the host may reach."""
NAMES = {
    "listed.edu.example": WEB,
    "deep.below.edu.example": WEB,
    "unlisted.edu.example.org": WEB,
    "inside.edu.example": INSIDE,
    "host.edu.example": HOST,
    "loop.edu.example": "127.0.0.1",
}
PROXY_PORT = 3128
DATABASE = "island"
# `ip netns exec` mounts another /sys, in which the cgroups are missing: they are carried along by way of $1.
CARRY = """
mount --rbind /sys/fs/cgroup "$1" && exec ip netns exec "$2" bash -c '
    mount --rbind "$0" /sys/fs/cgroup && exec "$@"' "$1" "${@:3}"
"""
LISTENER = Path(__file__).with_name("listener.py")


def ip(*words: str) -> None:
    subprocess.run(("ip", *words), check=True, capture_output=True, timeout=20)


def start(folder: Path, within: tuple[str, ...]) -> None:
    """An LXD. By a process of its own: a daemon that outlives who started it is an unheeded child here."""
    program = f"from pathlib import Path; from deploy import lxd; lxd.start(Path({str(folder)!r}), {within!r})"
    subprocess.run((sys.executable, "-c", program), cwd=ROOT, check=True, timeout=120)


class Island:
    """`environment` leads servers and commands to it."""

    def __init__(self, state: Path) -> None:
        self.inner, self.outer = namespaces.of(state)
        self.lxd, self._unarmed = state / "island", state / "unarmed"
        self._world = World("test", state)
        self._database = Own(DATABASE)
        self.environment = {
            "LXD_URL": daemon.url(self.lxd),
            "LXD_PROJECT": "island",
            "LXD_POOL_SIZE": "10GiB",
            "LXD_BRIDGE": "edu",
            "DATABASE_URL": self._database.url,
            "REDIS_URL": os.environ["REDIS_URL"].replace("db=0", "db=7"),
            "NETWORK_CLOSED": f"{CLOSED}/24",
            "NETWORK_INTERNET": f"{INTERNET}/24",
            "NETWORK_DNS": WEB,
            "PROXY_PORT": str(PROXY_PORT),
        }

    def within(self, namespace: str, *command: str) -> tuple[str, ...]:
        """A command in one of the two."""
        return ("ip", "netns", "exec", namespace, *command)

    def listen(self, namespace: str, *places: str) -> "subprocess.Popen[str]":
        """A program that greets whoever connects to address:port, or sends it a datagram (udp:address:port), and says so."""
        command = self.within(namespace, sys.executable, "-u", str(LISTENER), *places)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
        return process

    def python(self, program: str) -> str:
        """What a small program prints that runs on the lab host."""
        command = self.within(self.inner, sys.executable, "-c", program)
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout

    def command(self, *words: str, **other: str) -> "subprocess.CompletedProcess[str]":
        """One of the server's commands, run where LXD is; with other settings."""
        command = self.within(self.inner, sys.executable, "-m", "server", *words)
        ours = {**os.environ, **self.environment, **other}
        return subprocess.run(command, cwd=ROOT, env=ours, check=False, capture_output=True, text=True, timeout=240)

    @contextlib.contextmanager
    def unarmed(self, programs: Path) -> Iterator[str]:
        """Another LXD beside it, which finds no nft when it starts: its URL."""
        programs.mkdir()
        for path in (*Path("/usr/sbin").iterdir(), *Path("/usr/bin").iterdir()):
            if path.name != "nft" and not (programs / path.name).exists():
                (programs / path.name).symlink_to(path)
        start(self._unarmed, (*self.within(self.inner), "env", f"PATH={programs}"))
        try:
            yield daemon.url(self._unarmed)
        finally:
            self._disarm()

    def __enter__(self) -> Self:
        try:
            self._land()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _land(self) -> None:
        # A run that was killed may have left any part of it.
        self._unlay()
        self._lay()
        groups = self.lxd.with_name("island.cgroup")
        groups.mkdir(exist_ok=True)
        private = ("unshare", "--mount", "--propagation", "slave", "bash", "-c", CARRY)
        start(self.lxd, (*private, "carry", str(groups), self.inner))
        self._set_up()
        api = Api(self.environment["LXD_URL"])
        for name in image.names():
            image.load(self._world, name, api, "island")
        left = [Path(path.partition("?")[0]).name for path in api.get("/1.0/instances?project=island")]
        if labs := [name for name in left if name.startswith("c-")]:
            lxc = ("lxc", "--project", "island", "delete", "--force", *labs)
            subprocess.run(
                lxc, env={**os.environ, "LXD_DIR": str(self.lxd)}, check=True, capture_output=True, timeout=120
            )
        self._set_up()
        self._database.furnish()

    def __exit__(self, *_: object) -> None:
        self._unlay()
        self._database.drop()

    def _lay(self) -> None:
        """Two namespaces and one cable."""
        folder = namespaces.FILES / self.inner
        folder.mkdir(parents=True)
        (folder / "hosts").write_text("".join(f"{address} {name}\n" for name, address in NAMES.items()))
        (folder / "resolv.conf").write_text(f"nameserver {WEB}\n")
        for namespace in (self.inner, self.outer):
            ip("netns", "add", namespace)
            ip("-n", namespace, "link", "set", "lo", "up")
        ip("link", "add", "up0", "netns", self.inner, "type", "veth", "peer", "name", "up0", "netns", self.outer)
        for namespace, addresses in ((self.inner, (f"{HOST}/24",)), (self.outer, (f"{WEB}/24", f"{INSIDE}/32"))):
            for address in addresses:
                ip("-n", namespace, "addr", "add", address, "dev", "up0")
            ip("-n", namespace, "link", "set", "up0", "up")
        ip("-n", self.inner, "route", "add", "default", "via", WEB)
        # What passes between two labs then meets no access list, only port isolation. LXD needs that of version 6 to be on.
        self.python("open('/proc/sys/net/bridge/bridge-nf-call-iptables', 'w').write('0')")

    def _unlay(self) -> None:
        self._disarm()
        daemon.stop(self.lxd)
        for namespace in (self.inner, self.outer):
            namespaces.remove(namespace)

    def _disarm(self) -> None:
        daemon.stop(self._unarmed)
        shutil.rmtree(self._unarmed, ignore_errors=True)

    def _set_up(self) -> None:
        done = self.command("lxd", "setup")
        assert done.returncode == 0, done.stderr + done.stdout
