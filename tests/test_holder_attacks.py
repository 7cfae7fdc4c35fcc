"""What a student can do to the holder from inside of the terminal, done: as a user without rights, whose shell it owns."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from terminals.link import frames
from tests.holder_builds import Build
from tests.holder_client import Client, Holders, each_process, stat_field, wait_for

STUDENT = "daemon"
FRAME_FLOOD = 400_000
"""Bytes of hostile sequences."""


@pytest.fixture
def lab(build: Build) -> Iterator[Holders]:
    """Holders whose folder anybody may enter, as /dev in a container: only the state directory's own mode protects it."""
    folder = Path(tempfile.mkdtemp(prefix="holder-"))
    folder.chmod(0o755)
    made = Holders(build.command, folder)
    yield made
    made.end()
    assert [path.read_text() for path in made.findings.iterdir()] == []
    shutil.rmtree(folder)


def shell(lab: Holders) -> Client:
    client = lab.run("start", "t-1", "80", "24", "-u", STUDENT, "-s", "/bin/sh")
    client.attach()
    return client


def typed(seq: int, text: str) -> bytes:
    return frames.holder_input(7, seq, text.encode())


def attack(lab: Holders, client: Client, program: str) -> list[str]:
    """Runs a Python program in the terminal; the lines that it printed."""
    path = lab.folder / "attack.py"
    path.write_text(
        f"HOLDER = {lab.pid()}\nSTATE = {str(lab.state)!r}\nBRIDGE = {client.bridge.pid}\n{program}\nprint('do' + 'ne')\n"
    )
    path.chmod(0o644)
    begin = len(client.output)
    client.send(typed(1, f"stty -echo; python3 -I {path} 2>&1; stty sane\n"))
    client.until(b"done\r\n")
    return client.output[begin:].decode(errors="replace").split("\r\n")


def still_serves(lab: Holders, client: Client, seq: int = 2) -> None:
    """The holder answers, its shell takes input and puts out, and nothing spins."""
    client.send(typed(seq, "stty sane; echo still al''ive\n"))
    client.until(b"still alive")
    pid = lab.pid()
    before = stat_field(Path(f"/proc/{pid}"), 11) + stat_field(Path(f"/proc/{pid}"), 12)
    time.sleep(1)  # the time that is measured
    after = stat_field(Path(f"/proc/{pid}"), 11) + stat_field(Path(f"/proc/{pid}"), 12)
    assert after - before < 30, "it spins"  # ticks of 10 ms


def test_no_signal_reaches_holder_or_bridge(lab: Holders) -> None:
    client = shell(lab)
    lines = attack(
        lab,
        client,
        """
import os
for pid in (HOLDER, BRIDGE, -HOLDER):
    for signal in range(65):
        try:
            os.kill(pid, signal)
            print('BAD signal', signal, pid)
        except PermissionError:
            pass
        except ProcessLookupError:
            assert pid < 0
""",
    )
    assert not [line for line in lines if "BAD" in line or "Error" in line]
    still_serves(lab, client)


def test_neither_memory_nor_descriptors_nor_socket_can_be_had(lab: Holders) -> None:
    client = shell(lab)
    lines = attack(
        lab,
        client,
        """
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def refused(what, call):
    try:
        call()
        print('BAD', what)
    except PermissionError:
        pass
for pid in (HOLDER, BRIDGE):
    for request in (16, 0x4206):  # PTRACE_ATTACH, PTRACE_SEIZE
        if libc.ptrace(request, pid, None, None) != -1:
            print('BAD ptrace', pid, request)
    for name in ('mem', 'environ', 'maps'):
        refused(name, lambda: open(f'/proc/{pid}/{name}', 'rb').read(1))
    refused('fd', lambda: os.listdir(f'/proc/{pid}/fd'))
    refused('cwd', lambda: os.readlink(f'/proc/{pid}/cwd'))
    fd = os.pidfd_open(pid)
    if libc.syscall(438, fd, 0, 0) != -1:  # pidfd_getfd
        print('BAD pidfd_getfd', pid)
refused('state', lambda: os.listdir(STATE))
refused('socket', lambda: socket.socket(socket.AF_UNIX).connect(STATE + '/t-1.sock'))
refused('write', lambda: open(STATE + '/t-1.exit', 'w'))
refused('rename', lambda: os.rename(STATE, STATE + '-mine'))
refused('link', lambda: os.symlink('/tmp', STATE + '/t-2.exit'))
""",
    )
    assert not [line for line in lines if "BAD" in line or "Error" in line]
    still_serves(lab, client)


def test_what_a_terminal_can_be_told_harms_nobody(lab: Holders) -> None:
    client = shell(lab)
    lines = attack(
        lab,
        client,
        """
import fcntl, os, pty, struct, termios
def tell(request, argument):
    try:
        fcntl.ioctl(0, request, argument)
    except OSError as error:
        print('refused', hex(request), error.strerror)
for cols, rows in ((0, 0), (65535, 65535), (1, 1)):
    tell(termios.TIOCSWINSZ, struct.pack('HHHH', rows, cols, 0, 0))
for discipline in range(1, 31):  # N_TTY's replacements; back at once
    tell(termios.TIOCSETD, struct.pack('i', discipline))
    tell(termios.TIOCSETD, struct.pack('i', 0))
tell(termios.TIOCEXCL, 0)
tell(0x5437, 0)  # TIOCVHANGUP
tell(termios.TIOCSCTTY, 1)
tell(termios.TIOCCONS, 0)
for key in b'true\\n':
    tell(termios.TIOCSTI, bytes([key]))
settings = termios.tcgetattr(0)
for flags in range(0, 1 << 16, 257):
    changed = list(settings)
    changed[0], changed[1], changed[3] = flags, flags & ~1, flags
    termios.tcsetattr(0, termios.TCSANOW, changed)
termios.tcsetattr(0, termios.TCSANOW, settings)
for queue in (0, 1, 2):
    termios.tcflush(0, queue)
termios.tcflow(0, termios.TCOOFF)
termios.tcflow(0, termios.TCOON)
tell(termios.TIOCNXCL, 0)
""",
    )
    assert not [line for line in lines if "Traceback" in line]
    still_serves(lab, client)
    client.close()
    again = lab.attach()
    again.attach(epoch=2)
    again.send(typed(3, "stty cols 60000 rows 0; echo si''zed\n"))
    again.until(b"sized")
    again.close()
    hello = lab.attach().attach(epoch=3)
    assert hello.believable(bytes(16), frames.FROM_BASE), "a size that a student set must not lock him out"


def test_hostile_sequences_cost_little_and_leave_a_bounded_status(lab: Holders) -> None:
    client = shell(lab)
    attack(
        lab,
        client,
        f"""
import random, sys
out, chance = sys.stdout.buffer, random.Random(5)
parts = [b'\\x1b[?' + b';'.join(b'%d' % chance.randrange(70000) for _ in range(40)) + b'h', b'\\x1b]52;' + b'A' * 5000,
         b'\\x1b[' + b'9' * 3000, b'\\x1b[?' + b';' * 3000 + b'h', b'\\x1bP' + b'x' * 3000, b'\\x1b' * 500, b'\\x9b?1049h']
size = 0
while size < {FRAME_FLOOD}:
    size += out.write(chance.choice(parts))
out.write(b'\\x18\\r\\n')
out.flush()
""",
    )
    assert len(client.status().modes) <= 32
    still_serves(lab, client)


def test_a_shell_that_detaches_from_everything_still_ends_well(lab: Holders) -> None:
    client = shell(lab)
    attack(
        lab,
        client,
        """
import os, time
for _ in range(20):
    if os.fork() == 0:
        os.setsid()
        for fd in range(3):
            os.close(fd)
        time.sleep(3)
        os._exit(0)
keeper = os.open(os.ttyname(0), os.O_RDWR | os.O_NOCTTY)
if os.fork() == 0:
    os.setsid()
    while True:  # writes on after the shell's end, until the terminal is gone
        os.write(keeper, b'flood' * 100)
""",
    )
    client.send(typed(2, "exit 3\n"))
    ended = frames.read_exit(client.expect(frames.EXIT))
    assert (ended.code, ended.offset) == (3, client.end)


def test_a_fork_bomb_is_hung_up(lab: Holders) -> None:
    client = shell(lab)
    bomb = lab.folder / "bomb.py"
    bomb.write_text("""
import os, resource, signal
resource.setrlimit(resource.RLIMIT_NPROC, (120, 120))
for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
print('bo' + 'mb', flush=True)
while True:
    try:
        if os.fork() == 0:
            continue
    except OSError:
        pass
""")
    bomb.chmod(0o644)
    client.send(typed(1, f"exec python3 -I {bomb}\n"))
    client.until(b"bomb")
    shells = [pid for pid, path in each_process() if stat_field(path, 1) == lab.pid()]
    client.send(frames.frame(frames.HANGUP))
    assert frames.read_exit(client.expect(frames.EXIT)).code == 137
    (session,) = shells
    wait_for(lambda: not [pid for pid, path in each_process() if stat_field(path, 3) == session])
