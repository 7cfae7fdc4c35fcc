import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminals.link import frames
from terminals.link.frames import BadFrame, Decoder

U64 = st.integers(0, 2**64 - 1)
U32 = st.integers(0, 2**32 - 1)
U16 = st.integers(0, 2**16 - 1)


def from_holder(kind: bytes, payload: bytes) -> bytes:
    return frames.frame(kind, payload)


@given(st.lists(st.tuples(U64, st.binary(min_size=1, max_size=200)), max_size=20), st.data())
def test_any_split_of_the_stream_gives_the_same_frames(outputs: list[tuple[int, bytes]], data: st.DataObject) -> None:
    stream = b"".join(from_holder(b"O", struct.pack(">Q", offset) + chunk) for offset, chunk in outputs)
    decoder, bodies, position = Decoder(), [], 0
    while position < len(stream):
        size = data.draw(st.integers(1, len(stream) - position))
        bodies += decoder.feed(stream[position : position + size])
        position += size
    assert bodies == [frames.output(offset, chunk) for offset, chunk in outputs]


@given(st.binary(max_size=300))
def test_garbage_raises_bad_frame_or_gives_frames_and_nothing_else(garbage: bytes) -> None:
    try:
        for body in Decoder().feed(garbage):
            match body[0]:
                case frames.STATUS:
                    frames.read_status(body)
                case frames.ERROR:
                    frames.read_error(body)
                case _:
                    pass
    except BadFrame:
        pass


def test_unknown_types_are_handed_on_so_that_they_count() -> None:
    stream = from_holder(b"?", b"from the future") + from_holder(b"P", b"\0\0\0\1")
    assert Decoder().feed(stream) == [b"?from the future", b"P\0\0\0\1"]


@pytest.mark.parametrize("stream", [b"\0\0\0O", b"\xff\xff\xffO", from_holder(b"K", b"short"), from_holder(b"H", b"")])
def test_a_wrong_length_is_a_bad_frame(stream: bytes) -> None:
    with pytest.raises(BadFrame):
        Decoder().feed(stream)


def test_the_decoder_keeps_less_than_a_frame() -> None:
    decoder = Decoder()
    stream = from_holder(b"O", struct.pack(">Q", 0) + bytes(60_000)) * 20
    for position in range(0, len(stream), 1000):
        decoder.feed(stream[position : position + 1000])
        assert len(decoder._rest) <= 3 + frames.MAX_BODY


def test_an_output_body_is_the_browsers_message() -> None:
    [body] = Decoder().feed(from_holder(b"O", struct.pack(">Q", 7) + b"abc"))
    assert body == b"O" + struct.pack(">Q", 7) + b"abc"
    assert frames.offset_of(body) == 7


@given(U64, U64, st.binary(min_size=16, max_size=16), U32, U16, U16, st.booleans())
def test_attach_is_laid_out_as_documented(
    epoch: int, offset: int, birth: bytes, window: int, cols: int, rows: int, forced: bool
) -> None:
    made = frames.attach(epoch=epoch, birth=birth, offset=offset, window=window, size=(cols, rows), forced=forced)
    assert int.from_bytes(made[:3]) == len(made) - 3
    assert struct.unpack(">BBQ16sQIHH", made[4:]) == (1, int(forced), epoch, birth, offset, window, cols, rows)


@given(st.integers(0, 31), U32, U32, U16, st.text(max_size=15), st.lists(U16, max_size=32))
def test_status_is_read_as_documented(
    flags: int, since_input: int, since_output: int, others: int, command: str, modes: list[int]
) -> None:
    name = command.encode()
    body = b"T" + struct.pack(">HIIHB", flags, since_input, since_output, others, len(name)) + name
    body += struct.pack(f">B{len(modes)}H", len(modes), *modes)
    found = frames.read_status(body)
    assert (found.shell, found.alternate, found.echo) == (bool(flags & 1), bool(flags & 2), bool(flags & 8))
    assert (found.since_input, found.since_output, found.others, found.modes) == (
        since_input,
        since_output,
        others,
        tuple(modes),
    )
    assert found.command.isprintable()


@given(U64, U64)
def test_pairs_round_trip(first: int, second: int) -> None:
    assert frames.read_pair(frames.gap(first, second)) == (first, second)


@pytest.mark.parametrize("message", [b"I", b"I" + bytes(8) + b"x", b"I" + bytes(7), b"I" + b"\1" * 8 + bytes(16_385)])
def test_bad_input_messages_are_refused(message: bytes) -> None:
    with pytest.raises(BadFrame):
        frames.read_browser_input(message)


@pytest.mark.parametrize("size", [(1, 24), (80, 0), (1001, 24), (80, 1001)])
def test_sizes_that_no_terminal_has_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(BadFrame):
        frames.read_browser_resize(b"R" + struct.pack(">HH", *size))


def test_a_size_that_a_program_set_does_not_make_a_hello_unbelievable() -> None:
    body = b"H" + struct.pack(">BBQ16sQQQHHQ", 1, 0, 3, bytes(16), 0, 5, 9, 60_000, 0, 5)
    hello = frames.read_hello(body)
    assert (hello.cols, hello.rows) == (1_000, 0)
    assert hello.believable(bytes(16), 5)
