"""The owning instance dies or freezes: pages are back on another, with the same programs, every byte and every key."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from terminals.store import Store
from tests.chaos import verdict
from tests.chaos.desk import COUNT, Desk, another
from tests.chaos.fleet import Fleet, tell
from tests.chaos.seat import Seat
from tests.client import User
from tests.conftest import container_of, lxc
from tests.soak.lab import ask
from tests.soak.scale import times

KILLS = times(50)
MANY = times(100)
REPEATS = times(10)
FROZEN_S = 20.0 if REPEATS > 1 else 8.0
PER_SESSION = 8
AT_ONCE = 4
Told = Callable[[str, list[float]], None]


@pytest.mark.timeout(120 + 15 * KILLS)
async def test_the_owner_killed_costs_a_moment_and_vim_in_another_tab_goes_on_to_the_byte(
    pair: Fleet, store: Store, make_user: Callable[..., Any], told: Told
) -> None:
    student: User = await make_user(pair.url)
    async with Desk.taken(student, lesson="first-steps") as desk:
        editor = await desk.open(student)
        async with editor.running():
            await editor.type("vim -u NONE -n /tmp/lines\r")
            await editor.when(
                lambda: b"/tmp/lines" in editor.output[editor.start :] and b"\x1b[?1049h" in editor.output
            )
            vim = lxc("exec", desk.container, "--", "pgrep", "-x", "vim").split()
            for number in range(KILLS):
                owner = await pair.owner(store.database, desk.reader.terminal)
                desk.fault()
                owner.kill()
                await editor.type(f"o{'line' if number else 'first'} {number}\x1b")
                await desk.reader.back()
                desk.note()
                await pair.restart(owner)
                await editor.when(lambda: editor.live and not editor.unacknowledged)
            assert lxc("exec", desk.container, "--", "pgrep", "-x", "vim").split() == vim
            await settled_screen(student, editor)
            await editor.type(":wq\r")
            # What is typed while vim gives the terminal back would be lost: that is its way.
            await editor.when(lambda: editor.output.rpartition(b"\x1b[?1049l")[2].endswith(b"$ "))
            assert await ask(editor, "sed 1d /tmp/lines | wc -l; tail -1 /tmp/lines") == (
                f"{KILLS}\r\n{'line' if KILLS > 1 else 'first'} {KILLS - 1}"
            )
            assert (editor.gaps, editor.resets) == ([], 1)
    told(f"{KILLS} × SIGKILL of the owner, to the next byte", desk.silences)


async def settled_screen(student: User, editor: Seat) -> None:
    """A fresh page is shown what this one was shown, byte for byte."""
    at = -1
    while editor.offset != at:
        at = editor.offset
        await asyncio.sleep(0.5)
    fresh = Seat(student, editor.terminal, role="observer", url=editor.url)
    async with fresh.running():
        await fresh.when(lambda: fresh.offset >= editor.offset)
        start = max(fresh.start, editor.start)
        assert fresh.offset == editor.offset
        assert fresh.output[start - fresh.start :] == editor.output[start - editor.start :]


@pytest.mark.timeout(300 + 60 * REPEATS)
async def test_the_owner_of_many_terminals_killed_gives_all_of_them_back(
    pair: Fleet, make_user: Callable[..., Any], told: Told
) -> None:
    victim = pair.servers[0]
    async with crowd(pair, make_user, victim.url) as seats:
        silences, attached = [], []
        for _ in range(REPEATS):
            for seat in seats:
                seat.fault()
            victim.kill()
            victim = pair.other(victim)
            for seat in seats:
                seat.url = victim.url
            await asyncio.gather(*(seat.back(90) for seat in seats))
            silences += [seat.silent_s for seat in seats]
            attached += [seat.began_at - seat.fault_at for seat in seats]
            await asyncio.to_thread(pair.complete)
    told(f"{REPEATS} × SIGKILL of the owner of {MANY} terminals, to the next byte (one each 0.2 s)", silences)
    told("  to the attach", attached)


@asynccontextmanager
async def crowd(fleet: Fleet, make_user: Callable[..., Any], url: str) -> AsyncIterator[list[Seat]]:
    """Numbered output in many terminals; at the end everything is contiguous, and nothing is left over."""
    turn = asyncio.Semaphore(AT_ONCE)
    labs: list[tuple[str, list[Seat]]] = []
    students = [await make_user(fleet.url) for _ in range(-(-MANY // PER_SESSION))]

    async def sit(student: User, count: int, stack: AsyncExitStack) -> None:
        async with turn:
            session = await student.start("tiny-system")
            terminals = [await student.first_terminal(session)]
            terminals += [await another(student, session) for _ in range(count - 1)]
            seats = [Seat(student, terminal, url=url) for terminal in terminals]
            for seat in seats:
                await stack.enter_async_context(seat.running())
                await seat.type(f"stty -echo; {COUNT.format(every='0.2')}\r")
                await seat.when(lambda seat=seat: b"-\r\nN1\r\n" in seat.output)
            labs.append((session, seats))

    async with AsyncExitStack() as stack:
        counts = [min(PER_SESSION, MANY - PER_SESSION * place) for place in range(len(students))]
        await asyncio.gather(*(sit(student, count, stack) for student, count in zip(students, counts, strict=True)))
        yield [seat for _, seats in labs for seat in seats]
        for session, seats in labs:
            await verdict.settled(container_of(session), [seat.terminal for seat in seats])
            for seat in seats:
                verdict.contiguous(bytes(seat.output))
                assert (seat.gaps, seat.resets) == ([], 1)


@pytest.mark.timeout(120 + 60 * REPEATS)
async def test_a_frozen_owner_is_left_after_seconds_and_fenced_when_it_wakes(
    pair: Fleet, store: Store, make_user: Callable[..., Any], told: Told
) -> None:
    student: User = await make_user(pair.url)
    async with Desk.taken(student) as desk:
        for _ in range(REPEATS):
            frozen = await pair.owner(store.database, desk.reader.terminal)
            claims = len(frozen.logged("terminal_claimed"))
            began = time.monotonic()
            desk.fault()
            tell(frozen, signal.SIGSTOP)
            try:
                await desk.reader.back(60)
                desk.note()
                await asyncio.sleep(max(0.0, FROZEN_S - (time.monotonic() - began)))
            finally:
                tell(frozen, signal.SIGCONT)
            await desk.reader.when(lambda at=desk.reader.offset: desk.reader.live and desk.reader.offset > at + 500)
            assert await pair.owner(store.database, desk.reader.terminal) is not frozen
            # What it held it must let go; what it claims from now on was asked of it anew by a page.
            await verdict.settled(desk.container, [seat.terminal for seat in desk.seats])
            assert len(frozen.logged("terminal_claimed")) <= claims + 1
    told(f"{REPEATS} × SIGSTOP of the owner for {FROZEN_S:.0f} s, to the next byte", desk.silences)
