"""LXD is killed, or told to stop, and started again: shells live on in their containers, and terminals find back to them.

By the door and without one: by the door bytes don't pass through LXD, but the exec that carries them is its child.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from deploy import lxd, processes
from terminals.path import STABLE_S
from tests.chaos import verdict
from tests.chaos.desk import Desk
from tests.chaos.fleet import Fleet
from tests.client import User
from tests.conftest import lxc
from tests.hangs import mend
from tests.house import WAIT_S, House
from tests.soak import remains
from tests.soak.scale import times

REPEATS = times(10)
GONE_S = 10.0
"""It is asked every 2 s whether it leaves, and looks every second whether all execs are closed."""
HELD_S = 12.0
"""Longer than all tries that a terminal has where LXD refuses."""
Told = Callable[[str, list[float]], None]


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    made = House("chaos-lxd")
    made.remove()  # a killed former run left it
    try:
        made.furnish()
        with pytest.MonkeyPatch.context() as ours:
            for name, value in made.settings.items():
                ours.setenv(name, value)  # for whatever a test starts or asks
            yield made
    finally:
        made.remove()


@pytest.fixture(scope="module", params=[{}, {"DOOR_DIR": ""}], ids=["by-the-door", "through-lxd"])
def fleet(house: House, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Fleet]:
    with Fleet.opened(tmp_path_factory.mktemp("lxd"), 2, **request.param) as opened:
        yield opened


@pytest.mark.timeout(120 + 60 * REPEATS)
async def test_lxd_killed_gives_every_terminal_back_as_soon_as_it_answers(
    house: House, fleet: Fleet, make_user: Callable[..., Any], told: Told
) -> None:
    student: User = await make_user(fleet.url)
    after: list[float] = []
    async with Desk.taken(student) as desk:
        for _ in range(REPEATS):
            await steady(desk)
            desk.fault()
            await asyncio.to_thread(house.kill_lxd)
            after.append(await started(house, desk))
    told(f"{REPEATS} × LXD killed and started, the longest silence", desk.silences)
    told("  from its first answer to the next byte", after)


@pytest.mark.timeout(120 + 90 * REPEATS)
async def test_lxd_told_to_stop_is_not_held_up_leaves_the_containers_and_has_its_terminals_back(
    house: House, fleet: Fleet, make_user: Callable[..., Any], told: Told
) -> None:
    student: User = await make_user(fleet.url)
    after: list[float] = []
    leaving: list[float] = []
    async with Desk.taken(student) as desk:
        holders = [remains.holder(seat.terminal) for seat in desk.seats]
        for _ in range(REPEATS):
            await steady(desk)
            desk.fault()
            began = time.monotonic()
            await asyncio.to_thread(house.dismiss_lxd)
            leaving.append(time.monotonic() - began)
            after.append(await started(house, desk))
            assert [remains.holder(seat.terminal) for seat in desk.seats] == holders
    assert max(leaving) < GONE_S, "it waits for as long as an exec is open"
    told(f"{REPEATS} × LXD told to stop and started, the longest silence", desk.silences)
    told("  from its first answer to the next byte", after)
    told("  until it was gone", leaving)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("fleet", [{}], ids=["by-the-door"], indirect=True)
async def test_lxd_that_leaves_and_is_held_up_by_somebody_else_costs_no_terminal(
    house: House, fleet: Fleet, make_user: Callable[..., Any]
) -> None:
    student: User = await make_user(fleet.url)
    async with Desk.taken(student) as desk:
        command = ("exec", "-T", desk.container, "--", "sleep", f"{HELD_S:.0f}")
        operator = asyncio.create_task(asyncio.to_thread(lxc, *command))
        async with asyncio.timeout(WAIT_S):
            while len(await asyncio.to_thread(remains.execs, desk.container)) == len(desk.seats):
                await asyncio.sleep(0.1)
        desk.fault()
        await asyncio.to_thread(house.dismiss_lxd)
        await operator
        await started(house, desk)
        over = "".join(line for server in fleet.servers for line in server.logged("terminal_over"))
        assert not [seat.terminal for seat in desk.seats if seat.terminal in over], "given up, and made anew for a page"


async def steady(desk: Desk) -> None:
    """A path that breaks as soon as it was made is made anew more and more slowly: that isn't measured here."""
    held = time.monotonic() - max(seat.began_at for seat in desk.seats)
    await asyncio.sleep(max(0.0, STABLE_S + 0.5 - held))


async def started(house: House, desk: Desk) -> float:
    """Starts LXD and waits until all is as before; seconds from its first answer to the reader's next byte."""
    starting = asyncio.create_task(asyncio.to_thread(house.start_lxd))
    answered = await asyncio.to_thread(first_answer, house)
    await desk.reader.back(WAIT_S)
    seconds = time.monotonic() - answered
    desk.note()
    await starting
    await desk.typist.when(lambda: desk.typist.live and not desk.typist.full, WAIT_S)
    await verdict.settled(desk.container, [seat.terminal for seat in desk.seats])
    return max(0.0, seconds)


def first_answer(house: House) -> float:
    """When it answers, by the monotonic clock."""
    assert processes.wait_for(lambda: lxd.answers(house.settings["LXD_URL"]), WAIT_S, pause=0.01)
    return time.monotonic()


def test_one_that_hangs_is_started_anew_for_the_tests_to_come(house: House) -> None:
    folder = house.folders["lxd"]
    assert not mend(folder), "it answers"
    (daemon,) = processes.find(lxd._daemon(folder))
    os.kill(daemon.pid, signal.SIGSTOP)
    assert mend(folder)
    assert lxd.answers(house.settings["LXD_URL"])
    assert [one.pid for one in processes.find(lxd._daemon(folder))] != [daemon.pid]
