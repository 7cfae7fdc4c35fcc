"""What output may make the page do: answer nothing that runs, follow nothing that does not lead to the web."""

import json
import re

from playwright.async_api import expect

from tests.browser.lab import Lab
from tests.conftest import container_of, lxc

QUERIES = {
    "title": "\x1b[21t",
    "icon's name": "\x1b[20t",
    "window's place, state and size": "\x1b[11t\x1b[13t\x1b[14t\x1b[18t\x1b[19t",
    "device attributes": "\x1b[c\x1b[>c\x1b[=c",
    "cursor and status": "\x1b[5n\x1b[6n\x1b[?6n",
    "settings": '\x1bP$qm\x1b\\\x1bP$q"p\x1b\\\x1bP$qr\x1b\\',
    "a setting that there isn't": "\x1bP$q\necho p''wned\n\x1b\\",
    "termcap": "\x1bP+q544e\x1b\\",
    "colours": "\x1b]4;1;?\x07\x1b]10;?\x07\x1b]11;?\x07\x1b]12;?\x07",
    "clipboard": "\x1b]52;c;?\x07",
    "answerback": "\x05",
    "modes": "\x1b[?2004$p\x1b[4$p",
    "checksum": "\x1b[1;1;1;1;10;10*y",
}
"""What terminals have been made to type for the person before them."""
ANSWERED = {"device attributes", "cursor and status", "settings", "colours"}
"""What programs need to know; the answers are numbers."""
NOWHERE = ("javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "ssh://x", "//x.test")
MUTE = ("title", "icon's name", "clipboard", "answerback")
ASK = r"""import json, os, select, sys, termios, tty
queries = json.load(open("queries.json"))
# What would be typed: as the title, as a name, and on the screen.
plant = "\x1b]0;\necho p''wned\n\x07\x1b]1;\necho p''wned\n\x07\x1b]2;pwned\x07pwned\r\n"
answers, old = {}, termios.tcgetattr(0)
tty.setraw(0)
try:
    for name, query in queries.items():
        os.write(1, (plant + query).encode())
        got = b""
        while select.select([0], [], [], 1)[0]:
            got += os.read(0, 4096)
        answers[name] = got.hex()
finally:
    termios.tcsetattr(0, termios.TCSADRAIN, old)
json.dump(answers, open("answers.json", "w"))
"""


async def test_no_answer_to_a_program_holds_what_it_wrote_or_ends_a_line(lab: Lab) -> None:
    await lab.start()
    lab.put("ask.py", ASK)
    lab.put("queries.json", json.dumps(QUERIES))
    await lab.type("python3 ask.py; clear; echo as''ked\n")
    await lab.row("^asked$", 60_000)
    read = lxc("exec", container_of(lab.session), "--", "cat", "/home/student/answers.json")
    answers = {name: bytes.fromhex(got) for name, got in json.loads(read).items()}
    assert set(answers) == set(QUERIES)
    for name, got in answers.items():
        assert not set(got) & set(b"\r\n\x03\x04"), (name, got)
        assert b"wned" not in got, (name, got)
    assert {name for name, got in answers.items() if re.search(rb"\d", got)} >= ANSWERED
    assert {name: answers[name] for name in MUTE} == dict.fromkeys(MUTE, b"")


async def test_a_link_that_does_not_lead_to_the_web_leads_nowhere(lab: Lab) -> None:
    dialogs: list[str] = []
    lab.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    await lab.start("tiny-system")
    links = [
        f"\\033]8;;{address}\\033\\\\here\\033]8;;\\033\\\\\\n" for address in ("https://example.test/a", *NOWHERE)
    ]
    await lab.type(f"clear; printf '{''.join(links)}'; echo sh''own\n")
    await lab.row("^shown$")
    screen = await lab.page.locator(".xterm-screen").bounding_box()
    assert screen is not None
    row = screen["height"] / await lab.page.evaluate("() => window.educenterTerminal.rows")
    host = lab.page.locator(".terminal-host")
    for number, address in enumerate(("https://example.test/a", *NOWHERE)):
        place = (screen["x"] + 20, screen["y"] + row * (number + 0.5))
        await lab.page.mouse.move(place[0] + 1, place[1])
        await lab.page.mouse.move(*place, steps=3)
        if address not in NOWHERE:
            # One that does lead there shows it, so the others would have.
            await expect(host).to_have_attribute("title", f"Ctrl-click (⌘-click on a Mac) opens\n{address}")
            continue
        await lab.page.keyboard.down("Control")
        await lab.page.mouse.click(*place)
        await lab.page.keyboard.up("Control")
        await lab.page.wait_for_timeout(500)
        assert await host.get_attribute("title") in (None, "")
        assert len(lab.page.context.pages) == 1
        assert "/sessions/" in lab.page.url
    assert dialogs == []
