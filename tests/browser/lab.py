"""Lab: what a person does with the page in Chromium, and what they see. Reads the screen from the emulator's own buffer."""

import re
import time
from base64 import b64encode
from typing import Any

from playwright.async_api import ConsoleMessage, Page, WebSocket

from tests.client import PASSWORD
from tests.conftest import container_of, lxc

WAIT_MS = 20_000

# The page's content policy refuses eval, so what is awaited must be a function.
STATE = "() => document.documentElement.dataset.terminalState"
UNTIL_STATE = "(wanted) => document.documentElement.dataset.terminalState === wanted"
ROWS = """() => {
  const buffer = window.educenterTerminal?.buffer.active;
  if (!buffer) return [];
  const rows = [];
  for (let y = 0; y < buffer.length; y++) rows.push(buffer.getLine(y).translateToString(true));
  while (rows.length && rows.at(-1) === "") rows.pop();
  return rows;
}"""
UNTIL_ROW = """([pattern, flags]) => {
  const buffer = window.educenterTerminal?.buffer.active;
  if (!buffer) return false;
  const wanted = new RegExp(pattern, flags);
  for (let y = buffer.length - 1; y >= 0; y--) if (wanted.test(buffer.getLine(y).translateToString(true))) return true;
  return false;
}"""
# The prompt is where the cursor is: an older one in the scrollback doesn't count.
UNTIL_PROMPT = """() => {
  const buffer = window.educenterTerminal?.buffer.active;
  if (!buffer || document.documentElement.dataset.terminalState !== "live") return false;
  return /[$#] $/.test(buffer.getLine(buffer.baseY + buffer.cursorY).translateToString(false, 0, buffer.cursorX));
}"""
SCREEN = """() => {
  const term = window.educenterTerminal, { active, normal } = term.buffer;
  const FLAGS = ["Bold", "Dim", "Italic", "Blink", "Inverse", "Invisible", "Strikethrough", "Overline"];
  const look = (c) => {
    const words = [c.isFgDefault() ? "" : c.getFgColor(), c.isBgDefault() ? "" : c.getBgColor()];
    words.push(c.getFgColorMode() >>> 24, c.getBgColorMode() >>> 24, ...FLAGS.filter((flag) => c[`is${flag}`]()));
    // A cell's public interface shows neither the kind of an underline nor a link; the cell itself does.
    const line = [c.getUnderlineStyle(), c.getUnderlineColorMode() >>> 24, c.getUnderlineColor()];
    if (c.isUnderline()) words.push(`Underline:${line.join(":")}`);
    if (c.extended.urlId) words.push(term._core._oscLinkService.getLinkData(c.extended.urlId)?.uri ?? "");
    return words;
  };
  const rows = (buffer) => {
    const found = [];
    for (let y = 0; y < buffer.length; y++) {
      const line = buffer.getLine(y), cells = [];
      for (let x = 0; x < line.length; x++) {
        const c = line.getCell(x);
        cells.push(`${c.getChars()}/${c.getWidth()}/${look(c)}`);
      }
      found.push(cells.join(" ") + (line.isWrapped ? " goes on" : ""));
    }
    return found;
  };
  return {
    type: active.type, cursor: [active.cursorX, active.cursorY], size: [term.cols, term.rows], modes: { ...term.modes },
    rows: rows(active), under: active === normal ? [] : rows(normal),
  };
}"""
CELLS = """(wanted) => {
  const buffer = window.educenterTerminal.buffer.active;
  for (let y = buffer.length - 1; y >= 0; y--) {
    const line = buffer.getLine(y);
    if (!line.translateToString(true).startsWith(wanted)) continue;
    const cells = [];
    for (let x = 0; x < line.length; x++) cells.push([line.getCell(x).getChars(), line.getCell(x).getWidth()]);
    while (cells.length && cells.at(-1)[0] === "" && cells.at(-1)[1] === 1) cells.pop();
    return cells;
  }
  return null;
}"""
CURSOR = "() => { const b = window.educenterTerminal.buffer.active; return [b.cursorX, b.cursorY]; }"
CLEARED = """() => {
  // Undefined for a moment while a tab is made or switched to.
  const b = window.educenterTerminal?.buffer.active;
  if (!b) return false;
  return b.cursorY === 0 && b.baseY === 0;
}"""
NOT_CLEARED = "() => window.educenterTerminal.buffer.active.cursorY > 0"
WATCH_POLICY = """document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`content policy violated: ${event.violatedDirective} ${event.blockedURI}`));"""


class Lab:
    """One browser page of one person. `problems` are its console errors and uncaught exceptions, less the forgiven ones."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self._problems: list[str] = []
        self._forgiven: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self._problems.append(f"uncaught: {error}"))

    async def prepare(self) -> None:
        await self.page.add_init_script(WATCH_POLICY)

    def forgive(self, pattern: str) -> None:
        """Chromium itself writes failed requests to the console; a test that makes them fail says which."""
        self._forgiven.append(pattern)

    @property
    def problems(self) -> list[str]:
        return [text for text in self._problems if not any(re.search(pattern, text) for pattern in self._forgiven)]

    # -- the way to a prompt

    async def sign_in(self, email: str, password: str = PASSWORD) -> None:
        """Through the form, to My lessons."""
        await self.fill(email, password)
        await self.page.get_by_role("heading", name="My lessons").wait_for()

    async def fill(self, email: str, password: str) -> None:
        await self.page.goto(f"{self.url}/signin")
        await self.page.get_by_label("E-mail").fill(email)
        await self.page.get_by_label("Password").fill(password)
        await self.page.get_by_role("button", name="Sign in").click()

    async def start(self, lesson: str = "first-steps") -> float:
        """Presses Start; milliseconds from the click to the prompt."""
        button = self.page.locator(f'[data-lesson="{lesson}"]').get_by_role("button", name="Start")
        await button.wait_for()
        began = time.monotonic()
        await button.click()
        await self.prompt(60_000)
        return (time.monotonic() - began) * 1000

    async def menu(self, entry: str) -> None:
        """Chooses from the lab's menu."""
        await self.page.get_by_role("button", name="Menu").click()
        await self.page.locator(".menu").get_by_role("button", name=entry).click()

    async def open(self, path: str) -> None:
        await self.page.goto(f"{self.url}{path}")

    @property
    def session(self) -> str:
        return self.page.url.partition("/sessions/")[2].partition("?")[0]

    def put(self, name: str, text: str) -> None:
        """A file in the home of the lab's student."""
        coded = b64encode(text.encode()).decode()
        lxc(
            "exec",
            container_of(self.session),
            "--",
            "sh",
            "-c",
            f"printf %s {coded} | base64 -d > /home/student/{name}",
        )

    # -- the terminal

    async def state(self) -> str | None:
        found: str | None = await self.page.evaluate(STATE)
        return found

    async def until_state(self, name: str, timeout: float = WAIT_MS) -> None:
        await self.page.wait_for_function(UNTIL_STATE, arg=name, timeout=timeout)

    async def prompt(self, timeout: float = WAIT_MS) -> None:
        """Waits until the shell waits for a command, in a terminal that is live."""
        await self.page.wait_for_function(UNTIL_PROMPT, timeout=timeout)

    async def row(self, pattern: str, timeout: float = WAIT_MS) -> None:
        """Waits until a row of the buffer matches."""
        await self.page.wait_for_function(UNTIL_ROW, arg=[pattern, "u"], timeout=timeout)

    async def rows(self) -> list[str]:
        """All rows of the buffer in use, scrollback and all, without the empty ones at its end."""
        found: list[str] = await self.page.evaluate(ROWS)
        return found

    async def screen(self) -> dict[str, Any]:
        """Everything there is to see: each cell with its width and look, the cursor, the size, the modes, and which buffer.

        A cell reads `characters/width/foreground,background,kind of each,flags`; `under` is what stands behind a program that
        fills the screen.
        """
        found: dict[str, Any] = await self.page.evaluate(SCREEN)
        return found

    async def cells(self, start: str) -> list[tuple[str, int]]:
        """Characters and width of each cell in the last row that starts so."""
        found = await self.page.evaluate(CELLS, start)
        assert found is not None, f"no row starts with {start!r}: {(await self.rows())[-10:]}"
        return [(chars, width) for chars, width in found]

    async def cursor(self) -> tuple[int, int]:
        column, row = await self.page.evaluate(CURSOR)
        return column, row

    async def type(self, text: str) -> None:
        """Key by key, as a keyboard does; \\n is Enter."""
        await self.page.keyboard.type(text)

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.page.keyboard.press(key)

    async def run(self, command: str) -> str:
        """Types a command on a cleared screen and returns the rows it printed."""
        await self.prompt()
        if await self.page.evaluate(CLEARED):
            # Else nothing would tell when it is done, and what is typed meanwhile may be lost to the shell.
            await self.type("\n")
            await self.page.wait_for_function(NOT_CLEARED)
            await self.prompt()
        await self.type("clear\n")
        await self.page.wait_for_function(CLEARED)
        await self.prompt()
        typed = f"{command}; echo over''$?"
        column, _ = await self.cursor()
        await self.type(typed + "\n")
        await self.row(r"^over\d+$")
        await self.prompt()
        rows = await self.rows()
        columns: int = await self.page.evaluate("() => window.educenterTerminal.cols")
        printed = rows[-(-(column + len(typed)) // columns) :]
        end = next(number for number, row in enumerate(printed) if re.fullmatch(r"over\d+", row))
        return "\n".join(printed[:end])

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._problems.append(f"{message.text} ({message.location.get('url', '')})")


class Offset:
    """How far a page with one terminal is in its output, by what its socket carries. Made before that socket."""

    def __init__(self, page: Page) -> None:
        self.received = self.rendered = 0
        page.on("websocket", self._begin)

    @property
    def settled(self) -> int | None:
        """Where it is, if it has rendered all that came."""
        return self.rendered if self.rendered >= self.received else None

    def _begin(self, socket: WebSocket) -> None:
        self.received = self.rendered = 0
        socket.on("framereceived", self._receive)
        socket.on("framesent", self._send)

    def _receive(self, frame: bytes | str) -> None:
        if isinstance(frame, bytes) and frame[:1] in {b"O", b"S"}:
            at = int.from_bytes(frame[1:9])
            self.received = at + len(frame) - 9 if frame[:1] == b"O" else at

    def _send(self, frame: bytes | str) -> None:
        if isinstance(frame, bytes) and frame[:1] == b"A":
            self.rendered = int.from_bytes(frame[1:9])
