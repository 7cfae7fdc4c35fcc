#!/usr/bin/python3
"""What a hostile student runs in their own container. It says what it saw, a `name: answer` a line, and needs but Python."""

import contextlib
import ctypes
import errno
import mmap
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
CHUNK = 1 << 20
REMOUNT, BIND = 1 << 5, 1 << 12
"""mount(2)'s flags."""
FOUND = "FOUND"
"""The answer of what should have been refused."""


def say(name: str, answer: object) -> None:
    print(f"{name}: {answer}", flush=True)


def attempt(work: Callable[[], object]) -> str:
    """What became of it: `FOUND`, or the name of the error."""
    try:
        work()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return FOUND


def call(name: str, *arguments: object) -> None:
    """A function of the C library."""
    if getattr(LIBC, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)


def raise_limit(which: int) -> None:
    try:
        resource.setrlimit(which, (1 << 30, 1 << 30))
    except ValueError as error:  # that is how Python says EPERM here
        raise OSError(errno.EPERM, str(error)) from error


def split(work: Callable[[], None]) -> int:
    """In a child, which has a group of its own; its pid."""
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        with contextlib.suppress(BaseException):
            work()
        os._exit(0)
    with contextlib.suppress(OSError):
        os.setpgid(child, child)
    return child


# -- using up ----------------------------------------------------------------------------------------------------------


def bomb(seconds: float) -> None:
    """Every process forks, and does so again for ever."""
    most, refused = 0, ""

    def work() -> None:
        while True:
            with contextlib.suppress(OSError):
                os.fork()

    def fork() -> None:
        if not (child := os.fork()):
            os._exit(0)
        os.waitpid(child, 0)

    child = split(work)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends or not refused:
        most = max(most, sum(name.isdigit() for name in os.listdir("/proc")))  # noqa: PTH208
        refused = refused or attempt(fork).replace(FOUND, "")
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    say("processes", most)
    say("refused", refused)


def hog(seconds: float) -> None:
    """Takes memory and touches it, and once more when it was killed for it."""
    deaths, most = 0, 0
    ends = time.monotonic() + seconds
    while not deaths or time.monotonic() < ends:
        reader, writer = os.pipe()

        def work(to: int = writer) -> None:
            kept = []
            for taken in range(1, 1 << 20):
                block = mmap.mmap(-1, CHUNK)
                block.write(b"x" * CHUNK)
                kept.append(block)
                os.write(to, taken.to_bytes(4, "big"))

        child = split(work)
        os.close(writer)
        with os.fdopen(reader, "rb") as taken:
            while data := taken.read(4):
                most = max(most, int.from_bytes(data, "big"))
        _, status = os.waitpid(child, 0)
        deaths += os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    say("MiB", most)
    say("killed", deaths)


def fill(seconds: float) -> None:
    """Files until none fits any more, with their data on the disk at once; then as many small ones."""
    folder = Path("filled")
    folder.mkdir()
    written, refused, block = 0, "", os.urandom(CHUNK)
    with (folder / "big").open("wb", buffering=0) as big:
        while not refused:
            refused = attempt(lambda: big.write(block)).replace(FOUND, "")
            written += not refused
            if not written % 64:
                refused = refused or attempt(lambda: os.fsync(big.fileno())).replace(FOUND, "")
    small, ends = 0, time.monotonic() + seconds
    while time.monotonic() < ends:
        small += attempt((folder / f"small-{small}").touch) == FOUND
    subprocess.run(["rm", "-rf", folder], check=True)
    say("MiB", written)
    say("refused", refused)


def burn(seconds: float) -> None:
    """Every core there is, twice over, and before all others if that can be had."""
    cores = range(int(Path("/sys/devices/system/cpu/possible").read_text().strip().rpartition("-")[2]) + 1)
    say("all cores", attempt(lambda: os.sched_setaffinity(0, cores)))
    say("cores", len(os.sched_getaffinity(0)))
    say("real time", attempt(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))))
    say("negative nice", attempt(lambda: os.setpriority(os.PRIO_PROCESS, 0, -20)))

    def work() -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            pass

    began = time.monotonic()
    for child in [split(work) for _ in range(2 * len(cores))]:
        os.waitpid(child, 0)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    say("CPU", round((spent.ru_utime + spent.ru_stime) / (time.monotonic() - began), 2))


def read(seconds: float) -> None:
    """What lxcfs, a program of the host's, makes for us: its CPU isn't ours."""

    def work() -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            for name in ("stat", "cpuinfo", "meminfo", "diskstats", "uptime", "loadavg"):
                Path("/proc", name).read_bytes()

    for child in [split(work) for _ in range(20)]:
        os.waitpid(child, 0)
    say("read", "over")


def crash(_: float) -> None:
    """Dumps core, with as much room for it as can be had."""
    say("more room", attempt(lambda: raise_limit(resource.RLIMIT_CORE)))
    child = split(lambda: os.kill(os.getpid(), signal.SIGSEGV))
    _, status = os.waitpid(child, 0)
    say("dumped", os.WCOREDUMP(status))


# -- getting out -------------------------------------------------------------------------------------------------------


def scan(_: float, *targets: str) -> None:
    """address:port, each of them the test's own."""
    say("interfaces", ",".join(name for _, name in socket.if_nameindex()))
    for target in targets:
        host, port = target.rpartition(":")[::2]

        def connect(address: tuple[str, int] = (host, int(port))) -> None:
            socket.create_connection(address, 2).close()

        say(target, attempt(connect))
    say("raw", attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).bind(("eth0", 0))))


def lxd(_: float, *paths: str) -> None:
    """LXD's sockets, and the server's."""
    for path in ("/dev/lxd/sock", "/var/lib/lxd/unix.socket", "/var/snap/lxd/common/lxd/unix.socket", *paths):
        say(path, attempt(lambda path=path: socket.socket(socket.AF_UNIX).connect(path)))
    door = next(
        (line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if "door" in line), "/nowhere"
    )
    say("list the door", attempt(lambda: os.listdir(door)))  # noqa: PTH208
    say("write to the door", attempt(lambda: Path(door, "mine").touch()))


WRITES = (
    "/proc/sysrq-trigger",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/panic",
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/hotplug",
    "/proc/sys/kernel/threads-max",
    "/proc/sys/vm/drop_caches",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/vm/panic_on_oom",
    "/proc/sys/fs/file-max",
    "/proc/sys/fs/suid_dumpable",
    "/proc/sys/fs/binfmt_misc/register",
    "/proc/irq/default_smp_affinity",
    "/proc/acpi/wakeup",
    "/proc/kcore",
    "/proc/kmsg",
    "/proc/timer_list",
    "/proc/slabinfo",
    "/sys/kernel/uevent_helper",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/power/state",
    "/sys/power/disk",
    "/sys/module/kernel/parameters/panic",
    "/sys/block/loop0/queue/scheduler",
    "/sys/bus/pci/rescan",
    "/sys/devices/system/cpu/cpu0/online",
    "/sys/fs/cgroup/release_agent",
    "/dev/kmsg",
    "/dev/mem",
    "/dev/port",
    "/dev/sda",
    "/dev/vda",
    "/dev/loop0",
    "/dev/loop-control",
    "/dev/mapper/control",
    "/dev/btrfs-control",
    "/dev/fuse",
    "/dev/kvm",
    "/dev/vsock",
)
"""Nobody in a container may write to any of them, or it isn't there."""
FILE_SYSTEMS = ("debugfs", "tracefs", "securityfs", "devtmpfs", "efivarfs", "configfs", "pstore")


def escape(_: float) -> None:
    """As the container's root: what must not be had, each in its own words."""
    for path in WRITES:
        say(f"write {path}", attempt(lambda path=path: os.close(os.open(path, os.O_WRONLY))))
    place = Path("/mnt/escape")
    place.mkdir(exist_ok=True)
    for kind in FILE_SYSTEMS:
        say(f"mount {kind}", attempt(lambda kind=kind: call("mount", b"none", bytes(place), kind.encode(), 0, None)))
    for name, device in (("block", 0o060600), ("character", 0o020600)):
        say(f"make a {name} device", attempt(lambda d=device: os.mknod("/root/device", d, os.makedev(7, 0))))
    say("mount a disk", attempt(lambda: call("mount", b"/dev/loop0", bytes(place), b"btrfs", 0, None)))
    say("load a module", attempt(lambda: call("syscall", 175, b"", 0, b"")))
    say("load a kernel", attempt(lambda: call("syscall", 246, 0, 0, 0, 0)))
    say("open by handle", attempt(lambda: call("open_by_handle_at", -1, bytes(128), 0)))
    say("set the clock", attempt(lambda: time.clock_settime(time.CLOCK_REALTIME, time.time())))
    say("read the kernel's log", attempt(lambda: call("klogctl", 3, ctypes.create_string_buffer(4096), 4096)))
    program, licence = (
        ctypes.create_string_buffer(bytes.fromhex("9500000000000000")),
        ctypes.create_string_buffer(b"GPL"),
    )
    kprobe = struct.pack("=IIQQ", 2, 1, ctypes.addressof(program), ctypes.addressof(licence))
    say("load eBPF", attempt(lambda: call("syscall", 321, 5, kprobe, len(kprobe))))
    say("watch the CPU", attempt(lambda: call("syscall", 298, b"\1" + bytes(127), -1, 0, -1, 0)))
    say("get I/O ports", attempt(lambda: call("iopl", 3)))
    say("raise a limit", attempt(lambda: raise_limit(resource.RLIMIT_NPROC)))
    seen = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    say("see the server", FOUND if any(b"\0serve\0" in line for line in seen) else "ENOENT")
    groups(place)


def groups(place: Path) -> None:
    """Cgroups of version 1 can be mounted by the container's root: what lies above them must stay out of reach."""
    for name, file, value in (
        ("memory", "memory.limit_in_bytes", b"-1"),
        ("pids", "pids.max", b"max"),
        ("cpuset", "cpuset.cpus", b"0-1"),
        ("cpu", "cpu.shares", b"262144"),
        ("devices", "devices.allow", b"a"),
        ("freezer", "freezer.state", b"FROZEN"),
        ("memory", "release_agent", b"/bin/sh"),
        ("", "memory.max", b"max"),
        ("", "cpu.weight", b"10000"),
    ):
        with contextlib.suppress(OSError):
            call("mount", b"none", bytes(place), b"cgroup", 0, name.encode())
        with contextlib.suppress(OSError):
            call("mount", b"none", bytes(place), b"cgroup2", 0, None)
        say(f"cgroup {file}", attempt(lambda file=file, value=value: write(place / file, value)))
        while attempt(lambda: call("umount", bytes(place))) == FOUND:
            pass


def write(path: Path, value: bytes) -> None:
    file = os.open(path, os.O_WRONLY)
    try:
        os.write(file, value)
    finally:
        os.close(file)


def lxcfs(_: float) -> None:
    """What the folder /var/lib/lxcfs gets when the container starts, where there is such a folder."""
    place = Path("/var/lib/lxcfs")
    kinds = sorted(path.name for path in (place / "cgroup").iterdir()) if (place / "cgroup").exists() else []
    say("mounted", os.path.ismount(place))
    say("groups seen", len(kinds))
    say("make it writable", attempt(lambda: call("mount", None, bytes(place), None, REMOUNT, None)))
    with contextlib.suppress(OSError):  # that is ours to do, and of no use
        call("mount", None, bytes(place), None, REMOUNT | BIND, None)
    groups = [group for kind in kinds for group in (place / "cgroup" / kind).iterdir()]
    say("make a group", " ".join(sorted({attempt((group / "mine").mkdir) for group in groups})))


# -- over the network ----------------------------------------------------------------------------------------------------


def exchange(address: tuple[str, int], *parts: bytes, pause: float = 0, patience: float = 20) -> str:
    """What a server answers, in one line; each part is sent, a pause apart."""
    answer = b""
    with socket.create_connection(address, 5) as connection:
        connection.settimeout(patience)
        with contextlib.suppress(OSError):
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
        with contextlib.suppress(OSError):
            while data := connection.recv(4096):
                answer += data
    return answer.decode(errors="replace").replace("\r\n", " | ") or "cut"


def addressed(place: str) -> tuple[str, int]:
    host, _, port = place.rpartition(":")
    return host, int(port)


def connect(_: float, proxy: str, *targets: str) -> None:
    """What a proxy says to CONNECT."""
    for target in targets:
        say(target, exchange(addressed(proxy), f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode()))


HEADS = {
    "GET": b"GET http://@/ HTTP/1.1\r\nHost: @\r\n\r\n",
    "two requests": b"CONNECT @:443 HTTP/1.1\r\n\r\nCONNECT other.edu.example:443 HTTP/1.1\r\n\r\n",
    "a length": b"CONNECT @:443 HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
    "chunks": b"CONNECT @:443 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a bare LF": b"CONNECT @:443 HTTP/1.1\nHost: x\r\n\r\n",
    "a bare LF in a field": b"CONNECT @:443 HTTP/1.1\r\nHost: x\nX: y\r\n\r\n",
    "a folded field": b"CONNECT @:443 HTTP/1.1\r\nHost: x\r\n y\r\n\r\n",
    "a NUL": b"CONNECT @\0.other:443 HTTP/1.1\r\n\r\n",
    "a name in front": b"CONNECT @@@other.edu.example:443 HTTP/1.1\r\n\r\n",
    "two ports": b"CONNECT @:443:22 HTTP/1.1\r\n\r\n",
    "a dot behind": b"CONNECT @.:443 HTTP/1.1\r\n\r\n",
    "a blank before the colon": b"CONNECT @:443 HTTP/1.1\r\nHost : x\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("160301020001000001fc0303") + bytes(300) + b"\r\n\r\n",
    "a long head": b"CONNECT @:443 HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
}
"""`@` stands for a name that the lesson lists. None of them may get a tunnel."""


def smuggle(_: float, proxy: str, name: str) -> None:
    """Heads that two readers could read in two ways."""
    for kind, head in HEADS.items():
        say(kind, exchange(addressed(proxy), head.replace(b"@", name.encode())))


def slow(_: float, proxy: str, name: str, count: str) -> None:
    """As many connections as can be had, each with a byte of its head now and then, for ever."""
    open_ones, ends = [], time.monotonic() + 60
    for _number in range(int(count)):
        with contextlib.suppress(OSError):
            open_ones.append(socket.create_connection(addressed(proxy), 5))
    began, head = time.monotonic(), f"CONNECT {name}:443 HTTP/1.1\r\nX: ".encode() + b"x" * 4000
    left, at = open_ones, 0
    answers: list[str] = []
    while left and time.monotonic() < ends:
        at += 1
        for connection in list(left):
            connection.setblocking(False)
            try:
                connection.send(head[at : at + 1])
                data = connection.recv(4096)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            answers.append(data.decode(errors="replace").partition("\r\n")[0] or "cut")
            left.remove(connection)
        time.sleep(0.5)
    say("seconds", round(time.monotonic() - began))
    say("left", len(left))
    say("answers", ", ".join(f"{answers.count(each)} x {each}" for each in sorted(set(answers))))


def datagrams(_: float, *places: str) -> None:
    """Questions to name servers, and other things that need no connection."""
    labels = b"".join(bytes([len(label)]) + label for label in b"unlisted.edu.example.org".split(b"."))
    question = bytes.fromhex("1d2e01000001000000000000") + labels + bytes.fromhex("0000010001")
    for place in places:

        def ask(address: tuple[str, int] = addressed(place)) -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
                asking.settimeout(1.5)
                asking.connect(address)
                asking.send(question)
                asking.recv(512)

        say(place, attempt(ask))
    say("a name", attempt(lambda: socket.getaddrinfo("unlisted.edu.example.org", 443)))


def spoof(_: float, gateway: str, neighbour: str) -> None:
    """Frames from addresses that aren't ours, and one that is honest, each with its name in it."""
    mine = bytes.fromhex(Path("/sys/class/net/eth0/address").read_text().strip().replace(":", ""))
    other, everybody = bytes.fromhex("00163e000001"), b"\xff" * 6
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect((gateway, 9))
        own = asking.getsockname()[0]

    def packet(source: str, name: str) -> bytes:
        data = b"EDUCENTER-" + name.encode() + b";"
        datagram = struct.pack("!HHHH", 9, 9, 8 + len(data), 0) + data
        head = struct.pack(
            "!BBHHHBBH4s4s",
            *(0x45, 0, 20 + len(datagram), 1, 0, 64, 17, 0),
            *map(socket.inet_aton, (source, "255.255.255.255")),
        )
        total = sum(struct.unpack("!10H", head))
        total = (total & 0xFFFF) + (total >> 16)
        return head[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + head[12:] + datagram

    def claim(address: str, name: str) -> bytes:
        who = socket.inet_aton(address)
        return struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2) + mine + who + everybody + who + f"EDUCENTER-{name};".encode()

    def frame(source: bytes, kind: int, body: bytes) -> bytes:
        return everybody + source + struct.pack("!H", kind) + body

    frames = {
        "honest": frame(mine, 0x0800, packet(own, "honest")),
        "another MAC": frame(other, 0x0800, packet(own, "another MAC")),
        "the neighbour's address": frame(mine, 0x0800, packet(neighbour, "the neighbour's address")),
        "the gateway's address": frame(mine, 0x0800, packet(gateway, "the gateway's address")),
        "ARP for the gateway": frame(mine, 0x0806, claim(gateway, "ARP for the gateway")),
        "ARP for the neighbour": frame(mine, 0x0806, claim(neighbour, "ARP for the neighbour")),
        "version 6": frame(mine, 0x86DD, b"\x60" + bytes(39) + b"EDUCENTER-version 6;"),
        "another protocol": frame(mine, 0x88B5, b"EDUCENTER-another protocol;" + bytes(40)),
    }
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as wire:
        wire.bind(("eth0", 0))
        for name, data in frames.items():
            say(name, attempt(lambda data=data: wire.send(data)))


def main() -> None:
    globals()[sys.argv[1]](float(sys.argv[2]), *sys.argv[3:])


if __name__ == "__main__":
    main()
