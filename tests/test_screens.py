"""The screen helper as the server runs it: what it restores, what it survives, and what it is not to be stopped by.

What an emulator holds, cell by cell and mode by mode, is compared in static/src/screen/emulator.test.ts; here what two screens
of the helper say is compared, after one was begun from a snapshot of the other.
"""

import asyncio
import os
import pty
import random
import re
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop
from environs import Env
from hypothesis import given, settings
from hypothesis import strategies as st

from server.settings import _node
from terminals.errors import Unavailable
from terminals.link import frames
from terminals.link.scrollback import Scrollback
from terminals.screens import screen as bounds
from terminals.screens.helper import Helper
from terminals.screens.screen import Screen, Screens, Snapshot
from terminals.screens.screening import Picture, Screening, set_modes

SCRIPT = Path(os.environ.get("SCREEN_SCRIPT", "static/helper/screen.mjs"))
SIZE = (80, 24)
PROGRAM = """
import curses
def draw(screen):
    curses.start_color()
    curses.use_default_colors()
    for n in range(1, 8):
        curses.init_pair(n, n, -1 if n % 2 else 7 - n)
    screen.scrollok(True)
    screen.keypad(True)
    screen.setscrreg(3, 20)
    curses.curs_set(0)
    curses.mousemask(curses.ALL_MOUSE_EVENTS)
    for n in range(60):
        look = curses.color_pair(n % 8) | (curses.A_BOLD if n % 3 else curses.A_REVERSE)
        screen.addstr(n % 24, (n * 7) % 60, f"word {n} \u4f60\u597d \u2502", look)
        if n % 10 == 0:
            screen.addstr(20, 0, "\\n")
        if n % 15 == 0:
            window = curses.newwin(6, 30, 5, 10 + n % 20)
            window.box()
            window.addstr(1, 1, "\u00e9 in a box")
            window.refresh()
        screen.refresh()
    curses.curs_set(1)
curses.wrapper(draw)
print("back in the shell")
"""
STREAMS = {
    "shell": b"\x1b[?2004h$ ls\r\n\x1b[?2004l\x1b[01;34mbin\x1b[0m  \x1b[38;5;208mx\x1b[48;2;1;2;3my\x1b[m\r\n"
    + "".join(f"line {n} {'=' * (n % 100)}\r\n" for n in range(300)).encode()
    + "\x1b]0;title ü\x07👩\u200d💻 ’ e\u0301 🇩🇪 你好".encode(),
    "editor": b"before\r\n\x1b[?1049h\x1b[22;0;0t\x1b[?1h\x1b=\x1b[?1002h\x1b[?1006h\x1b[2 q\x1b[3;20r\x1b[H\x1b[2Jtext"
    b"\x1b[20;1H\n\n\x1b[31mred\x1b[K\x1b[r\x1b[5;70Hthis wraps around the end\x1b7\x1b(0lqk\x1b(B\x1b[4hinsert\x1b[4l\x1b8"
    b"\x1b[?6h\x1b[2;2Hin\x1b[?6l\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\\x1b[?1049l\x1b[?1006l\x1b[?25l",
    "tabs": b"\x1b[3g\x1b[5G\x1bH\ta\tb\r\n"
    + b"0123456789" * 8
    + b"\x1b[32m"
    + b"x" * 81
    + b"\x1b[?12l\x1b[?7l"
    + b"y" * 90,
}


def node() -> Path:
    found = _node(Env())
    assert found is not None
    return found


@asynccontextmanager
async def screens() -> AsyncIterator[Screens]:
    made = Screens(node(), SCRIPT)
    try:
        yield made
    finally:
        await made.close()


async def settled(one: Screens) -> None:
    async with asyncio.timeout(20):
        while one.pending:
            await asyncio.sleep(0.005)


async def died(one: Screen) -> None:
    async with asyncio.timeout(10):
        while not one.lost:
            await asyncio.sleep(0.005)


async def opened(made: Screens, name: str = "again") -> Screen:
    """One that isn't lost: after a death the helper rests for a moment."""
    async with asyncio.timeout(10):
        while True:
            screen = made.open(name, SIZE)
            if not screen.lost:
                return screen
            await asyncio.sleep(0.05)


def said(snapshot: Snapshot) -> bytes:
    """What it says; links that have no name of their own are numbered as they came."""
    return re.sub(rb"id=screen-\d+", b"id=", snapshot.data)


def of_program() -> bytes:
    """What a program with ncurses writes, on a pty of its own."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(TERM="xterm-256color", LANG="C.UTF-8", LINES="24", COLUMNS="80")
        os.execv(sys.executable, [sys.executable, "-c", textwrap.dedent(PROGRAM)])
    written = b""
    limit = time.monotonic() + 20
    try:
        while select.select([terminal], [], [], max(0.0, limit - time.monotonic()))[0]:
            if not (piece := os.read(terminal, 65_536)):
                break
            written += piece
    except OSError:  # Linux says so that the other end is closed
        pass
    finally:
        os.close(terminal)
        _, status = os.waitpid(child, 0)
    assert status == 0, written[-500:]
    assert b"\x1b[?1049" in written
    return written


@pytest.fixture(scope="module")
def recorded() -> dict[str, bytes]:
    return {**STREAMS, "ncurses": of_program()}


async def goes_on_alike(made: Screens, stream: bytes, cut: int) -> None:
    original = made.open("original", SIZE)
    original.write(stream[:cut])
    snapshot = await original.snapshot()
    assert cut - 100 < snapshot.written <= cut
    fresh = made.open("fresh", snapshot.size)
    fresh.write(snapshot.data)
    fresh.write(stream[snapshot.written : cut])
    assert said(await fresh.snapshot()) == said(await original.snapshot()), (cut, stream[max(0, cut - 50) : cut])
    for one in (original, fresh):
        one.write(stream[cut:])
    assert said(await fresh.snapshot()) == said(await original.snapshot()), (cut, stream[max(0, cut - 50) : cut])
    original.close()
    fresh.close()


def test_a_fresh_emulator_with_a_snapshot_goes_on_like_the_original_wherever_it_is_cut(
    recorded: dict[str, bytes],
) -> None:
    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.floats(0, 1), min_size=8, max_size=8))
    def check(parts: list[float]) -> None:
        async def work() -> None:
            async with screens() as made:
                for stream in recorded.values():
                    for part in parts:
                        await goes_on_alike(made, stream, round(part * len(stream)))

        asyncio.run(work())

    check()


async def test_an_unfinished_sequence_or_character_is_not_counted_as_written() -> None:
    async with screens() as made:
        for whole, begun in (
            (b"a", b"\x1b["),
            (b"ab", b"\x1b]2;tit"),
            (b"\x1b[31m", "’".encode()[:2]),
            (b"x", b"\x1bP$q"),
        ):
            screen = made.open("cut", SIZE)
            screen.write(whole)
            screen.write(begun[:1])
            screen.write(begun[1:])
            snapshot = await screen.snapshot()
            assert snapshot.written == len(whole)
            assert screen.written == len(whole + begun)


async def test_the_alternate_screen_is_known_though_it_was_entered_long_ago() -> None:
    async with screens() as made:
        screen = made.open("vim", SIZE)
        screen.write(b"the shell's line\r\n\x1b[?1049h\x1b[?2004h")
        for number in range(40):
            screen.write(b"\x1b[H" + (f"row {number} " * 9000).encode()[:65_000])
            await settled(made)
        assert screen.written > 2_000_000
        snapshot = await screen.snapshot()
        before, after = snapshot.data.split(b"\x1b[?1047h")
        assert b"the shell's line" in before
        assert b"row 39" in after
        assert b"\x1b[?2004h" in after


async def test_a_snapshot_has_the_size_that_was_set_before_it() -> None:
    async with screens() as made:
        screen = made.open("sizes", SIZE)
        screen.write(b"w" * 100 + b"\r\n")
        screen.resize((120, 30))
        snapshot = await screen.snapshot()
        assert snapshot.size == (120, 30)
        assert b"w" * 100 in snapshot.data


async def test_a_screen_that_begins_from_a_picture_of_another_size_shows_it_as_if_it_had_been_resized() -> None:
    async with screens() as made:
        original = made.open("original", SIZE)
        original.write(b"\x1b[?1049h\x1b[H" + b"\r\n".join(b"%02d" % n + b"=" * 70 for n in range(24)))
        snapshot = await original.snapshot()
        screening = Screening(made, "next", Picture(1000, snapshot.size, snapshot.data))
        screening.want(Scrollback(1000), (60, 20), ())
        original.resize((60, 20))
        picture = await screening.picture()
        assert picture is not None
        assert (picture.offset, picture.size) == (1000, (60, 20))
        assert picture.data == (await original.snapshot()).data


async def test_a_picture_is_begun_from_when_the_output_has_come_to_it_and_not_when_it_has_passed_it() -> None:
    async with screens() as made:
        scrollback = Scrollback(0)
        screening = Screening(made, "next", Picture(10, SIZE, b"\x1b[?1049hdrawn long ago"))
        for offset, text in ((0, b"0123456"), (7, b"789, and on")):
            screening.want(scrollback, SIZE, ())
            assert await screening.picture() is None
            scrollback.append(frames.output(offset, text))
        screening.want(scrollback, SIZE, ())
        picture = await screening.picture()
        assert picture is not None
        assert picture.offset == 18
        assert b"drawn long ago, and on" in picture.data
        scrollback.skip(2000)
        screening.close()
        screening.want(scrollback, SIZE, ())
        picture = await screening.picture()
        assert picture is not None
        assert b"drawn" not in picture.data


async def test_a_screen_that_is_begun_in_the_middle_keeps_what_stands_beneath_a_program_that_began_after_that() -> None:
    async with screens() as made:
        scrollback = Scrollback(1000)
        # In two pieces: it isn't seen to begin, and when it is known the holder says that it fills the screen.
        for text in (b"the shell's line\r\n\x1b[?10", b"49hthe program's row"):
            scrollback.append(frames.output(scrollback.end, text))
        screening = Screening(made, "middle", None)
        screening.want(scrollback, SIZE, (1049,))
        picture = await screening.picture()
        assert picture is not None
        before, after = picture.data.split(b"\x1b[?1047h")
        assert b"the shell's line" in before
        assert b"the program's row" in after


@pytest.mark.parametrize(
    ("data", "set_"),
    [
        (b"drawn", b"\x1b[?1h\x1b[?1049h"),
        (b"$ \x1b[?1049hdrawn", b"\x1b[?1h"),
        (b"drawn\x1b[?1049l$ \x1b[?1049hdrawn", b"\x1b[?1h\x1b[?1049h"),
    ],
    ids=["in it all the time", "begun since", "ended and begun since"],
)
def test_modes_are_those_where_the_bytes_begin(data: bytes, set_: bytes) -> None:
    assert set_modes((1, 1049), data) == set_


async def test_a_large_snapshot_leaves_the_oldest_rows_out() -> None:
    async with screens() as made:
        screen = made.open("colours", SIZE)
        row = "".join(f"\x1b[38;2;{n};{n};{n};48;2;{n};1;1m{n % 10}" for n in range(80))
        for number in range(1000):
            screen.write(f"{number:05} {row}\r\n".encode())
        await settled(made)
        snapshot = await screen.snapshot()
        assert bounds.SNAPSHOT_LIMIT * 0.9 < len(snapshot.data) <= bounds.SNAPSHOT_LIMIT * 1.01
        shown = re.sub(rb"\x1b\[[0-9;:]*[A-Za-z]", b"", snapshot.data)
        assert b"00999 " in shown
        assert b"00000 " not in shown


async def test_a_killed_helper_loses_all_screens_and_the_next_open_starts_another() -> None:
    async with screens() as made:
        first, second = made.open("first", SIZE), made.open("second", SIZE)
        first.write(b"one")
        await first.snapshot()
        assert made._helper is not None
        waiting = asyncio.create_task(second.snapshot())
        os.kill(made._helper.pid, signal.SIGSTOP)
        await asyncio.sleep(0)
        os.kill(made._helper.pid, signal.SIGKILL)
        with pytest.raises(Unavailable):
            await waiting
        assert first.lost
        assert second.lost
        assert (made.pending, len(made)) == (0, 0)
        first.write(b"into nothing")
        with pytest.raises(Unavailable, match="lost"):
            await first.snapshot()
        again = await opened(made)
        again.write(b"two")
        assert b"two" in (await again.snapshot()).data


def test_what_is_written_while_the_helper_dies_is_dropped_and_raises_nothing() -> None:
    async def work() -> None:
        for _ in range(30):
            helper = Helper(lambda *_: None, busy=lambda: False)
            running = asyncio.create_task(helper.run(node(), SCRIPT))
            while not helper.pid:
                await asyncio.sleep(0.001)
            os.kill(helper.pid, signal.SIGKILL)
            while not running.done():
                helper.post(ord("w"), 1, b"output")
                await asyncio.sleep(0)
            assert await running == f"exit {-signal.SIGKILL}"

    # The server's own loop: of what was written between the pipe's end and the process's, asyncio's says nothing.
    uvloop.run(work())


async def test_a_helper_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terminals.screens.helper.STUCK_S", 1.0)
    async with screens() as made:
        screen = made.open("hung", SIZE)
        await screen.snapshot()
        assert made._helper is not None
        os.kill(made._helper.pid, signal.SIGSTOP)
        with pytest.raises(Unavailable, match="within"):
            await screen.snapshot(within=0.2)
        await died(screen)
        assert not (await opened(made)).lost


async def test_more_than_can_be_parsed_loses_the_screen_and_nothing_else() -> None:
    async with screens() as made:
        neighbour, flooded = made.open("neighbour", SIZE), made.open("flooded", SIZE)
        neighbour.write(b"here")
        await neighbour.snapshot()
        while not flooded.lost:
            flooded.write(b"\x1b[31mflood\r\n" * 5000)
            assert flooded.pending <= bounds.SCREEN_LIMIT
        assert made.pending == 0
        assert b"here" in (await neighbour.snapshot()).data


async def test_all_screens_together_are_bounded() -> None:
    async with screens() as made:
        for number in range(40):
            screen = made.open(f"flood {number}", SIZE)
            for _ in range(40):
                screen.write(b"x" * 100_000)
                assert made.pending <= bounds.LIMIT
        assert made._helper is not None
        assert made._helper.waiting <= bounds.LIMIT + bounds.SCREEN_LIMIT
        await settled(made)


async def test_the_number_of_screens_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST", 3)
    async with screens() as made:
        kept = [made.open(str(number), SIZE) for number in range(3)]
        assert made.open("more", SIZE).lost
        kept[0].close()
        assert not made.open("again", SIZE).lost


@pytest.mark.parametrize(
    "attack",
    [
        *(f"\x1b[2147483647{final}".encode() for final in "LMSTIZbPX@ABCD"),
        b"\x1b[24;80H\x1b[1J",
        b"\x1b]2;" + b"t" * 1_500_000,
        b"\x1bP$q" + b"t" * 1_500_000,
        b"\x1b]8;;" + b"u" * 900_000 + b"\x07link",
        b"\x1b[" + b";1" * 400_000,
        bytes(range(256)) * 2000,
    ],
    ids=lambda attack: repr(attack[:14]),
)
async def test_no_output_stops_the_screens_of_others(attack: bytes) -> None:
    async with screens() as made:
        neighbour, hostile = made.open("neighbour", SIZE), made.open("hostile", SIZE)
        neighbour.write(b"here")
        hostile.write(b"a" + attack)
        assert b"here" in (await neighbour.snapshot()).data
        await settled(made)
        assert b"here" in (await neighbour.snapshot()).data
        assert not neighbour.lost


async def test_who_fills_the_memory_is_given_up_before_the_others_suffer() -> None:
    async with screens() as made:
        neighbour, hostile = made.open("neighbour", SIZE), made.open("hostile", SIZE)
        neighbour.write(b"here")
        # Each cell a long string of its own: a hundred times what bytes on the wire cost.
        row = ("a" + "\u0301" * 300).encode() * 80
        async with asyncio.timeout(60):
            while not hostile.lost:
                hostile.write(row + b"\r\n")
                while hostile.pending > 1_000_000:
                    await asyncio.sleep(0.001)
        assert b"here" in (await neighbour.snapshot(within=10)).data
        assert not neighbour.lost


async def test_a_hundred_screens_have_a_snapshot_each_and_the_figures_are_printed(recorded: dict[str, bytes]) -> None:
    async with screens() as made:
        await made.open("first", SIZE).snapshot(within=10)
        assert made._helper is not None
        status = Path(f"/proc/{made._helper.pid}/status")
        idle = resident(status)
        kept = [made.open(str(number), SIZE) for number in range(100)]
        stream = b"".join(recorded.values())
        for number, screen in enumerate(kept):
            screen.write(stream + f"screen {number}".encode())
        await asyncio.gather(*(screen.snapshot(within=20) for screen in kept))
        few = resident(status)
        began = time.monotonic()
        for number, screen in enumerate(kept):
            assert f"screen {number}".encode() in (await screen.snapshot()).data
        each = (time.monotonic() - began) * 10
        lines = "".join(f"\x1b[3{n % 8}mline {n}\x1b[m of a build that says much\r\n" for n in range(20_000)).encode()
        began = time.monotonic()
        for at in range(0, len(lines), 32_768):
            kept[0].write(lines[at : at + 32_768])
        await settled(made)
        rate = len(lines) / (time.monotonic() - began) / 1e6
        print(
            f"\n{rate:.1f} MB/s; {each:.2f} ms per snapshot; {idle / 1024:.0f} MiB idle, "
            f"{(few - idle) / len(kept):.0f} KiB per terminal"
        )


def resident(status: Path) -> int:
    """KiB."""
    return int(re.findall(r"VmRSS:\s+(\d+)", status.read_text())[0])


async def test_without_node_every_screen_is_lost_and_it_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    for made in (Screens(None, SCRIPT), Screens(node(), Path("/nowhere/screen.mjs"))):
        for _ in range(3):
            screen = made.open("none", SIZE)
            screen.write(b"x")
            screen.resize(SIZE)
            assert screen.lost
            with pytest.raises(Unavailable):
                await screen.snapshot()
        await made.close()
    assert capsys.readouterr().out.count("screen_helper_missing") == 2


async def test_a_node_that_does_not_start_loses_screens_and_is_tried_less_and_less_often() -> None:
    made = Screens(Path(sys.executable), SCRIPT)
    screen = made.open("wrong", SIZE)
    await died(screen)
    assert made.open("at once", SIZE).lost
    assert made._rest == 2 * bounds.REST_S
    await made.close()


def test_the_helper_ends_with_the_server_even_if_that_is_killed() -> None:
    text = f"""
        import asyncio, time
        from pathlib import Path
        from terminals.screens.screen import Screens
        async def main():
            screens = Screens(Path({str(node())!r}), Path({str(SCRIPT.resolve())!r}))
            await screens.open("one", (80, 24)).snapshot(within=10)
            print(screens._helper.pid, flush=True)
            await asyncio.sleep(60)
        asyncio.run(main())
    """
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    server = subprocess.Popen([sys.executable, "-c", textwrap.dedent(text)], env=environment, stdout=subprocess.PIPE)
    assert server.stdout is not None
    pid = 0
    while not pid:
        line = server.stdout.readline().strip()
        assert line, "the server ended"
        pid = int(line) if line.isdigit() else 0
    server.kill()
    server.wait(10)
    server.stdout.close()
    limit = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1][:3]:
        assert time.monotonic() < limit, "the helper outlived its server"
        time.sleep(0.02)


async def test_snapshots_beside_random_writes_are_what_was_written_by_then() -> None:
    draw = random.Random(7)
    async with screens() as made:
        screen = made.open("random", SIZE)
        written = b""
        for _ in range(200):
            piece = f"{draw.random()}\r\n".encode() * draw.randrange(1, 30)
            screen.write(piece)
            written += piece
            if draw.random() < 0.2:
                snapshot = await screen.snapshot()
                assert snapshot.written == len(written)
                assert written.splitlines()[-1] in snapshot.data
