"""Trial: a container as students get theirs, made, measured and deleted: whether limits hold and a shell comes up."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator

from server.doctor.finding import Finding, ok, warning, wrong
from terminals.errors import NotFound, TerminalsError
from terminals.labs.containers import Containers
from terminals.labs.shells import Shells
from terminals.link.pipe import Login, Pipe
from terminals.lxd import Lxd
from terminals.store.lessons import Needs

MIB = 1 << 20
PROCESSES = 100
MEMORY, DISK = 64, 32
"""MiB. The disk's is less than any image but the tiniest, so that quotas which count the image refuse at once."""
FAT = "/.doctor-fat"
BREACH = f"""
grep MemTotal /proc/meminfo
dd if=/dev/zero of=/dev/null bs={2 * MEMORY * MIB} count=1 2>/dev/null || echo held
( n=0; while [ $n -lt {2 * PROCESSES} ]; do sleep 60 >/dev/null 2>&1 & n=$((n+1)); echo $n; done ) 2>/dev/null | tail -n 1
for p in /proc/[0-9]*; do read c <$p/comm && [ "$c" = sleep ] && kill ${{p#/proc/}}; done 2>/dev/null
"""
"""Takes more than is allowed; its end asks for no process, for there is none to be had."""
ROOT = Login(0, 0, "/root")


class Trial:
    """One container of a template that is there."""

    def __init__(self, lxd: Lxd, containers: Containers, shells: Shells, image: str) -> None:
        self._lxd = lxd
        self._containers = containers
        self._shells = shells
        self._image = image
        self._name = f"doctor-{secrets.token_hex(4)}"

    async def run(self) -> AsyncGenerator[Finding, None]:
        """One finding for each thing that was tried; the container goes, whatever happens."""
        needs = Needs(self._image, f"{MEMORY}MiB", "1", PROCESSES, "2GiB")
        try:
            # Ours, and in no row: were this killed, reconciling would stop it and delete it after a day.
            await self._containers.make(self._name, needs, {}, _quietly)
            yield ok("trial container", f"made of {self._image} and started")
            for tried in (self._shell, self._limits, self._namespace, self._freezer, self._quota):
                yield await tried()
        except TerminalsError as error:
            todo = "try by hand: lxc launch IMAGE trial --project …; LXD's log says more"
            yield wrong("trial container", error.message, todo)
        finally:
            await asyncio.shield(self._lxd.delete(self._name))

    async def _shell(self) -> Finding:
        check = "holder"
        try:
            await self._shells.begin(self._name)
        except TerminalsError as error:
            todo = "build it for the containers' architecture: make -C terminals/holder, then `lxd setup`"
            return wrong(check, f"brings up no shell: {error.message}", todo)
        return ok(check, "brings up a shell, its prompt was seen")

    async def _limits(self) -> Finding:
        check = "memory and process limits"
        mended = "LXD's host needs the cgroup controllers memory and pids: /proc/cgroups, `lxc info`"
        told = (await self._say(BREACH)).split()
        forked = int(told[-1]) if told[-1:] and told[-1].isdecimal() else 0
        if "held" not in told:
            return wrong(check, f"don't hold: {2 * MEMORY} MiB of memory were had, {MEMORY} MiB are allowed", mended)
        if not 0 < forked < PROCESSES:
            return wrong(check, f"don't hold: {forked} processes began, {PROCESSES} are allowed", mended)
        if str(MEMORY * 1024) not in told:
            todo = "start lxcfs on LXD's host, before LXD"
            return warning(check, "hold, but the container sees the host's memory: lxcfs is missing", todo)
        return ok(check, f"hold at {MEMORY} MiB and {PROCESSES} processes, and the container sees its own memory")

    async def _namespace(self) -> Finding:
        check = "user namespace"
        words = (await self._say("cat /proc/self/uid_map")).split()
        if len(words) < 3 or words[1] == "0":
            todo = "user.max_user_namespaces above 0, and root's ranges in /etc/subuid and /etc/subgid; restart LXD"
            return wrong(check, "the container's root is root on the host", todo)
        return ok(check, f"the container's root is {words[1]} on the host")

    async def _freezer(self) -> Finding:
        check = "freezer"
        try:
            await self._lxd.freeze(self._name)
            state = (await self._lxd.instance(self._name))["status"]
            await self._lxd.unfreeze(self._name)
        except TerminalsError as error:
            state = error.message
        if state != "Frozen":
            todo = "LXD's host needs the cgroup freezer; until then POOL_AWAKE as large as POOL_MOST"
            return wrong(check, f"a container can't be put to sleep: {state}", todo)
        return ok(check, "puts a container to sleep and wakes it")

    async def _quota(self) -> Finding:
        check = "disk quota"
        root = (await self._lxd.instance(self._name))["devices"]["root"] | {"size": f"{DISK}MiB"}
        todo = "a pool of btrfs or zfs; on btrfs: btrfs quota enable -s (Linux 6.7), then the labs that run start anew"
        try:
            await self._lxd.change(self._name, {}, {"root": root})
        except TerminalsError as error:
            if "quota" in error.message.lower() or "size" in error.message.lower():
                return warning(check, f"couldn't be measured: {error.message}", "look whether a full disk stops a lab")
            return wrong(check, f"can't be set: {error.message}", todo)
        told = await self._say(f"dd if=/dev/zero of={FAT} bs=1048576 count={2 * DISK} 2>&1; sync; wc -c < {FAT}")
        written = int(found) if (found := told.split()[-1]).isdecimal() else 0
        with contextlib.suppress(NotFound):
            await self._lxd.remove(self._name, FAT)
        if written >= 2 * DISK * MIB:
            words = f"doesn't hold: {2 * DISK} MiB were written into {DISK}: one student can fill everybody's disk"
            return wrong(check, words, todo)
        return ok(check, f"holds: of {2 * DISK} MiB into {DISK}, {written >> 20} MiB were written")

    async def _say(self, script: str) -> str:
        """What a command of the container's root prints."""
        async with Pipe.running(self._lxd, self._name, ["sh", "-c", script], ROOT) as pipe:
            await pipe.finish()
            chunks = []
            while chunk := await pipe.read():
                chunks.append(chunk)
        return b"".join(chunks).decode(errors="replace")


async def _quietly(_step: str, _done: int) -> None:
    """Nobody waits for this one."""
