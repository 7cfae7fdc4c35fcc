"""Cluster: three LXD daemons of the tests' own, each in a network namespace, joined by a bridge: an LXD cluster on one machine.

Made anew each time, for a cluster that lost members isn't what the next test wants.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from deploy import image, mounts, namespaces, processes
from deploy import lxd as daemon
from deploy.lxd_api import Api
from deploy.world import World
from tests.attacks.island import CARRY, ip, start
from tests.certificates import certificate
from tests.conftest import ROOT
from tests.databases import Own

DATABASE, PROJECT = "cluster", "cluster"
WAIT_S = 60.0
PORT = 8443


class Cluster:
    """`environment` leads servers and commands to it: by https, with a certificate that is good for one project."""

    def __init__(self, state: Path) -> None:
        self.members = namespaces.MEMBERS
        self._state, self._world = state, World("test", state)
        self._folder = state / "cluster"
        self._namespaces = dict(zip(self.members, namespaces.members(state), strict=True))
        self._bridge, self._subnet = namespaces.bridge(state), namespaces.subnet(state)
        self._database = Own(DATABASE)
        self.environment = {
            "LXD_URL": ",".join(self.url(member) for member in self.members),
            "LXD_SERVER_CERT": str(self._lxd("n1") / "cluster.crt"),
            "LXD_PROJECT": PROJECT,
            "LXD_POOL_SIZE": "2GiB",
            "DATABASE_URL": self._database.url,
            "REDIS_URL": os.environ["REDIS_URL"].replace("db=0", "db=8"),
            "DOOR_DIR": "",
        }

    def url(self, member: str) -> str:
        """Where it listens."""
        return f"https://{self._address(member)}:{PORT}"

    def lxc(self, *words: str, by: str = "n1") -> str:
        """LXD's own client at one member; what it printed."""
        environment = {**os.environ, "LXD_DIR": str(self._lxd(by))}
        command = ["lxc", "--project", PROJECT, *words]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=120).stdout

    def where(self, container: str) -> str:
        """The member that has it."""
        return self.lxc("list", container, "-c", "L", "-f", "csv").strip()

    def status(self, member: str, by: str = "n1") -> str:
        """As another one sees it: ONLINE, OFFLINE, EVACUATED."""
        found: list[dict[str, Any]] = yaml.safe_load(self.lxc("cluster", "list", "-f", "yaml", by=by))
        return next(str(each["status"]).upper() for each in found if each["server_name"] == member)

    @contextlib.contextmanager
    def cut(self, member: str) -> Iterator[None]:
        """Its cable is out: nothing it does is heard, and it runs on."""
        ip("link", "set", self._cable(member), "down")
        try:
            yield
        finally:
            ip("link", "set", self._cable(member), "up")

    def kill(self, member: str) -> None:
        """As when its power goes: no process of it is left, those of its containers neither."""
        folder = self._lxd(member)
        contained = [one.pid for one in processes.find(lambda one: daemon._rooted([one.pid], folder))]
        found = (*processes.find(daemon._daemon(folder)), *processes.find(daemon._monitor(folder)))
        for pid in (*(one.pid for one in found), *contained):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert processes.wait_for(lambda: not processes.find(daemon._daemon(folder)), WAIT_S)

    def boot(self, member: str) -> None:
        """Its LXD runs; its containers don't."""
        group = self._folder / f"{member}.cgroup"
        group.mkdir(exist_ok=True)
        private = ("unshare", "--mount", "--propagation", "slave", "bash", "-c", CARRY)
        start(self._lxd(member), (*private, "carry", str(group), self._namespaces[member]))

    def raise_(self) -> None:
        """From nothing to a cluster with a busybox lab that can be started."""
        self.raze()
        self._folder.mkdir(mode=0o711)
        self._folder.chmod(0o711)
        self._lay()
        for member in self.members:
            self.boot(member)
        self._join()
        self.environment["LXD_CERT"], self.environment["LXD_KEY"] = certificate(self._folder, "educenter")
        self._set_up("--trust", self.environment["LXD_CERT"])
        image.load(self._world, "busybox", Api(daemon.url(self._lxd("n1"))), PROJECT)
        self._set_up()
        self._database.furnish()

    def raze(self) -> None:
        """Whatever state it is in."""
        mine = self.environment["LXD_URL"]
        processes.stop(lambda one: "serve" in one.arguments and one.variable("LXD_URL") == mine, 10)
        for member in self.members:
            self.kill(member)
            daemon.thaw_orphans(self._lxd(member))
            namespaces.remove(self._namespaces[member])
        namespaces.unbridge(self._state)
        mounts.release(self._folder)
        subprocess.run(["rm", "-rf", "--one-file-system", self._folder], check=True, timeout=WAIT_S)
        self._database.drop()

    def _lxd(self, member: str) -> Path:
        return self._folder / member

    def _address(self, member: str) -> str:
        return f"{self._subnet}.{self.members.index(member) + 1}"

    def _cable(self, member: str) -> str:
        return namespaces.cable(self._state, member)

    def _lay(self) -> None:
        ip("link", "add", self._bridge, "type", "bridge")
        ip("addr", "add", f"{self._subnet}.254/24", "dev", self._bridge)
        ip("link", "set", self._bridge, "up")
        for member, namespace in self._namespaces.items():
            ip("netns", "add", namespace)
            ip("-n", namespace, "link", "set", "lo", "up")
            ip("link", "add", self._cable(member), "type", "veth", "peer", "name", "up0", "netns", namespace)
            ip("link", "set", self._cable(member), "master", self._bridge, "up")
            ip("-n", namespace, "addr", "add", f"{self._address(member)}/24", "dev", "up0")
            ip("-n", namespace, "link", "set", "up0", "up")

    def _join(self) -> None:
        """As LXD's documents say, by preseed."""
        first = f"{self._address('n1')}:{PORT}"
        config = {"core.https_address": first, "core.trust_password": "only for joining"}
        self._preseed("n1", {"config": config, "cluster": {"server_name": "n1", "enabled": True}})
        joining = {
            "enabled": True,
            "cluster_address": first,
            "cluster_certificate": (self._lxd("n1") / "cluster.crt").read_text(),
            "cluster_password": "only for joining",
        }
        for member in self.members[1:]:
            own = {"server_name": member, "server_address": f"{self._address(member)}:{PORT}"}
            self._preseed(member, {"cluster": {**joining, **own}})
        self.lxc("config", "unset", "core.trust_password")

    def _preseed(self, member: str, wanted: dict[str, Any]) -> None:
        environment = {**os.environ, "LXD_DIR": str(self._lxd(member))}
        done = subprocess.run(
            ("lxd", "init", "--preseed"),
            input=yaml.safe_dump(wanted),
            env=environment,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def _set_up(self, *more: str) -> None:
        """With an administrator's rights: at the first member's socket."""
        own = {**os.environ, **self.environment, "LXD_URL": daemon.url(self._lxd("n1"))}
        command = (sys.executable, "-m", "server", "lxd", "setup", *more)
        done = subprocess.run(command, cwd=ROOT, env=own, check=False, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr + done.stdout
