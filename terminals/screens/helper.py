"""Helper: one run of the screen helper (static/src/screen), a child process; frames go over its stdin and stdout."""

import asyncio
import struct
import time
from asyncio import SubprocessTransport, WriteTransport
from collections.abc import Callable
from pathlib import Path
from typing import cast

import structlog

log = structlog.get_logger(__name__)

Taker = Callable[[int, int, bytes], None]
"""Gets a frame: its type, the screen's number, the payload."""

HEAP_MB = 768
"""Of JavaScript, pages that are only partly used included; the helper gives the largest terminals up long before."""
MAX_FRAME = 16_777_216
"""Bytes; a snapshot has a limit far below."""
END_S = 2.0
STUCK_S = 5.0
"""It answers within milliseconds; one that works on something for so long hangs, and everybody's screens with it."""
LOOK_S = 0.5
STDERR_LIMIT = 8_192
"""Bytes of stderr that are logged; the rest is dropped."""
_HEAD = struct.Struct(">IBI")
_TYPE_AND_ID = 5


class Helper(asyncio.SubprocessProtocol):
    """`take` gets its frames and must not raise. What `run` returns says why it ended."""

    def __init__(self, take: Taker, *, busy: Callable[[], bool]) -> None:
        self._take = take
        self._busy = busy
        self.pid = 0
        self._early = bytearray()
        self._input: WriteTransport | None = None
        self._rest = bytearray()
        self._stderr = b""
        self._heard = time.monotonic()
        self._broken = ""
        self._over = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Bytes that it hasn't taken yet."""
        return len(self._early) if self._input is None else self._input.get_write_buffer_size()

    def post(self, kind: int, number: int, payload: bytes = b"") -> None:
        """Sends without waiting; the caller bounds what is under way. Before it runs, frames are kept."""
        head = _HEAD.pack(_TYPE_AND_ID + len(payload), kind, number)
        if self._input is None:
            self._early += head + payload
        else:
            self._write(head + payload)

    async def run(self, node: Path, script: Path) -> str:
        """Until it ends; it is killed where it hangs, sends nonsense, or this task is cancelled.

        Raises:
            OSError: it can't be started.
        """
        command = (str(node), f"--max-old-space-size={HEAP_MB}", "--expose-gc", str(script))
        # An empty environment: what terminals show is parsed there, and our secrets are none of its business.
        transport, _ = await asyncio.get_running_loop().subprocess_exec(lambda: self, *command, env={})
        try:
            while not self._over.is_set() and not self._broken:
                await self._look()
        finally:
            await asyncio.shield(self._end(transport))
        return self._broken or f"exit {transport.get_returncode()}"

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(LOOK_S):
                await self._over.wait()
        except TimeoutError:
            if not self._busy():
                self._heard = time.monotonic()
            elif time.monotonic() - self._heard > STUCK_S:
                self._broken = f"hung for {STUCK_S:.0f} s"

    async def _end(self, transport: SubprocessTransport) -> None:
        """Ends by itself when its stdin is closed; a hanging one is killed."""
        if self._input is not None and not self._input.is_closing():
            self._input.abort()
        try:
            async with asyncio.timeout(0 if self._broken else END_S):
                await self._over.wait()
        except TimeoutError:
            transport.kill()
            await self._over.wait()
        transport.close()
        if self._stderr:
            log.warning("screen_helper_complained", text=self._stderr.decode(errors="replace"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # By cast: uvloop's transports are none of asyncio's classes.
        process = cast("SubprocessTransport", transport)
        self._input = cast("WriteTransport", process.get_pipe_transport(0))
        self._write(bytes(self._early))
        self._early.clear()
        self.pid = process.get_pid()
        self._heard = time.monotonic()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd != 1:
            self._stderr += data[: STDERR_LIMIT - len(self._stderr)]
            return
        self._heard = time.monotonic()
        self._rest += data
        at = 0
        while len(self._rest) - at >= _HEAD.size and not self._broken:
            size, kind, number = _HEAD.unpack_from(self._rest, at)
            if not _TYPE_AND_ID <= size <= MAX_FRAME:
                self._broken = f"sent a frame of {size} bytes"
                break
            stop = at + 4 + size
            if stop > len(self._rest):
                break
            self._take(kind, number, bytes(self._rest[at + _HEAD.size : stop]))
            at = stop
        del self._rest[:at]

    def process_exited(self) -> None:
        self._over.set()

    def _write(self, data: bytes) -> None:
        # When it dies its pipe is closed before we are told, and uvloop raises for what is written then: into the very
        # callback that hands a terminal its output.
        if self._input is not None and not self._input.is_closing() and not self._over.is_set():
            self._input.write(data)
