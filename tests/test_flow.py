from terminals.link.flow import STALL_S, STEP, Flow
from terminals.link.frames import WINDOW_MAX, WINDOW_MIN


def test_small_output_costs_no_ack_frame() -> None:
    flow = Flow(0, 0.0)
    flow.ack(100, 100, 0.1)
    assert flow.due(100, 0.1) is None
    assert flow.due(100, 0.1, least=1) == (100, WINDOW_MIN)


def test_the_window_is_what_was_rendered_in_the_last_tenth_of_a_second() -> None:
    flow = Flow(0, 0.0)
    for hundredth in range(1, 51):
        offset = hundredth * 20_000  # 2 MB/s
        flow.ack(offset, offset + STEP, hundredth / 100)
    assert WINDOW_MIN < flow.window < WINDOW_MAX
    assert abs(flow.window - 200_000) < 20_000


def test_the_window_has_bounds() -> None:
    slow, fast = Flow(0, 0.0), Flow(0, 0.0)
    slow.ack(1000, 100_000, 10.0)
    fast.ack(100_000_000, 200_000_000, 0.1)
    assert (slow.window, fast.window) == (WINDOW_MIN, WINDOW_MAX)


def test_a_silent_driver_holds_the_output_for_30_seconds_and_no_longer() -> None:
    flow = Flow(0, 0.0)
    flow.produced(1.0)
    flow.tick(50_000, STALL_S)
    assert flow.due(50_000, 40.0) is None
    flow.tick(50_000, STALL_S + 1.1)
    assert flow.due(50_000, 40.0) == (50_000, WINDOW_MAX)


def test_a_returning_driver_takes_over_the_acks() -> None:
    flow = Flow(0, 0.0)
    flow.produced(1.0)
    flow.tick(50_000, 100.0)
    assert flow.coasting
    flow.begin(101.0)
    assert flow.due(500_000, 101.1) is None
    flow.ack(400_000, 500_000, 101.1)
    assert flow.due(500_000, 101.1) is not None


def test_an_idle_terminal_never_coasts() -> None:
    flow = Flow(0, 0.0)
    flow.ack(10, 10, 0.1)
    flow.tick(10, 1000.0)
    assert not flow.coasting
    flow.produced(1000.0)
    flow.tick(20, 1001.0)
    assert not flow.coasting


def test_acks_that_cannot_be_change_nothing() -> None:
    flow = Flow(100, 0.0)
    flow.ack(50, 200, 1.0)
    flow.ack(201, 200, 1.0)
    assert flow.rendered == 100


def test_more_output_than_any_window_allows_is_noticed() -> None:
    flow = Flow(0, 0.0)
    assert not flow.excess(2 * WINDOW_MAX)
    assert flow.excess(2 * WINDOW_MAX + 1)
