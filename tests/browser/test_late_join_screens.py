"""Joining late in two windows: who comes when a program has drawn its screen has that very screen, cell by cell."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.browser.lab import Lab
from tests.browser.test_watch import Room, house, room, watch

__all__ = ["house", "room"]

MEGABYTE = 1_250_000
"""Bytes: more than any ring holds."""
WAIT_S = 60.0
LINES = r"""for n in range(300):
    print(f"\x1b[3{n % 7 + 1}m{n}", "".join(f"\x1b[38;5;{(n + x) % 256}m{x % 10}" for x in range(60)) + "\x1b[m")
"""
COLOURS = r"""import sys

def put(text):
    sys.stdout.write(text)

if "fill" in sys.argv:
    put("\x1b[?1049h\x1b[2J\x1b[H")
for n in range(256):
    put(f"\x1b[48;5;{n};38;5;{255 - n}m{n % 10}" + ("\x1b[m\r\n" if n % 64 == 63 else ""))
for n in range(60):
    put(f"\x1b[38;2;{n * 4};{255 - n * 4};128;48;2;0;{n};{n * 2}m#")
put("\x1b[m\r\n")
for n in [*range(30, 38), *range(90, 98)]:
    put(f"\x1b[{n}mc\x1b[{n + 10};39mC\x1b[m")
put("\r\n")
for look in "1 2 3 4 5 7 8 9 53 21 4:2 4:3 4:4 4:5 4:3;58:2::255:0:9 4;58:5:77 1;2;3;4;5;7;9;53".split():
    put(f"\x1b[{look}m{look}\x1b[m ")
put("\x1b]8;;https://example.test/\x1b\\a link\x1b]8;;\x1b\\\r\n")
put("|\u4f60\u597d|\U0001f469\u200d\U0001f4bb|\U0001f468\u200d\U0001f469\u200d\U0001f467|\U0001f44d\U0001f3fd|\U0001f1e9\U0001f1ea|\u2764\ufe0f|")
put("e\u0301n\u0308|\u0928\u093f|\u1112\u1161\u11ab|\u05e9\u05dc|\x1b(0lqqk\x1b(B|\r\n" + "\u4f60\x1b[41m" * 90 + "\x1b[m\r\n")
put("\x1b[44m\x1b[K  erased in blue\x1b[m\x1b[16;22r\x1b[16;1H" + "\r\n".join(f"line {n}" for n in range(7)) + "\x1b[2;20H")
put("drawn\x1b[1;4:3;38;5;208m")
sys.stdout.flush()
input()
# What is written now joins the last character, in its look, and scrolls between the margins.
put("\u0301more-1\x1b[22;1H\n\n\n")
sys.stdout.flush()
input()
put("\x1b[m")
for n in range(14_000):
    put("\x1b7\x1b[18;1H\x1b[3%dm%078d\x1b[m\x1b8" % (n % 8, n))
put("\x1b[2;30H\x1b[3;4;48;2;60;0;0m")
sys.stdout.flush()
input()
put("more-2")
sys.stdout.flush()
input()
"""
REDRAW = ":for i in range(6000)|call setline(3,repeat(nr2char(33+i%90),78))|redraw|endfor\n"


@dataclass(frozen=True)
class Program:
    """What is typed, a row that must then be there, keys that make it go on, and a row that must be there after those."""

    name: str
    command: str
    shows: str
    keys: tuple[str, ...]
    then: str
    flood: tuple[str, ...] = ()
    """Keys that make it draw on for a megabyte; `again`: they are pressed again and again; `enough` ends it."""
    again: bool = False
    enough: tuple[str, ...] = ()


PROGRAMS = [
    # Drawn anew after a megabyte: there is no tail that has it all. They don't have the screen for themselves.
    Program("top", "seq 200000; clear; top -d 36''00\n", "PID USER", ("c",), "top -d 3600"),
    Program("colours", "seq 200000; clear; python3 colours.py\n", "drawn", ("\n",), "more-{n}"),
]
FULL = [
    Program(
        "vim",
        "vim -c vsplit -c split /usr/lib/python3.11/abc.py\n",
        "Copyright 2007 Google",
        ("i", "hello {n} from vim"),
        "hello {n} from vim",
        flood=("Escape", REDRAW),
    ),
    Program(
        "less",
        "python3 lines.py > lines; less -N lines\n",
        r"^\s+2 1 ",
        ("g", "/2{n}5\n"),
        r"^\s+2{n}6 2{n}5 ",
        flood=("f", "f", "b"),
        again=True,
    ),
    Program(
        "tmux",
        "tmux new-session 'ls -l --color /; sh' \\; split-window -h \\; split-window -v\n",
        r"^\[0\] 0:",
        ("echo in-the-''pane-{n}\n",),
        "in-the-pane-{n}",
        flood=('while printf "\\r%050d" $((n++)); do :; done\n',),
        enough=("Control+c",),
    ),
    Program("colours", "python3 colours.py fill\n", "drawn", ("\n",), "more-{n}", flood=("\n",)),
]


@pytest.fixture
def ready(room: Room) -> Room:
    """The lab has what the programs read."""
    room.lab.put("lines.py", LINES)
    room.lab.put("colours.py", COLOURS)
    return room


async def same(room: Room) -> dict[str, Any]:
    """Both screens, once both pages have rendered the same output, are one and the same: what it is."""
    async with asyncio.timeout(WAIT_S):
        while True:
            at = together(room)
            seen, shown = await room.lab.screen(), await room.board.screen()
            if at is not None and at == together(room):
                break
            await asyncio.sleep(0.05)
    compare(seen, shown)
    return seen


def together(room: Room) -> int | None:
    """Where both are, if they are at the same offset."""
    at = room.student.settled
    return at if at and at == room.teacher.settled else None


def compare(seen: dict[str, Any], shown: dict[str, Any]) -> None:
    """Whole. Where they differ the first such row is named."""
    for what in ("rows", "under"):
        for number, (one, other) in enumerate(zip(seen[what], shown[what], strict=False)):
            assert one == other, f"{what}, {number}"
    assert seen == shown


async def press(lab: Lab, keys: tuple[str, ...]) -> None:
    for key in keys:
        await (lab.press(key) if key == "Escape" or key.startswith("Control+") else lab.type(key))


async def go_on(room: Room, program: Program, time: int) -> None:
    """The program draws a little more, and both see it."""
    await press(room.lab, tuple(key.format(n=time) for key in program.keys))
    for one in (room.lab, room.board):
        await one.row(program.then.format(n=time))
    await same(room)


async def pass_a_megabyte(room: Room, program: Program) -> None:
    """The program draws on until nothing of its beginning is in any ring."""
    begin = room.student.rendered
    await press(room.lab, program.flood)
    async with asyncio.timeout(WAIT_S):
        while room.student.rendered - begin < MEGABYTE:
            if program.again:
                await press(room.lab, program.flood)
            await asyncio.sleep(0.02)
    await press(room.lab, program.enough)


async def begin(room: Room, program: Program) -> None:
    await room.lab.type(program.command)
    await room.lab.row(program.shows)


async def leave(room: Room) -> None:
    """The teacher goes, and nothing of the terminal is left on that instance."""
    await room.board.open("/")
    async with asyncio.timeout(WAIT_S):
        while not room.second.logged("terminal_released"):
            await asyncio.sleep(0.05)


def named(program: Program) -> str:
    return program.name


@pytest.mark.parametrize("program", PROGRAMS, ids=named)
async def test_who_comes_late_has_the_very_screen(ready: Room, program: Program) -> None:
    await begin(ready, program)
    await watch(ready.board)
    assert (await same(ready))["type"] == "normal"
    await go_on(ready, program, 1)


@pytest.mark.parametrize("program", FULL, ids=named)
async def test_who_comes_late_has_the_very_screen_also_when_it_was_drawn_a_megabyte_ago(
    ready: Room, program: Program, tmp_path: Path
) -> None:
    await begin(ready, program)
    await watch(ready.board)
    assert (await same(ready))["type"] == "alternate"
    await go_on(ready, program, 1)
    await leave(ready)
    await pass_a_megabyte(ready, program)
    await watch(ready.board)
    await same(ready)
    for name, one in (("student", ready.lab), ("teacher", ready.board)):
        await one.page.screenshot(path=tmp_path / f"{program.name}-{name}.png")  # for people
    await go_on(ready, program, 2)


@pytest.mark.parametrize("first", ["student", "teacher"])
async def test_the_next_owner_has_the_screen_that_it_watched_being_drawn_a_megabyte_ago(
    ready: Room, first: str
) -> None:
    """Whether the student's page comes there at once, or the teacher's instance has claimed the terminal meanwhile."""
    lab, board, vim = ready.lab, ready.board, FULL[0]
    await begin(ready, vim)
    await pass_a_megabyte(ready, vim)
    await watch(board)
    await go_on(ready, vim, 1)
    before = await same(ready)
    path = f"/sessions/{lab.session}"
    if first == "teacher":
        await lab.open("/")
        # What was rendered last is acknowledged to the holder within 2 s: nobody but the owner knows until then.
        await asyncio.sleep(2.5)
    await asyncio.to_thread(ready.first.kill)
    async with asyncio.timeout(WAIT_S):
        while not any(("polite" in line) == (first == "teacher") for line in ready.second.logged("terminal_claimed")):
            await asyncio.sleep(0.05)
    await lab.open(path)
    await lab.until_state("live")
    assert await same(ready) == before
    await board.page.reload()
    await board.until_state("live")
    await same(ready)
    await go_on(ready, vim, 2)
