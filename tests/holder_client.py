"""Runs the real holder on this host, and speaks its frames over the pipes that LXD would give it."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from terminals.link import frames

TIMEOUT = 10.0
"""Seconds for anything that should happen at once; generous, for the machine may be busy."""

MAX_OUTPUT = 32_768
"""Bytes of output in one O frame, as documented."""


def wait_for(condition: Callable[[], object], timeout: float = TIMEOUT) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)


def attach(epoch: int = 1, offset: int = frames.FROM_BASE, window: int = 524_288, **more: object) -> bytes:
    fields: dict[str, object] = {"birth": bytes(16), "size": (0, 0)} | more
    return frames.attach(epoch=epoch, offset=offset, window=window, **fields)  # type: ignore[arg-type]


class Client:
    """One bridge and its frames. `acks`: whether it acknowledges all output that it reads."""

    def __init__(self, command: list[str], env: dict[str, str], *, pipes: bool = False, acks: bool = True) -> None:
        if pipes:
            theirs_in, self.writer = os.pipe()
            self.reader, theirs_out = os.pipe()
        else:
            ours, theirs = socket.socketpair()
            self.reader = self.writer = ours.detach()
            theirs_in = theirs_out = theirs.detach()
        self.bridge = subprocess.Popen(command, stdin=theirs_in, stdout=theirs_out, env=env)
        for fd in {theirs_in, theirs_out}:
            os.close(fd)
        self.acks = acks
        self.window = 524_288
        self.decoder = frames.Decoder()
        self.bodies: list[bytes] = []
        self.end: int | None = None
        self.output = b""

    def send(self, *parts: bytes) -> None:
        data = b"".join(parts)
        while data:
            data = data[os.write(self.writer, data) :]

    def read(self, timeout: float = TIMEOUT) -> bytes | None:
        """The next body, or None at the end of the stream."""
        end = time.monotonic() + timeout
        poll = select.poll()
        poll.register(self.reader, select.POLLIN)
        while not self.bodies:
            left = end - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise TimeoutError
            try:
                data = os.read(self.reader, 65_536)
            except ConnectionResetError:  # a socket that was closed with something unread
                data = b""
            if not data:
                return None
            self.bodies = self.decoder.feed(data)
        return self._seen(self.bodies.pop(0))

    def _seen(self, body: bytes) -> bytes:
        if body[0] == frames.HELLO:
            self.hello = frames.read_hello(body)
            self.end = self.hello.start
        elif body[0] == frames.GAP:
            start, self.end = frames.read_pair(body)
            assert start < self.end
        elif body[0] == frames.OUTPUT:
            assert frames.offset_of(body) == self.end, "output isn't contiguous"
            assert 1 <= len(body) - frames.OUTPUT_HEAD <= MAX_OUTPUT
            self.output += body[frames.OUTPUT_HEAD :]
            self.end += len(body) - frames.OUTPUT_HEAD
            if self.acks:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self.send(frames.ack(self.end, self.window))
        return body

    def expect(self, *kinds: int, timeout: float = TIMEOUT) -> bytes:
        """The next body of one of these kinds; output and others before it are taken as they come."""
        end = time.monotonic() + timeout
        while True:
            body = self.read(max(0.0, end - time.monotonic()))
            assert body is not None, f"the stream ended before {bytes(kinds)!r}"
            if body[0] in kinds:
                return body
            assert body[0] != frames.ERROR, frames.read_error(body)

    def attach(self, **fields: object) -> frames.Hello:
        self.send(attach(**fields))  # type: ignore[arg-type]
        self.expect(frames.HELLO)
        return self.hello

    def until(self, text: bytes, timeout: float = TIMEOUT) -> bytes:
        """All output so far, which holds `text`."""
        while text not in self.output:
            self.expect(frames.OUTPUT, timeout=timeout)
        return self.output

    def error(self) -> tuple[int, int, str]:
        """The E frame that ends the stream."""
        while (body := self.read()) is not None and body[0] != frames.ERROR:
            pass
        assert body is not None, "the stream ended without E"
        self.ended()
        return frames.read_error(body)

    def ended(self) -> None:
        while self.read() is not None:
            pass

    def status(self, until: Callable[[frames.Status], bool] = lambda _: True) -> frames.Status:
        """Asks until the status is as wanted."""
        end = time.monotonic() + TIMEOUT
        while True:
            self.send(frames.frame(b"Q"))
            status = frames.read_status(self.expect(frames.STATUS))
            if until(status):
                return status
            assert time.monotonic() < end, status

    def close(self) -> None:
        for fd in {self.reader, self.writer}:
            with contextlib.suppress(OSError):
                os.close(fd)
        self.reader = self.writer = -1
        self.bridge.wait(TIMEOUT)

    def kill(self) -> None:
        """As LXD does when the control socket drops."""
        self.bridge.kill()
        self.close()


class Holders:
    """A state directory, and all that was started in it."""

    def __init__(self, command: list[str], folder: Path, **env: str) -> None:
        self.command = command
        self.folder = folder
        self.state = folder / "state"
        self.findings = folder / "findings"
        self.findings.mkdir()
        self.env = {
            "EDUCENTER_HOLDER_DIR": str(self.state),
            "ASAN_OPTIONS": f"log_path={self.findings}/asan:detect_leaks=1:detect_stack_use_after_return=1",
            "UBSAN_OPTIONS": f"log_path={self.findings}/ubsan:print_stacktrace=1",
            **env,
        }
        self.clients: list[Client] = []

    def run(self, *arguments: str, **options: bool) -> Client:
        client = Client([*self.command, *arguments], self.env, **options)
        self.clients.append(client)
        return client

    def script(self, text: str) -> str:
        """A program that takes the shell's place."""
        path = self.folder / f"script-{len(list(self.folder.iterdir()))}"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    def start(self, script: str = "exec cat", *more: str, terminal: str = "t-1", **options: bool) -> Client:
        return self.run("start", terminal, "80", "24", "-s", self.script(script), *more, **options)

    def attach(self, terminal: str = "t-1", **options: bool) -> Client:
        return self.run("attach", terminal, **options)

    def pids(self) -> list[int]:
        """Holders and bridges that run."""
        mine, binary = f"EDUCENTER_HOLDER_DIR={self.state}".encode(), Path(self.command[0]).resolve()
        found = []
        for pid, path in each_process():
            with contextlib.suppress(OSError):
                if mine in (path / "environ").read_bytes().split(b"\0") and (path / "exe").resolve() == binary:
                    found.append(pid)
        return found

    def pid(self) -> int:
        """The one holder."""
        bridges = {client.bridge.pid for client in self.clients}
        found: set[int] = set()

        def one() -> bool:
            found.clear()
            found.update(set(self.pids()) - bridges)
            return len(found) == 1

        # A bridge that LeakSanitizer looks through has another process for a moment.
        wait_for(one)
        return found.pop()

    def end(self) -> None:
        holders = self.pids()
        sessions = [pid for pid, path in each_process() if stat_field(path, 1) in holders]
        for pid, path in each_process():
            if pid in holders or stat_field(path, 3) in sessions:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for client in self.clients:
            client.close()
        wait_for(lambda: not self.pids())


def each_process() -> Iterator[tuple[int, Path]]:
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            yield int(path.name), path


def stat_field(path: Path, n: int) -> int:
    """A number of /proc/PID/stat behind the command and the state: 1 the parent, 2 the group, 3 the session."""
    try:
        return int((path / "stat").read_text().rpartition(")")[2].split()[n])
    except OSError:
        return -1
