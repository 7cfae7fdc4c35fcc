"""Each limit stands against its attack: the attacker is refused, their own terminal stays usable, and a neighbour types on."""

import asyncio
import contextlib
import os
import re
import secrets
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from deploy import processes
from terminals.link.frames import WINDOW_MAX
from terminals.link.valve import BURST
from tests.attacks.arena import PATIENCE_S, WANTS, Arena
from tests.attacks.programs import WRITES
from tests.conftest import lxc
from tests.e2e.test_main_job import ask
from tests.soak.scale import times

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

SECONDS = times(20)
"""That an attack goes on for."""
STEADY_S = 8.0
"""Of a held flood at least: what was on its way counts for little then."""
FELT_S = 2.0
"""For a machine that is busy with other tests; alone it is a tenth of that."""
REFUSALS = {"EPERM", "EACCES", "ENOENT", "EROFS", "ENODEV", "ENXIO", "ENOSYS"}
"""No, or not there; anything else means that the question itself was wrong."""


async def test_idle(arena: Arena) -> None:
    """What the neighbour's echo is when nobody attacks."""
    async with arena.beside("none", "") as seen:
        await asyncio.sleep(SECONDS)
        seen.append("nothing")


async def test_a_fork_bomb_ends_at_the_limit_of_processes(arena: Arena) -> None:
    async with arena.beside("fork bomb", f"limits.processes={WANTS.processes}") as seen:
        said = await arena.attack("bomb", seconds=SECONDS)
        seen.append(f"{said['refused']} at {said['processes']} processes")
    assert said["refused"] == "EAGAIN"
    assert int(said["processes"]) <= int(WANTS.processes or 0)


async def test_a_memory_hog_is_killed_at_the_limit_of_memory(arena: Arena) -> None:
    async with arena.beside("memory hog", f"limits.memory={WANTS.memory}") as seen:
        said = await arena.attack("hog", seconds=SECONDS)
        seen.append(f"killed {said['killed']} times, with {said['MiB']} MiB")
    assert int(said["killed"]) >= 1
    assert int(said["MiB"]) <= 256


async def test_a_disk_filler_is_refused_at_the_limit_of_the_disk(arena: Arena) -> None:
    async with arena.beside("disk filler", f"root size={WANTS.disk}") as seen:
        said = await arena.attack("fill", seconds=SECONDS)
        seen.append(f"{said['refused']} after {said['MiB']} MiB")
    assert said["refused"] == "EDQUOT"
    assert int(said["MiB"]) <= 1024


@pytest.mark.parametrize("root", [False, True])
async def test_who_burns_all_cores_gets_one_and_no_precedence(arena: Arena, root: bool) -> None:
    who = "root" if root else "student"
    async with arena.beside(f"CPU burner, {who}", f"limits.cpu={WANTS.cpu}, limits.cpu.allowance") as seen:
        said = await arena.attack("burn", seconds=SECONDS, root=root)
        seen.append(f"{said['CPU']} of {os.cpu_count()} cores; real time: {said['real time']}")
    assert float(said["CPU"]) < 1.1
    assert said["cores"] == "1"
    assert {said["real time"], said["negative nice"]} <= {"EPERM", "EACCES"}


async def test_a_lesson_with_every_core_leaves_the_host_its_share(arena: Arena) -> None:
    """The dearest that a lesson may allow."""
    cores = os.cpu_count()
    lxc("config", "set", arena.container, f"limits.cpu={cores}")
    async with arena.beside("CPU burner on all cores", "limits.cpu.allowance alone") as seen:
        said = await arena.attack("burn", seconds=SECONDS)
        seen.append(f"{said['CPU']} of {cores} cores")
    lxc("config", "set", arena.container, f"limits.cpu={WANTS.cpu}")
    assert said["cores"] == str(cores)


async def test_a_flood_of_output_comes_at_the_limits_rate_whole_and_is_interrupted_at_once(arena: Arena) -> None:
    page, limit = arena.page, WANTS.output or 0
    page.output.clear()
    async with arena.beside("output flood", f"output={limit >> 10} KiB/s") as seen:
        first, began = page.offset, time.monotonic()
        await page.type("seq -w 1 999999999\r")
        # Until what is free at once, and what became free meanwhile, is used up.
        await page.until(
            lambda: page.offset - first > BURST + limit * (time.monotonic() - began) - WINDOW_MAX, PATIENCE_S
        )
        empty, held = page.offset, time.monotonic()
        with contextlib.suppress(AssertionError):
            await page.until(lambda: False, max(SECONDS, STEADY_S))
        passed, seconds = page.offset - first, time.monotonic() - began
        rate = (page.offset - empty) / (time.monotonic() - held)
        pressed = time.monotonic()
        await page.type("\x03")
        await page.until(lambda: page.output.endswith(b"$ "))
        answered = time.monotonic() - pressed
        seen.append(f"a burst, then {rate / limit:.2f} of the limit; prompt {answered * 1000:.0f} ms after Ctrl-C")
    lines = re.findall(rb"(?<! )(\d{9})\r\n", page.output)  # behind a blank is what was typed
    assert [*map(int, lines)] == [*range(1, len(lines) + 1)]
    assert len(lines) > BURST // len("123456789\r\n")
    # What is on its way and not acked yet comes on top.
    assert passed <= BURST + limit * seconds + 2 * WINDOW_MAX
    assert answered < FELT_S
    page.output.clear()


async def test_a_crash_dumps_no_core_and_starts_no_program_of_the_hosts(arena: Arena) -> None:
    async with arena.beside("crashes", "limits.kernel.core=1") as seen:
        said = await arena.attack("crash", root=True)
        seen.append(f"dumped: {said['dumped']}; more room: {said['more room']}")
    assert said == {"more room": "EPERM", "dumped": "False"}


@pytest.fixture
def bridge() -> Iterator[str]:
    """A bridge of the test's own, on whose address something listens: what a container must not reach."""
    name, address = f"br-{secrets.token_hex(3)}", f"198.18.{secrets.randbelow(250)}.1"
    for words in (f"link add {name} type bridge", f"addr add {address}/30 dev {name}", f"link set {name} up"):
        subprocess.run(("ip", *words.split()), check=True)
    try:
        yield address
    finally:
        subprocess.run(("ip", "link", "del", name), check=True)


async def test_a_port_scan_finds_nothing_but_its_own_container(arena: Arena, bridge: str) -> None:
    listening = await asyncio.start_server(lambda _, writer: writer.close(), bridge, 0)
    port = listening.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection(bridge, port)
    assert await reader.read() == b"", "the host itself reaches it"
    writer.close()
    await writer.wait_closed()
    neighbours = lxc("list", "-c", "4", "-f", "csv").split()
    targets = [f"{bridge}:{port}", f"127.0.0.1:{arena.server.port}", *(f"{address}:22" for address in neighbours)]
    async with listening, arena.beside("port scan", "no network device") as seen:
        said = await arena.attack("scan", *targets, root=True)
        seen.append(
            f"bridge: {said[targets[0]]}, neighbours' addresses: {len(neighbours)}, interfaces: {said['interfaces']}"
        )
    assert said["interfaces"] == "lo"
    assert said[f"{bridge}:{port}"] == "ENETUNREACH"
    assert said[f"127.0.0.1:{arena.server.port}"] == "ECONNREFUSED"
    assert said["raw"] == "ENODEV"
    assert neighbours == []


async def test_no_socket_of_the_host_can_be_reached(arena: Arena) -> None:
    paths = [os.environ["LXD_URL"], urlsplit(os.environ["REDIS_URL"]).path]
    async with arena.beside("LXD's socket", "security.devlxd=false") as seen:
        said = await arena.attack("lxd", *paths, root=True)
        seen.append(" ".join(sorted(set(said.values()))))
    assert {said[path] for path in ("/dev/lxd/sock", *paths)} == {"ENOENT"}
    assert set(said.values()) <= REFUSALS


async def test_proc_sys_devices_and_cgroups_refuse_the_containers_root(arena: Arena) -> None:
    """All of it by the user namespace, LXD's seccomp list and file modes: this is so without AppArmor."""
    async with arena.beside("escapes through /proc, /sys …", "unprivileged") as seen:
        said = await arena.attack("escape", root=True)
        seen.append(f"{len(said)} tries: " + " ".join(sorted(set(said.values()))))
    assert len(said) > len(WRITES)
    assert {name: answer for name, answer in said.items() if answer not in REFUSALS} == {}


def spent(program: str) -> float:
    """Seconds of CPU that a daemon of the host's has used, all of its processes together."""
    ticks = 0
    for process in processes.find(lambda one: one.program == program):
        ticks += sum(map(int, Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


async def test_reading_what_lxcfs_makes_costs_the_host_but_not_the_neighbour(arena: Arena) -> None:
    async with arena.beside("a flood of reads from lxcfs", "none: it is the host's CPU") as seen:
        before, began = spent("lxcfs"), time.monotonic()
        await arena.attack("read", seconds=SECONDS)
        seen.append(
            f"answers; lxcfs uses {(spent('lxcfs') - before) / (time.monotonic() - began):.2f} cores of the host's"
        )


async def test_lxcfs_is_read_only_also_for_who_has_it_mounted_whole(arena: Arena) -> None:
    """Its hook mounts all of it where a container has the folder, which its root can make. Last: the container starts anew."""
    async with arena.beside("cgroups through lxcfs", "lxcfs mounted read-only") as seen:
        await ask(arena.page, "sudo mkdir -p /var/lib/lxcfs")
        lxc("stop", "-f", arena.container)
        await arena.again()
        said = await arena.attack("lxcfs", root=True)
        seen.append(f"make a group: {said['make a group']}; make it writable: {said['make it writable']}")
    assert said["mounted"] == "True"
    assert said["make a group"] == "EROFS"
    assert said["make it writable"] == "EPERM"
