import asyncio
from collections.abc import Iterable

from terminals.errors import Ended, TerminalsError
from terminals.link.frames import output
from terminals.viewers.viewer import LIMIT, Viewer


def viewer() -> Viewer:
    return Viewer(1, 2, "driver", (80, 24))


def going_out(watching: Viewer) -> list[list[bytes | str]]:
    """What its socket, which has room, was given in each turn."""
    sent: list[list[bytes | str]] = []

    def send(messages: Iterable[bytes | str]) -> bool:
        sent.append(list(messages))
        return True

    watching.direct = send
    return sent


async def test_waiting_output_is_joined_and_order_is_kept() -> None:
    watching = viewer()
    watching.offer(output(0, b"ab"))
    watching.offer(output(2, b"cd"))
    watching.tell({"type": "status"})
    watching.offer(output(4, b"ef"))
    assert await watching.next() == [output(0, b"abcd"), '{"type":"status"}', output(4, b"ef")]


async def test_a_viewer_that_reads_nothing_costs_no_more_than_its_bound() -> None:
    watching = viewer()
    for number in range(100):
        watching.offer(output(number * 65_536, bytes(65_536)))
        assert watching._bytes <= LIMIT
    assert watching.behind
    assert watching.times_behind == 1
    assert await watching.next() == []


async def test_many_small_messages_count_too() -> None:
    watching = viewer()
    for number in range(100_000):
        watching.offer(output(number, b"x"))
    assert watching.behind


async def test_control_messages_without_end_close_the_socket() -> None:
    watching = viewer()
    for _ in range(100_000):
        watching.tell({"type": "status"})
    assert isinstance(watching.closing, TerminalsError)
    assert watching.closing.code == "stuck"


async def test_next_waits_for_something_to_send() -> None:
    watching = viewer()
    waiting = asyncio.create_task(watching.next())
    await asyncio.sleep(0)
    assert not waiting.done()
    watching.reply(b"K" + bytes(8))
    watching.flush()
    assert await waiting == [b"K" + bytes(8)]


async def test_closing_comes_after_what_was_queued() -> None:
    watching = viewer()
    watching.tell({"type": "exit"})
    watching.close(Ended("over"))
    assert await watching.next() == ['{"type":"exit"}']
    assert await watching.next() == []


def test_a_turn_goes_out_together_where_the_socket_takes_it() -> None:
    watching = viewer()
    sent = going_out(watching)
    watching.reply(b"K" + bytes(8))
    watching.offer(output(0, b"a"))
    watching.offer(output(1, b"b"))
    assert sent == []
    watching.flush()
    watching.flush()
    assert sent == [[b"K" + bytes(8), output(0, b"ab")]]


async def test_nothing_overtakes_what_is_being_sent() -> None:
    watching = viewer()
    watching.offer(output(0, b"a"))
    assert await watching.next() == [output(0, b"a")]
    sent = going_out(watching)
    watching.offer(output(1, b"b"))
    watching.flush()
    assert sent == []
    assert await watching.next() == [output(1, b"b")]
