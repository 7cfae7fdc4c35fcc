from hypothesis import given
from hypothesis import strategies as st

from terminals.link.frames import OUTPUT_HEAD, offset_of, output
from terminals.link.scrollback import MERGE, Scrollback

CHUNKS = st.lists(st.binary(min_size=1, max_size=3 * MERGE), max_size=40)


def filled(chunks: list[bytes], start: int = 0, limit: int = 20_000) -> Scrollback:
    scrollback = Scrollback(start, limit)
    for chunk in chunks:
        scrollback.append(output(scrollback.end, chunk))
    return scrollback


@given(CHUNKS, st.integers(0, 2**40), st.data())
def test_since_gives_exactly_the_bytes_from_the_offset(chunks: list[bytes], start: int, data: st.DataObject) -> None:
    scrollback = filled(chunks, start)
    everything = b"".join(chunks)
    offset = data.draw(st.integers(scrollback.base, scrollback.end))
    bodies = scrollback.since(offset)
    assert b"".join(body[OUTPUT_HEAD:] for body in bodies) == everything[offset - start :]
    at = offset
    for body in bodies:
        assert offset_of(body) == at
        at += len(body) - OUTPUT_HEAD


@given(CHUNKS)
def test_it_is_bounded_in_bytes_and_keeps_the_newest(chunks: list[bytes]) -> None:
    scrollback = filled(chunks)
    assert scrollback.end - scrollback.base <= 20_000
    assert scrollback.end == sum(map(len, chunks))


def test_single_keys_do_not_become_single_objects() -> None:
    scrollback = filled([b"x"] * 10_000)
    assert len(scrollback._bodies) <= 10_000 / MERGE + 1


@given(CHUNKS, st.integers(1, 30_000))
def test_a_tail_is_the_newest_bytes(chunks: list[bytes], limit: int) -> None:
    scrollback = filled(chunks)
    start, tail = scrollback.tail(limit)
    assert len(tail) <= limit
    assert start + len(tail) == scrollback.end
    assert b"".join(chunks).endswith(tail)


def test_a_cut_tail_begins_after_a_newline() -> None:
    scrollback = filled([b"one\r\ntwo\r\nthree\r\n"])
    assert scrollback.tail(12) == (10, b"three\r\n")
    assert scrollback.tail(1000) == (0, b"one\r\ntwo\r\nthree\r\n")
