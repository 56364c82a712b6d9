"""Frames, without a socket."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streammf.errors import ProtocolError
from streammf.serving.protocol import MOST_ANSWER_BYTES, MOST_REQUEST_BYTES, Framer, framed
from tests.serving.running import PATIENT

BODIES = st.lists(st.binary(min_size=1, max_size=50), max_size=10)


def drained(framer: Framer) -> list[bytes]:
    bodies = []
    while (body := framer.next()) is not None:
        bodies.append(body)
    return bodies


@PATIENT
@given(BODIES, st.lists(st.integers(0, 600)))
def test_bodies_come_out_as_they_went_in_however_the_bytes_are_cut(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(framed(body) for body in bodies)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    framer = Framer(50)
    heard = []
    for start, end in pairwise(edges):
        framer.feed(stream[start:end])
        heard += drained(framer)
    assert heard == bodies
    assert not framer.begun
    assert not framer.due


@PATIENT
@given(st.lists(st.binary(max_size=40), max_size=20))
def test_any_bytes_are_frames_or_one_protocol_error(pieces: list[bytes]) -> None:
    framer = Framer(1000)
    try:
        for piece in pieces:
            framer.feed(piece)
            assert all(0 < len(body) <= 1000 for body in drained(framer))
    except ProtocolError:
        assert framer.due
        with pytest.raises(ProtocolError):
            framer.next()


@pytest.mark.parametrize("length", [0, 1001, 2**31 - 1, 2**31, 2**32 - 1, int.from_bytes(b"GET ")])
def test_a_length_out_of_bounds_is_refused_before_any_of_the_body_has_come(length: int) -> None:
    framer = Framer(1000)
    framer.feed(length.to_bytes(4, "big"))
    assert framer.due
    with pytest.raises(ProtocolError, match=f"a frame of {length} bytes"):
        framer.next()


def test_the_largest_frame_that_is_allowed_passes() -> None:
    framer = Framer(1000)
    framer.feed(framed(bytes(1000)))
    assert framer.next() == bytes(1000)


def test_a_frame_that_is_under_way_is_begun_and_not_due() -> None:
    framer = Framer(1000)
    framer.feed(framed(b"abc")[:-1])
    assert framer.begun
    assert not framer.due
    assert framer.next() is None
    framer.feed(b"c")
    assert framer.due
    assert framer.next() == b"abc"
    assert not framer.begun


def test_limits_fit_what_the_protocol_promises() -> None:
    """1000 anonymous items, and a list of 10,000, each id at its longest in bytes."""
    assert MOST_REQUEST_BYTES > 1000 * (255 + 3)
    assert MOST_ANSWER_BYTES > 10_000 * (255 + 60)
