"""The screen helpers die: who comes late misses a picture for a moment, and nobody a byte."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from terminals.screens.screen import STEADY_S
from tests.chaos.desk import Desk
from tests.chaos.fleet import Fleet
from tests.chaos.seat import Seat
from tests.chaos.verdict import UNHURT_S
from tests.client import User
from tests.conftest import Server, lxc
from tests.e2e.test_late_join import helpers
from tests.soak.lab import ask
from tests.soak.scale import times

REPEATS = times(10)
LINE_S = 0.03
AGAIN_S = 0.1
FELT_S = 2.0
"""No longer silence is accepted in vim, while on a busy machine two helpers start and parse a whole ring."""
SOON_S = 20.0
"""Some tries of 2 s there, for who comes late."""
BEFORE = 100_000
"""Lines: more than a tail holds, so that who comes gets a picture where there is one."""
DRAWN = b"\x1b[?1047h"
"""How a picture begins the alternate screen; programs do it otherwise."""
Told = Callable[[str, list[float]], None]


@pytest.mark.timeout(180 + 40 * REPEATS)
async def test_a_killed_screen_helper_is_felt_by_nobody_and_who_comes_late_soon_has_a_picture_again(
    pair: Fleet, make_user: Callable[..., Any], told: Told
) -> None:
    student: User = await make_user(pair.url)
    teacher: User = await make_user(pair.url, role="instructor")
    here, there = pair.servers
    seen: list[float] = []
    again: list[float] = []
    async with Desk.taken(student, url=here.url, lesson="first-steps") as desk:
        editor = await desk.open(student)
        editor.url = here.url
        watcher = Seat(teacher, editor.terminal, role="observer", url=there.url)
        async with editor.running(), watcher.running():
            await ask(editor, f"seq {BEFORE} | tail -n {BEFORE}")
            await editor.type("vim -u NONE -n /tmp/lines\r")
            await editor.when(lambda: b"/tmp/lines" in editor.output[-5_000:] and b"\x1b[?1049h" in editor.output)
            vim = lxc("exec", desk.container, "--", "pgrep", "-x", "vim").split()
            await editor.type("i")
            enough = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                writing = group.create_task(write(editor, enough))
                for turn in range(REPEATS):
                    dying = [await helper(server) for server in pair.servers]
                    for seat in (desk.reader, editor, watcher):
                        seat.fault()
                    for pid in dying:
                        os.kill(pid, signal.SIGKILL)
                    again += await asyncio.gather(pictured(student, editor, here), pictured(teacher, editor, there))
                    desk.note()
                    seen += [editor.silent_s, watcher.silent_s]
                    if turn + 1 < REPEATS:
                        # One that died sooner would make the next wait longer and longer.
                        await asyncio.sleep(STEADY_S + 1)
                enough.set()
            lines = writing.result()
            await editor.when(lambda: not editor.unacknowledged)
            assert lxc("exec", desk.container, "--", "pgrep", "-x", "vim").split() == vim
            await editor.type("\x1b:wq\r")
            # What is typed while vim gives the terminal back would be lost: that is its way.
            await editor.when(lambda: editor.output.rpartition(b"\x1b[?1049l")[2].endswith(b"$ "))
            assert lxc("exec", desk.container, "--", "grep", ".", "/tmp/lines").splitlines() == [
                f"line {number}" for number in range(1, lines + 1)
            ]
            await watcher.when(lambda: watcher.offset >= editor.offset)
            assert same(watcher, editor)
            for seat in (editor, watcher):
                assert (seat.times_attached, seat.gaps, seat.resets) == (1, [], 1)
    assert max(desk.silences) < UNHURT_S
    assert max(seen) < FELT_S
    told(f"{REPEATS} × both screen helpers killed, the longest silence in vim and at its watcher's", seen)
    told("  to the next picture for who comes late, at the owner and elsewhere", again)


async def write(editor: Seat, enough: asyncio.Event) -> int:
    """Types lines into vim; how many."""
    number = 0
    while not enough.is_set():
        number += 1
        await editor.type(f"line {number}\r")
        await asyncio.sleep(LINE_S)
    return number


async def helper(of: Server) -> int:
    """Its screen helper's pid, as soon as it has one."""
    async with asyncio.timeout(SOON_S):
        while not (found := await asyncio.to_thread(helpers, of)):
            await asyncio.sleep(0.05)
    (pid,) = found
    return pid


async def pictured(who: User, editor: Seat, at: Server) -> float:
    """Comes late again and again until a picture is shown; seconds since the fault. Bytes of the student's follow whatever is."""
    async with asyncio.timeout(SOON_S):
        while True:
            late = Seat(who, editor.terminal, role="observer", url=at.url)
            await late.connect()
            await late.until(lambda late=late: late.resets == 1 and late.offset > late.own_from)
            await editor.when(lambda late=late: editor.offset >= late.offset)
            assert same(late, editor)
            found = DRAWN in late.output
            await late.leave()
            if found:
                return time.monotonic() - editor.fault_at
            await asyncio.sleep(AGAIN_S)


def same(seat: Seat, editor: Seat) -> bool:
    """It was shown the student's bytes from its first own one on."""
    count = seat.offset - seat.own_from
    start = seat.own_from - editor.start
    return count > 0 and seat.output[-count:] == editor.output[start : start + count]
