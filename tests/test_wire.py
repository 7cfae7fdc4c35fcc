"""The cutter against streams cut anywhere: what a library would have got, or less work for it."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminals.link.wire import BINARY, TEXT, Cutter, head, masked, unmasked

LIMIT = 70_000
PAYLOADS = st.binary(max_size=300) | st.sampled_from([b"", bytes(125), bytes(126), bytes(65_535), bytes(65_536)])


def frame(kind: int, payload: bytes) -> bytes:
    return head(kind, len(payload)) + payload


def fed(stream: bytes, cuts: list[int], *, masks: bool = False) -> tuple[list[bytes], list[bytes]]:
    """(taken payloads, other frames) of a stream that comes in pieces."""
    taken: list[bytes] = []
    others: list[bytes] = []
    cutter = Cutter(others.append, LIMIT, masked=masks)
    cutter.take = taken.append
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    for start, stop in itertools.pairwise(edges):
        cutter.feed(stream[start:stop])
    return taken, others


@given(st.lists(st.tuples(st.sampled_from([BINARY, TEXT, 0x89, 0x8A, 0x88]), PAYLOADS)), st.lists(st.integers(0)))
def test_any_cut_gives_the_same_frames(messages: list[tuple[int, bytes]], cuts: list[int]) -> None:
    stream = b"".join(frame(kind, payload) for kind, payload in messages)
    taken, others = fed(stream, cuts)
    assert taken == [payload for kind, payload in messages if kind == BINARY]
    assert others == [frame(kind, payload) for kind, payload in messages if kind != BINARY]


@given(st.lists(PAYLOADS), st.lists(st.integers(0)))
def test_what_a_client_masks_comes_out_as_it_was(payloads: list[bytes], cuts: list[int]) -> None:
    taken, others = fed(b"".join(map(masked, payloads)), cuts, masks=True)
    assert taken == payloads
    assert others == []


@given(st.binary(max_size=400), st.lists(st.integers(0)))
def test_of_garbage_nothing_is_lost_or_kept_without_bound(stream: bytes, cuts: list[int]) -> None:
    others: list[bytes] = []
    cutter = Cutter(others.append, 64, masked=True)
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    for start, stop in itertools.pairwise(edges):
        cutter.feed(stream[start:stop])
        assert cutter.waiting < 64 + 14
    assert b"".join(others) == stream[: len(stream) - cutter.waiting]


def test_the_first_frame_beyond_the_limit_and_all_after_it_are_the_librarys() -> None:
    stream = frame(BINARY, b"a") + frame(BINARY, bytes(LIMIT + 1)) + frame(BINARY, b"b")
    taken, others = fed(stream, [5, 1000])
    assert taken == [b"a"]
    assert b"".join(others) == stream[3:]


def test_fragments_and_what_lies_between_them_are_the_librarys() -> None:
    pieces = [b"\x02\x01a", b"\x89\x00", b"\x00\x01b", b"\x80\x01c"]
    taken, others = fed(b"".join(pieces) + frame(BINARY, b"whole"), [])
    assert others == pieces
    assert taken == [b"whole"]


@pytest.mark.parametrize("masks", [True, False])
def test_a_message_masked_the_wrong_way_is_the_librarys_to_refuse(masks: bool) -> None:
    wrong = frame(BINARY, b"x") if masks else masked(b"x")
    taken, others = fed(wrong, [], masks=masks)
    assert taken == []
    assert others == [wrong]


def test_held_frames_wait_and_come_in_order() -> None:
    taken: list[bytes] = []
    cutter = Cutter(taken.append, LIMIT, masked=False)

    def take(payload: bytes) -> None:
        taken.append(payload)
        cutter.held = True

    cutter.take = take
    cutter.feed(b"".join(frame(BINARY, bytes([number])) for number in range(3)))
    assert taken == [b"\0"]
    for _ in range(2):
        cutter.held = False
        cutter.feed(b"")
    assert taken == [b"\0", b"\1", b"\2"]


def test_masking_twice_changes_nothing() -> None:
    assert unmasked(unmasked(b"some bytes", b"\1\2\3\4"), b"\1\2\3\4") == b"some bytes"
