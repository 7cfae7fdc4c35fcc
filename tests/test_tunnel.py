"""Tunnel: in order, each once, or it breaks."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from server.jobs import running
from terminals.errors import Cut
from terminals.fleet import tunnel
from terminals.fleet.feeds import Feeds
from terminals.fleet.tunnel import BUSY, LIMIT, OPEN_S, SILENCE_S, Message, Tunnel, closing

Ends = tuple[Tunnel, Tunnel, list[Message], list[Message]]
SETTLE_S = 10.0


@pytest.fixture
async def feeds(redis: Redis) -> AsyncIterator[Feeds]:
    made = Feeds(redis, f"test-{secrets.token_hex(4)}")
    async with running(made.read(), made.send()):
        yield made


@pytest.fixture
async def ends(feeds: Feeds) -> Ends:
    """The page's and the owner's end, and what each has heard."""
    name = secrets.token_hex(12)
    heard: tuple[list[Message], list[Message]] = [], []
    page = Tunnel(feeds, name, owner=False, take=heard[0].extend)
    owner = Tunnel(feeds, name, owner=True, take=heard[1].extend)
    await page.open()
    await owner.open()
    return page, owner, *heard


async def until(heard: list[Message], count: int) -> None:
    async with asyncio.timeout(SETTLE_S):
        while len(heard) < count:
            await asyncio.sleep(0.01)


def numbered(count: int, size: int = 8) -> list[Message]:
    return [Message(tunnel.BINARY, number.to_bytes(8).ljust(size, b".")) for number in range(count)]


async def test_messages_come_in_order_each_once_both_ways(ends: Ends) -> None:
    page, owner, page_heard, owner_heard = ends
    page.send(numbered(50))  # before anybody hears: they wait for the greeting
    async with running(page.run(), owner.run()):
        for message in numbered(500, 4_000):
            owner.send([message])
            await owner.drained()
        await until(page_heard, 500)
        await until(owner_heard, 50)
        page.send([Message(tunnel.TEXT, "é".encode())])
        await until(owner_heard, 51)
        page.finish(4_404, "gone")
        await until(owner_heard, 52)
    assert page_heard == numbered(500, 4_000)
    assert owner_heard[:51] == [*numbered(50), Message(tunnel.TEXT, "é".encode())]
    assert closing(owner_heard[51]) == (4_404, "gone")


async def test_a_lost_entry_breaks_it(ends: Ends, redis: Redis) -> None:
    page, owner, page_heard, _ = ends
    running_page, running_owner = asyncio.create_task(page.run()), asyncio.create_task(owner.run())
    owner.send(numbered(1))
    await until(page_heard, 1)
    # As if those before it had been trimmed away.
    await redis.xadd(page._here, {"f": (9).to_bytes(8)})
    with pytest.raises(Cut, match="lost"):
        await running_page
    assert page.over
    assert page_heard == numbered(1)
    owner.finish()
    await running_owner


@pytest.mark.timeout(60)
async def test_silence_breaks_it_sooner_before_the_greeting(feeds: Feeds) -> None:
    for owner, patience in ((False, OPEN_S), (True, SILENCE_S)):
        lonely = Tunnel(feeds, secrets.token_hex(12), owner=owner, take=lambda _: None)
        await lonely.open()
        began = asyncio.get_running_loop().time()
        with pytest.raises(Cut, match="doesn't answer"):
            await lonely.run()
        assert patience <= asyncio.get_running_loop().time() - began < patience + 4


async def test_a_beat_keeps_a_silent_one_open(ends: Ends) -> None:
    page, owner, *_ = ends
    async with running(page.run(), owner.run()):
        await asyncio.sleep(SILENCE_S + 2)
        assert not page.over
        assert not owner.over


async def test_who_sends_more_than_redis_takes_waits_or_is_cut(ends: Ends) -> None:
    page, *_ = ends
    page.send(numbered(2, BUSY))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await page.drained()
    page.send(numbered(1 + LIMIT // BUSY, BUSY))
    await page.drained()
    assert page.over
    with pytest.raises(Cut, match="keep up"):
        await page.run()
