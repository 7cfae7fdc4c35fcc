from terminals.link.flow import HORIZON_S, STEP, Flow
from terminals.link.frames import WINDOW_MAX, WINDOW_MIN
from terminals.link.valve import BURST, Valve

RATE = 1 << 20


def test_a_burst_passes_at_once_and_then_the_rate() -> None:
    valve = Valve(RATE, 0.0)
    assert valve.room(0.0) == BURST
    valve.take(BURST)
    assert valve.room(0.0) == 0
    assert valve.room(1.0) == RATE
    assert valve.wait(2 * RATE) == 1.0


def test_a_rest_gives_the_burst_back_and_no_more() -> None:
    valve = Valve(RATE, 0.0)
    valve.take(BURST)
    assert valve.room(10_000.0) == BURST


def test_without_a_rate_everything_passes_and_nothing_is_owed_later() -> None:
    valve = Valve(0, 0.0)
    valve.take(100 * BURST)
    assert valve.room(1.0) is None
    valve.rate = RATE
    assert valve.room(1.0) == BURST


def flooded(rate: int, seconds: float, page: float = 1e8) -> tuple[Flow, int]:
    """A flow after a flood that a fast page renders, and what the holder was let send."""
    flow, now = Flow(0, 0.0, Valve(rate, 0.0)), 0.0
    while now < seconds:
        now += 0.01
        end = min(flow.released + flow.granted, flow.rendered + int(page / 100))
        flow.ack(end, end, now)
        flow.due(end, now)
    return flow, flow.released


def test_a_flood_gets_its_burst_and_then_the_rate() -> None:
    seconds = 60.0
    flow, released = flooded(RATE, seconds)
    assert flow.held
    assert BURST + RATE * seconds - WINDOW_MAX < released <= BURST + RATE * seconds
    assert flooded(0, 5.0)[1] > BURST + RATE * seconds


def test_while_held_no_more_is_under_way_than_comes_in_a_tenth_of_a_second() -> None:
    assert flooded(RATE, 60.0)[0].granted == max(int(RATE * HORIZON_S), WINDOW_MIN)
    assert flooded(WINDOW_MIN, 60.0)[0].granted == WINDOW_MIN


def test_what_is_held_is_acked_in_few_frames() -> None:
    flow, released = flooded(RATE, 60.0)
    acks, end = 0, flow.released + flow.granted
    for thousandth in range(1_000):
        acks += flow.due(end, 60.0 + thousandth / 1_000, least=1) is not None
        end = flow.released + flow.granted
        flow.ack(end, end, 60.0 + thousandth / 1_000)
    assert 0 < acks <= (RATE + STEP) / STEP
    assert flow.released > released


def test_who_closes_a_terminal_waits_for_no_valve() -> None:
    flow, released = flooded(RATE, 60.0)
    flow.ending = True
    assert flow.due(released + BURST, 60.0) == (released + BURST, WINDOW_MAX)
