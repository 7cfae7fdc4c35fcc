"""Programs that fill the terminal: the right screen, and nothing of it left afterwards. Each test keeps a picture."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.browser.lab import Lab

NO_BACKSPACE = "() => window.educenterTerminal.buffer.active.type"
NOTE_REDRAWING = """() => {
  const terminal = window.educenterTerminal;
  terminal.onResize(() => terminal.onWriteParsed(() => (window.redrawn = true)));
}"""


@dataclass(frozen=True)
class Program:
    """What is typed, a row that must then be there, what ends it, and whether it has the screen for itself."""

    name: str
    command: str
    shows: str
    leave: tuple[str, ...]
    alternate: bool = True


PROGRAMS = [
    Program(
        "vim",
        "vim -c 'syntax on' -c 'set number' /usr/lib/python3.11/abc.py",
        r"^\s+1 # Copyright 2007 Google",
        (":q!", "Enter"),
    ),
    Program("nano", "nano /etc/passwd", r"GNU nano", ("Control+x",)),
    Program("less", "less -N /etc/passwd", r"^\s+1 root:x:0:0", ("q",)),
    Program("man", "man ls", r"^LS\(1\)", ("q",)),
    Program("htop", "htop", r"F1Help", ("F10",)),
    Program("top", "top", r"PID USER", ("q",), alternate=False),
    Program("tmux", "tmux", r"^\[0\] 0:", ("Control+b", "d")),
    Program("git-log", "git log --graph --oneline --all --color", r"^\*.*second", ("q",)),
    Program("python", "python3", r"^>>> ", ("Control+d",), alternate=False),
]
GIT = (
    "git init -q g && cd g && git config user.email a@b.c && git config user.name a && git commit -q --allow-empty -m first"
    " && git checkout -q -b side && git commit -q --allow-empty -m second"
)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
async def test_a_program_is_drawn_right_and_leaves_nothing(lab: Lab, program: Program, tmp_path: Path) -> None:
    await lab.start()
    if program.name == "git-log":
        await lab.run(GIT)
    await lab.type("clear\n")
    await lab.prompt()
    await lab.type(f"{program.command}\n")
    await lab.row(program.shows)
    await lab.page.wait_for_timeout(300)  # to be drawn to the end: the picture is for people
    await lab.page.screenshot(path=tmp_path / f"{program.name}.png")
    screen = await lab.screen()
    assert (screen["type"] == "alternate") == program.alternate
    # It follows a new size.
    await lab.page.evaluate(NOTE_REDRAWING)
    await lab.page.set_viewport_size({"width": 1000, "height": 600})
    await lab.page.wait_for_function("(cols) => window.educenterTerminal.cols < cols", arg=screen["size"][0])
    if program.alternate:
        # nano forgets a key that comes at the same moment as a new size.
        await lab.page.wait_for_function("() => window.redrawn")
    await lab.row(program.shows)
    for key in program.leave:
        await (lab.type(key) if key.startswith(":") else lab.press(key))
    # The prompt in tmux looks like the one behind it.
    await lab.page.wait_for_function("() => window.educenterTerminal.buffer.active.type === 'normal'")
    await lab.prompt()
    assert await lab.page.evaluate(NO_BACKSPACE) == "normal"
    size = await lab.page.evaluate("() => `${window.educenterTerminal.rows} ${window.educenterTerminal.cols}`")
    assert await lab.run("stty size; stty -a | grep -c ' echo '") == f"{size}\n1", "the terminal is as it was"


async def test_a_progress_bar_stays_on_its_line(lab: Lab) -> None:
    await lab.start()
    bar = (
        "for i in $(seq 20); do printf '\\r%3d%% [%-20s]' $((i*5)) $(printf '#%.0s' $(seq $i)); sleep 0.02; done; echo"
    )
    printed = await lab.run(bar)
    assert printed == f"100% [{'#' * 20}]"


async def test_colours_and_unicode_are_drawn_cell_by_cell(lab: Lab, tmp_path: Path) -> None:
    await lab.start()
    colours = (
        "for i in $(seq 16 231); do printf '\\033[48;5;%sm ' $i; [ $(((i-15)%36)) = 0 ] && printf '\\033[0m\\n'; done"
    )
    await lab.type(
        f"clear; {colours}; printf '\\033[38;2;255;100;0mtrue colour\\033[0m\\n'; echo '┌─┬─┐│ 你好 👩‍💻 é ñ ❤️'\n"
    )
    await lab.row("你好")
    await lab.prompt()
    await lab.page.screenshot(path=tmp_path / "colours.png")
    screen = await lab.screen()
    row = next(row for row in screen["rows"] if "/1/,16," in row)
    assert [int(found) for found in re.findall(r"/1/,(\d+),", row)][:36] == list(range(16, 52))
    true = next(row for row in screen["rows"] if row.startswith("t/1/"))
    assert true.startswith(f"t/1/{0xFF6400},")
    cells = await lab.cells("┌─┬─┐│")
    assert [width for _, width in cells[7:12]] == [2, 0, 2, 0, 1]
    assert ("👩‍💻", 2) in cells
