"""Proxy: tunnels from closed labs to the names that their lessons list. It knows a lab by its address, which LXD vouches for.

What comes from a lab is hostile: every wait and every buffer has a bound, of one lab and of all together. Names are
resolved here, once, and what is connected to is the address that was looked at. Nothing that passes is read or logged.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import structlog

from terminals.errors import TerminalsError
from terminals.networks import allows, public
from terminals.proxy import heads
from terminals.proxy.heads import Refusal, Target

log = structlog.get_logger(__name__)

HEAD_S, RESOLVE_S, CONNECT_S = 10.0, 5.0, 10.0
IDLE_S = 300.0
"""A tunnel through which nothing passed for so long, in neither direction, is closed."""
STUCK_S = 60.0
"""The same for an end that takes nothing."""
KNOWN_S = 2.0
"""What a lesson lists is believed for so long."""
OF_ONE, OF_ALL = 32, 2_000
"""Connections of one lab, and of all."""
OPENING = 4
"""Names that one lab has resolved and connected to at the same time: threads are shared."""
RESOLVERS = 16
TRIES = 3
"""Addresses of one name."""
CHUNK = 65_536
BACKLOG = 256
LINES, LINES_S = 20, 60.0
"""Refusals of one lab that are logged in so many seconds: a log is no place to fill."""
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
REASONS = {400: "Bad Request", 403: "Forbidden", 405: "Method Not Allowed", 408: "Request Timeout"}
REASONS |= {429: "Too Many Requests", 431: "Request Header Fields Too Large", 502: "Bad Gateway"}
REASONS |= {503: "Service Unavailable", 504: "Gateway Timeout"}

Lookup = Callable[[str], Awaitable[tuple[str, list[str]] | None]]
"""Address → the session whose lab has it, and the names it may reach; None: no closed lab's."""


@dataclass(slots=True)
class _Lab:
    """One address."""

    connections: int = 0
    known: tuple[str, list[str]] | None = None
    """What was looked up."""
    known_at: float = -KNOWN_S - 1
    opening: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(OPENING))
    lines: int = 0
    lines_since: float = 0.0


class Proxy:
    """`run` it on the closed bridge's address."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._labs: dict[str, _Lab] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(RESOLVERS, thread_name_prefix="resolver")

    async def run(self, host: str, port: int, until: asyncio.Event) -> None:
        """Until the event is set: then open tunnels are closed, too.

        Raises:
            OSError: the address can't be listened on.
        """
        listener = await asyncio.start_server(self._accept, host, port, limit=heads.MOST, backlog=BACKLOG)
        log.info("proxy_started", host=host, port=port)
        async with listener:
            await until.wait()
            listener.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)
        log.info("proxy_stopped")

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = writer.get_extra_info("peername")[0]
        if len(self._tasks) >= OF_ALL:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(address, reader, writer), name=f"tunnel-{address}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lab = self._labs.setdefault(address, _Lab())
        lab.connections += 1
        try:
            await self._pass_on(lab, address, reader, writer)
        except Refusal as refusal:
            self._note(lab, address, refusal)
            await _answer(writer, refusal)
        except TerminalsError as error:
            log.warning("proxy_lookup_failed", address=address, reason=error.message)
            await _answer(writer, Refusal(503, error.code, "Your lesson can't be looked up now. Try again in a moment"))
        except (OSError, asyncio.IncompleteReadError):
            pass  # one of the two ends is gone
        except Exception:
            log.exception("proxy_failed", address=address)
        finally:
            writer.transport.abort()
            lab.connections -= 1
            if not lab.connections and time.monotonic() - lab.lines_since > LINES_S:
                self._labs.pop(address, None)

    async def _pass_on(
        self, lab: _Lab, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if lab.connections > OF_ONE:
            raise Refusal(429, "too_many", f"A lab may have {OF_ONE} connections at the same time")
        if time.monotonic() - lab.known_at > KNOWN_S:
            lab.known, lab.known_at = await self._lookup(address), time.monotonic()
        if lab.known is None:
            raise Refusal(403, "no_lab", "Only labs of lessons with a closed network may use this proxy")
        _, hosts = lab.known
        target = await _asked(reader)
        if not allows(hosts, target.name):
            message = f"This lesson doesn't list {target.name}. It lists: {', '.join(hosts)}"
            raise Refusal(403, "not_listed", message, target.name)
        async with lab.opening:
            there = await self._connect(target)
        await _tunnel(reader, writer, *there)

    async def _connect(self, target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for address in (await self._resolve(target))[:TRIES]:
            try:
                async with asyncio.timeout(CONNECT_S):
                    return await asyncio.open_connection(address, target.port, limit=CHUNK)
            except (OSError, TimeoutError):
                continue
        raise Refusal(502, "unreachable", f"{target.name} doesn't answer", target.name)

    async def _resolve(self, target: Target) -> list[str]:
        """Of a name that is a stranger's: an answer of which one address is ours counts as an attack."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(RESOLVE_S):
                answer = await loop.run_in_executor(self._threads, _ask, target.name)
        except TimeoutError as error:
            raise Refusal(504, "unresolved", f"Nobody says in time where {target.name} is", target.name) from error
        except OSError as error:
            raise Refusal(502, "unresolved", f"There is no {target.name}", target.name) from error
        addresses = list(dict.fromkeys(answer))
        if not addresses or not all(public(each) and not _ours(each) for each in addresses):
            raise Refusal(403, "private", f"{target.name} isn't on the internet, but somewhere near", target.name)
        return addresses

    def _note(self, lab: _Lab, address: str, refusal: Refusal) -> None:
        now, session = time.monotonic(), lab.known[0] if lab.known else ""
        if now - lab.lines_since > LINES_S:
            lab.lines, lab.lines_since = 0, now
        lab.lines += 1
        if lab.lines <= LINES:
            log.info("proxy_refused", address=address, session=session, code=refusal.code, name=refusal.name)
        elif lab.lines == LINES + 1:
            log.warning("proxy_refusals_not_logged", address=address, session=session, seconds=LINES_S)


def _ask(name: str) -> list[str]:
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]


def _ours(address: str) -> bool:
    """Whether it is this machine's own: to itself it goes from there. Connecting a datagram socket sends nothing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect((address, 443))
        except OSError:
            return False  # there is no way to it at all
        return bool(asking.getsockname()[0] == address)


async def _asked(reader: asyncio.StreamReader) -> Target:
    """In time, whole, and nothing behind it: who has to be answered first sends nothing yet."""
    try:
        async with asyncio.timeout(HEAD_S):
            head = await reader.readuntil(heads.END)
    except TimeoutError as error:
        raise Refusal(408, "slow", "The request didn't come in time") from error
    except asyncio.LimitOverrunError as error:
        raise Refusal(431, "long", f"A request's head has at most {heads.MOST} bytes") from error
    target = heads.read(head)
    if reader._buffer:  # type: ignore[attr-defined]  # noqa: SLF001 - asyncio has no question for what came already
        raise Refusal(400, "early", "Nothing may follow a request before its answer", target.name)
    return target


async def _answer(writer: asyncio.StreamWriter, refusal: Refusal) -> None:
    body = f"{refusal.message}.\n".encode()
    head = (
        f"HTTP/1.1 {refusal.status} {REASONS[refusal.status]}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nX-EduCenter: {refusal.code}\r\nConnection: close\r\n\r\n"
    )
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(CONNECT_S):
            writer.write(head.encode() + body)
            await writer.drain()
            writer.close()
            await writer.wait_closed()


async def _tunnel(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    far_reader: asyncio.StreamReader,
    far_writer: asyncio.StreamWriter,
) -> None:
    """Until both directions have ended, or nothing passes any more."""
    clock = asyncio.timeout(IDLE_S)
    loop = asyncio.get_running_loop()

    def passed() -> None:
        if not clock.expired():
            clock.reschedule(loop.time() + IDLE_S)

    for end in (writer, far_writer):
        # What is drained is the kernel's then: it may be let go without losing the last bytes.
        end.transport.set_write_buffer_limits(0)
    try:
        async with clock:
            writer.write(ESTABLISHED)
            async with asyncio.TaskGroup() as both:
                both.create_task(_pass(reader, far_writer, passed))
                both.create_task(_pass(far_reader, writer, passed))
    except* (OSError, TimeoutError):
        pass
    finally:
        far_writer.transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passed: Callable[[], None]) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        async with asyncio.timeout(STUCK_S):
            await writer.drain()
        passed()
    if writer.can_write_eof():
        writer.write_eof()
