"""Bodies of requests, typed: what passes, what is a misfit, what ends the connection."""

from contextlib import suppress
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streammf.errors import ProtocolError
from streammf.serving.messages import OPS, Health, Misfit, Popular, Predict, Recommend, SimilarItems, decode
from tests.serving.running import PATIENT

GOOD = {"id": 7, "op": "recommend", "user": "ann"}
NAN = float("nan")

#: What can be answered by its id: (what is wrong, body, code, a word of the message).
MISFITS: list[tuple[str, dict[Any, Any], str, str]] = [
    ("unknown op", {"id": 7, "op": "destroy"}, "unknown_op", "destroy"),
    ("op that is reserved", {"id": 7, "op": "topology"}, "unknown_op", "topology"),
    ("op of another case", {"id": 7, "op": "Recommend", "user": "ann"}, "unknown_op", "recommend"),
    ("no op", {"id": 7, "user": "ann"}, "bad_request", "op"),
    ("op a number", {"id": 7, "op": 5}, "bad_request", "op"),
    ("op nil", {"id": 7, "op": None}, "bad_request", "op"),
    ("op bytes", {"id": 7, "op": b"health"}, "bad_request", "op"),
    ("unknown field", GOOD | {"exclude": True}, "bad_request", "exclude"),
    ("user a number", GOOD | {"user": 405}, "bad_request", "user"),
    ("user bytes", GOOD | {"user": b"ann"}, "bad_request", "user"),
    ("user empty", GOOD | {"user": ""}, "bad_request", "user"),
    ("user of 256 characters", GOOD | {"user": "x" * 256}, "bad_request", "user"),
    ("neither user nor items", {"id": 7, "op": "recommend"}, "bad_request", "either"),
    ("both user and items", GOOD | {"items": ["a"]}, "bad_request", "either"),
    ("no items", {"id": 7, "op": "recommend", "items": []}, "bad_request", "items"),
    ("items a string", {"id": 7, "op": "recommend", "items": "abc"}, "bad_request", "items"),
    ("items of numbers", {"id": 7, "op": "recommend", "items": [1]}, "bad_request", "items"),
    ("1001 items", {"id": 7, "op": "recommend", "items": ["a"] * 1001}, "bad_request", "items"),
    ("k 0", GOOD | {"k": 0}, "bad_request", "k"),
    ("k -1", GOOD | {"k": -1}, "bad_request", "k"),
    ("k beyond everything", GOOD | {"k": 2**63}, "bad_request", "k"),
    ("k a fraction", GOOD | {"k": 2.5}, "bad_request", "k"),
    ("k a string", GOOD | {"k": "10"}, "bad_request", "k"),
    ("k true", GOOD | {"k": True}, "bad_request", "k"),
    ("k nil", GOOD | {"k": None}, "bad_request", "k"),
    ("exclude_seen 1", GOOD | {"exclude_seen": 1}, "bad_request", "exclude_seen"),
    ("wait too long", GOOD | {"wait": 11}, "bad_request", "wait"),
    ("wait negative", GOOD | {"wait": -1.0}, "bad_request", "wait"),
    ("wait NaN", GOOD | {"wait": NAN}, "bad_request", "wait"),
    ("wait infinite", GOOD | {"wait": float("inf")}, "bad_request", "wait"),
    ("at_least a number", GOOD | {"at_least": 5}, "bad_request", "at_least"),
    ("at_least of two", GOOD | {"at_least": [["events", 0]]}, "bad_request", "at_least"),
    ("at_least before the beginning", GOOD | {"at_least": [["events", 0, -1]]}, "bad_request", "at_least"),
    ("1001 positions", GOOD | {"at_least": [["events", 0, 1]] * 1001}, "bad_request", "at_least"),
    ("an extension", GOOD | {"k": msgpack.ExtType(4, b"ten")}, "bad_request", "k"),
    ("a timestamp", GOOD | {"k": msgpack.Timestamp(10)}, "bad_request", "k"),
    ("predict without item", {"id": 7, "op": "predict", "user": "ann"}, "bad_request", "item"),
    ("similar without item", {"id": 7, "op": "similar_items"}, "bad_request", "item"),
    ("popular with a user", {"id": 7, "op": "popular", "user": "ann"}, "bad_request", "user"),
    ("health with k", {"id": 7, "op": "health", "k": 3}, "bad_request", "k"),
]

#: What cannot: the connection ends.
HOPELESS: list[tuple[str, bytes]] = [
    ("an array", msgpack.packb([1, "health"])),
    ("a number", b"\x07"),
    ("a string", msgpack.packb("health")),
    ("nil", b"\xc0"),
    ("JSON", b'{"id": 1, "op": "health"}'),
    ("HTTP", b"GET / HTTP/1.1\r\n\r\n"),
    ("zeros", bytes(64)),
    ("the byte that MessagePack never uses", b"\xc1"),
    ("a map cut short", msgpack.packb(GOOD)[:-1]),
    ("a map and a byte", msgpack.packb(GOOD) + b"\x00"),
    ("two maps", msgpack.packb(GOOD) * 2),
    ("a map of 4 billion", b"\xdf\xff\xff\xff\xff"),
    ("an array of 4 billion in a field", b"\x81\xa2id\xdd\xff\xff\xff\xff"),
    ("a string of 4 GiB", b"\x82\xa2id\x07\xa2op\xdb\xff\xff\xff\xff"),
    ("no id", msgpack.packb({"op": "health"})),
    ("id nil", msgpack.packb({"id": None, "op": "health"})),
    ("id a fraction", msgpack.packb({"id": 1.5, "op": "health"})),
    ("id true", msgpack.packb({"id": True, "op": "health"})),
    ("id bytes", msgpack.packb({"id": b"7", "op": "health"})),
    ("id an array", msgpack.packb({"id": [7], "op": "health"})),
    ("id not UTF-8", b"\x82\xa2id\xa1\xff\xa2op\xa6health"),
    ("a number for a key", msgpack.packb({1: 2, "id": 7, "op": "health"})),
    ("too deep", b"\x83\xa2id\x07\xa2op\xa6health\xa1x" + b"\x91" * 100_000 + b"\xc0"),
    ("too deep before the id", b"\x83\xa1x" + b"\x81\xa1x" * 100_000),
]


@pytest.mark.parametrize(("body", "code", "word"), [m[1:] for m in MISFITS], ids=[m[0] for m in MISFITS])
def test_what_does_not_fit_is_refused_by_its_id_with_a_code_and_the_name_of_the_field(
    body: dict[Any, Any], code: str, word: str
) -> None:
    with pytest.raises(Misfit, match=word) as caught:
        decode(msgpack.packb(body))
    assert (caught.value.id, caught.value.code) == (7, code)


@pytest.mark.parametrize("body", [h[1] for h in HOPELESS], ids=[h[0] for h in HOPELESS])
def test_what_has_no_usable_id_is_a_protocol_error(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(body)


def test_bad_utf8_in_a_field_is_refused_by_its_id() -> None:
    with pytest.raises(Misfit):
        decode(b"\x83\xa2id\x07\xa2op\xa9recommend\xa4user\xa1\xff")


def test_requests_have_the_defaults_that_the_protocol_names() -> None:
    assert decode(msgpack.packb(GOOD)) == Recommend(7, user="ann", items=None, k=10, exclude_seen=True, at_least=[], wait=1)
    assert decode(msgpack.packb({"op": "similar_items", "item": "a", "id": "x"})) == SimilarItems("x", item="a", k=10)
    assert decode(msgpack.packb({"id": 2**64 - 1, "op": "popular"})) == Popular(2**64 - 1, k=10)
    assert decode(msgpack.packb({"id": -(2**63), "op": "health"})) == Health(-(2**63))


def test_a_field_may_come_in_any_order_and_a_number_as_integer_or_float() -> None:
    request = decode(msgpack.packb({"item": "a", "wait": 2, "user": "ann", "op": "predict", "id": 1}))
    assert request == Predict(1, user="ann", item="a", wait=2.0)


def test_the_operations_are_those_of_the_protocol() -> None:
    assert OPS == ("recommend", "similar_items", "popular", "predict", "health", "info")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(["id", "op", "user", "items", "item", "k", "exclude_seen", "at_least", "wait"])


@PATIENT
@given(st.dictionaries(FIELDS, VALUES | st.sampled_from([*OPS, 1, "ann"])))
def test_any_map_is_a_request_or_a_typed_refusal(body: dict[str, Any]) -> None:
    with suppress(Misfit, ProtocolError):
        decode(msgpack.packb(body))


@PATIENT
@given(st.binary(max_size=200), st.integers(0, 40), st.integers(0, 255))
def test_any_bytes_are_a_request_or_a_typed_refusal(noise: bytes, place: int, byte: int) -> None:
    damaged = bytearray(msgpack.packb(GOOD | {"k": 3}))
    damaged[place % len(damaged)] = byte
    for body in (noise, bytes(damaged)):
        with suppress(Misfit, ProtocolError):
            decode(body)


def test_a_field_out_of_range_is_named_in_plain_words() -> None:
    with pytest.raises(Misfit, match=r"^k: expected `int` <= 10000$"):
        decode(msgpack.packb({"id": 1, "op": "popular", "k": 10_001}))
