"""A student with sudo replaces the holder: their own terminal ends in a clear state, and a neighbour types on."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.client import Closed, Page
from tests.e2e.test_main_job import ask
from tests.hostile.holder import BEHAVIOURS
from tests.hostile.lab import REAL, Lab

pytestmark = pytest.mark.timeout(90)
in_lab = pytest.mark.asyncio(loop_scope="module")

AGAIN, UNKNOWN, TAKEN = 4503, 4404, 4409
SLOW_S = 45.0
WATCHED_S = 10.0


@dataclass(frozen=True)
class State:
    """In which state the page must find itself: a message, a close code, or neither where the terminal goes on."""

    message: str = ""
    code: int = 0


CUT, TRYING, ON = State("detached"), State("progress"), State()
LAST = State("exit")

STATES = {
    "output beyond the window": CUT,
    "a flood of K": CUT,
    "a flood of N": CUT,
    "a flood of T": CUT,
    "a flood of P": CUT,
    "a flood of H": CUT,
    "a flood of unknown types": CUT,
    "gaps that void the window": CUT,
    "a byte at a time": ON,
    "output from the future": CUT,
    "output again": CUT,
    "output that overlaps": CUT,
    "output at the last offset": CUT,
    "output of nothing": CUT,
    "a forged gap": CUT,
    "a gap to nowhere": CUT,
    "another epoch": ON,
    "another birth each time": CUT,
    "more than a ring": TRYING,
    "version 2": TRYING,
    "a size of 65535": ON,
    "a start beyond its head": TRYING,
    "output before hello": TRYING,
    "stale by a million": State("lost", UNKNOWN),
    "stale by five": State(code=TAKEN),
    "busy": State(code=TAKEN),
    "lost": State("lost", UNKNOWN),
    "could not start": TRYING,
    "an unknown refusal": TRYING,
    "a refusal of one byte": TRYING,
    "fenced": State(code=TAKEN),
    "lost in the middle": State(code=UNKNOWN),
    "exit and more output": LAST,
    "K for what was not sent": ON,
    "crumbs within the window": ON,
    "a frame of length 0": CUT,
    "a frame of length 65533": CUT,
    "a frame of 16 MiB": CUT,
    "death in a frame": CUT,
    "a short status": CUT,
    "a dirty status": ON,
    "endless stderr": CUT,
    "no stdout": CUT,
    "no stdin": ON,
    "pipes kept by a grandchild": CUT,
}
SLOW = {
    "never a hello": TRYING,
    "deafness": CUT,
    "pongs only": State(code=AGAIN),
    "promises": State(code=AGAIN),
    "a byte a second": CUT,
}


def test_every_behaviour_is_met() -> None:
    assert {*STATES, *SLOW} == {*BEHAVIOURS}


@in_lab
@pytest.mark.parametrize("behaviour", STATES)
async def test_a_lying_holder_harms_only_its_own_terminal(lab: Lab, behaviour: str) -> None:
    page = await lab.page(behaviour)
    async with lab.neighbour.typing():
        await _meet(lab, page, behaviour, STATES[behaviour], 15)


@in_lab
async def test_a_holder_that_stalls_harms_only_its_own_terminal(lab: Lab) -> None:
    """At the same time: most of it is waiting."""
    await lab.renew()
    pages = {behaviour: await lab.page(behaviour) for behaviour in SLOW}
    async with lab.neighbour.typing():
        await asyncio.gather(
            _tries_ever_more_slowly(lab, await lab.page("a frame of length 0")),
            *(_meet(lab, pages[name], name, state, SLOW_S) for name, state in SLOW.items()),
        )


@in_lab
async def test_with_the_real_holder_back_a_new_terminal_works(lab: Lab) -> None:
    page = await lab.page("lost")
    await asyncio.to_thread(lab.put, REAL)
    await page.connect()
    assert await ask(page, "echo all''well") == "allwell"
    await page.leave()


async def _meet(lab: Lab, page: Page, behaviour: str, state: State, timeout: float) -> None:
    await page.knock()
    code = await _watch(page, behaviour, state, timeout)
    assert code == state.code, f"{behaviour}: closed with {code}, {page.messages}"
    if state.message:
        assert state.message in _kinds(page), f"{behaviour}: {page.messages}"
    if not code and state is not TRYING:
        # Whatever the holder does, the server answers who was let in.
        await page.ping(7)
        await page.message("pong", timeout)
    # Not politely: who still waits to be let in isn't listened to.
    page.drop()
    if behaviour in AFTERWARDS:
        AFTERWARDS[behaviour](page)
    assert lab.complaints() == []


async def _watch(page: Page, behaviour: str, state: State, timeout: float) -> int:
    """Until the state is reached; the code where that is a close."""
    typing = None
    try:
        await page.until(lambda: bool({"attached", state.message} & _kinds(page)), timeout)
        if "attached" in _kinds(page):
            typing = asyncio.create_task(_type(page, PASTES.get(behaviour, 1)))
        if state.code:
            await page.until(lambda: False, timeout)
        elif state.message:
            await page.until(lambda: state.message in _kinds(page), timeout)
        else:
            await page.until(lambda: page.taken > 0 and READY.get(behaviour, _at_once)(page), timeout)
    except Closed as end:
        return end.code or 0
    finally:
        if typing is not None:
            typing.cancel()
            await asyncio.gather(typing, return_exceptions=True)
    return 0


async def _tries_ever_more_slowly(lab: Lab, page: Page) -> None:
    """A path that breaks at once, again and again: few tries, few lines in the log, few messages to the page."""
    await page.connect()
    await page.type("go")
    lines = len(lab.server.log.read_text().splitlines())
    ends = asyncio.get_running_loop().time() + WATCHED_S
    while (left := ends - asyncio.get_running_loop().time()) > 0:
        with contextlib.suppress(TimeoutError):
            await page.step(left)
    page.drop()
    logged = [line for line in lab.server.log.read_text().splitlines()[lines:] if page.terminal in line]
    # What is wrong may come so early that there is no path to cut yet.
    cuts = sum('"exec_cut"' in line or '"attach_failed"' in line for line in logged)
    # 0, 0.1, 0.25, 0.5, 1, 2 and 4 s after one another, and then every 4 s; LXD is asked why for up to 2 s each time.
    assert 3 <= cuts <= 8
    assert len(logged) <= 8 * cuts
    kinds = [message["type"] for message in page.messages]
    assert kinds.count("detached") <= cuts


def _kinds(page: Page) -> set[str]:
    return {message["type"] for message in page.messages}


async def _type(page: Page, times: int) -> None:
    await page.type("go")
    for _ in range(times - 1):
        await page.type(b"x" * 16_000)


def _at_once(_: Page) -> bool:
    return True


def _is_shown_to_the_exit_only(page: Page) -> None:
    assert bytes(page.output) == b"before"
    assert sum(message["type"] == "exit" for message in page.messages) == 1


def _shows_every_byte(page: Page) -> None:
    assert bytes(page.output) == b"x" * 3000


def _has_a_clean_command(page: Page) -> None:
    found = next(message for message in page.messages if message["type"] == "status")
    assert found["command"].isprintable()


PASTES = {"deafness": 200}
READY: dict[str, Callable[[Page], bool]] = {
    "a byte at a time": lambda page: len(page.output) >= 3000,
    "a dirty status": lambda page: "status" in _kinds(page),
    "K for what was not sent": lambda page: page.taken == 2**63,
}
AFTERWARDS: dict[str, Callable[[Page], None]] = {
    "exit and more output": _is_shown_to_the_exit_only,
    "a byte at a time": _shows_every_byte,
    "a dirty status": _has_a_clean_command,
}
