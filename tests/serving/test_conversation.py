"""The client's half of the protocol, without a socket: what it says, and that it trusts nothing that it hears."""

from contextlib import suppress
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streammf.errors import NoModelError, ProtocolError, RequestError, StreamMFError
from streammf.serving import conversation
from streammf.serving.conversation import HEALTH, INFO, Call, Conversation, addresses, predict, read, recommend
from streammf.serving.messages import Predict, decode
from streammf.serving.protocol import PREFIX, framed
from streammf.serving.results import Position, Prediction
from tests.serving.running import PATIENT

ANSWER = {
    "id": 1,
    "ok": True,
    "value": 3.5,
    "user_known": True,
    "item_known": False,
    "position": [["e", 0, 9]],
    "events": 9,
}
CALL = predict("ann", "a")


def heard(answer: object) -> object:
    talk = Conversation()
    talk.ask(CALL)
    return [read(CALL, found) for _, found in talk.hear(framed(msgpack.packb(answer)))]


def test_an_answer_becomes_a_typed_result() -> None:
    assert heard(ANSWER) == [Prediction(3.5, True, False, (Position("e", 0, 9),), 9)]


def test_a_field_of_a_later_version_is_ignored() -> None:
    assert heard(ANSWER | {"partial": True}) == heard(ANSWER)


def test_a_float_may_be_sent_as_an_integer() -> None:
    assert heard(ANSWER | {"value": 3}) == [Prediction(3.0, True, False, (Position("e", 0, 9),), 9)]


DAMAGED: list[tuple[str, object]] = [
    ("an array", [1]),
    ("a number", 5),
    ("id a string", ANSWER | {"id": "1"}),
    ("id nil and ok", ANSWER | {"id": None}),
    ("ok missing", {"id": 1}),
    ("ok a number", ANSWER | {"ok": 1}),
    ("value missing", {k: v for k, v in ANSWER.items() if k != "value"}),
    ("value a string", ANSWER | {"value": "3.5"}),
    ("value true", ANSWER | {"value": True}),
    ("user_known a number", ANSWER | {"user_known": 1}),
    ("position missing", {k: v for k, v in ANSWER.items() if k != "position"}),
    ("position a map", ANSWER | {"position": {"e": 9}}),
    ("position of numbers", ANSWER | {"position": [1, 2, 3]}),
    ("position cut", ANSWER | {"position": [["e", 0]]}),
    ("events a float", ANSWER | {"events": 9.0}),
    ("error missing", {"id": 1, "ok": False}),
    ("error a string", {"id": 1, "ok": False, "error": "no"}),
    ("error without a code", {"id": 1, "ok": False, "error": {"message": "no"}}),
]


@pytest.mark.parametrize("answer", [d[1] for d in DAMAGED], ids=[d[0] for d in DAMAGED])
def test_an_answer_that_the_protocol_does_not_allow_is_a_protocol_error(answer: object) -> None:
    with pytest.raises(ProtocolError):
        heard(answer)


@pytest.mark.parametrize("item", [5, [], {}, {"item": 5, "score": 1.0, "source": "factors"}, {"item": "a", "score": "1"}])
def test_a_list_with_an_item_that_is_none_is_a_protocol_error(item: object) -> None:
    with pytest.raises(ProtocolError):
        read(conversation.popular(3), {"ok": True, "items": [item], "position": [], "events": 0})


@pytest.mark.parametrize(
    "body", [b"\xc1", b"\x81", b"\xdf\xff\xff\xff\xff", b"\x91" * 5000, b"\x81\x01\x02", b"\x81\xa1\xff\x01"]
)
def test_an_answer_that_is_not_messagepack_is_a_protocol_error(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        Conversation().hear(framed(body))


def test_an_answer_beyond_every_limit_is_refused_before_it_has_come() -> None:
    with pytest.raises(ProtocolError, match="2147483648"):
        Conversation().hear((2**31).to_bytes(4, "big"))


ERRORS: list[tuple[str, type[Exception]]] = [
    ("no_model", NoModelError),
    ("behind", RequestError),
    ("moved", RequestError),
    ("a word of a later version", RequestError),
]


@pytest.mark.parametrize(("code", "kind"), ERRORS)
def test_an_error_answer_is_raised_as_what_it_is(code: str, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="because") as caught:
        heard({"id": 1, "ok": False, "error": {"code": code, "message": "because"}})
    if isinstance(caught.value, RequestError):
        assert caught.value.code == code


def test_an_error_about_the_connection_ends_it_and_says_whether_another_server_may_answer() -> None:
    with pytest.raises(ProtocolError, match="because"):
        heard({"id": None, "ok": False, "error": {"code": "bad_frame", "message": "because"}})
    with pytest.raises(ConnectionRefusedError, match="because"):
        heard({"id": None, "ok": False, "error": {"code": "overloaded", "message": "because"}})


def test_requests_are_numbered_and_read_by_the_server_as_they_were_meant() -> None:
    talk = Conversation()
    first, frame = talk.ask(CALL)
    second, _ = talk.ask(CALL.after([Position("e", 0, 9)], None))
    assert (first, second) == (1, 2)
    assert decode(frame[PREFIX:]) == Predict(1, user="ann", item="a")


def test_a_position_travels_with_its_patience() -> None:
    call = CALL.after([Position("e", 0, 9)], 2.5)
    _, frame = Conversation().ask(call)
    assert decode(frame[PREFIX:]) == Predict(1, user="ann", item="a", at_least=[("e", 0, 9)], wait=2.5)
    assert call.wait == 2.5


def test_what_cannot_be_packed_is_refused_before_it_is_sent() -> None:
    bad: Any = object()
    for call in (
        recommend(bad, None, 10, True),
        recommend("ann", None, 2**70, True),
        recommend("\ud800", None, 1, True),
    ):
        with pytest.raises(RequestError) as caught:
            Conversation().ask(call)
        assert caught.value.code == "bad_request"
    for user, items in (("ann", ["a"]), (None, None)):
        with pytest.raises(RequestError, match="either"):
            recommend(user, items, 10, True)
    with pytest.raises(RequestError, match=r"items is a list of ids, not a text: \['50'\]\?"):
        recommend(None, "50", 10, True)


ADDRESSES: list[tuple[str | list[str], list[tuple[str, int]]]] = [
    ("127.0.0.1:9000", [("127.0.0.1", 9000)]),
    ("localhost", [("localhost", 7077)]),
    ("[::1]:9000", [("::1", 9000)]),
    ("::1", [("::1", 7077)]),
    ("[::1]", [("::1", 7077)]),
    (["a:1", "b:2"], [("a", 1), ("b", 2)]),
]


@pytest.mark.parametrize(("given", "found"), ADDRESSES)
def test_addresses_are_read_with_and_without_ports(given: str | list[str], found: list[tuple[str, int]]) -> None:
    assert addresses(given) == found


@pytest.mark.parametrize(
    "given", [[], "host:", "host:port", "host:0", "host:65536", "host:-1", ":7077", "", "[]:1", None, 7077, [None]]
)
def test_an_address_that_is_none_is_an_error(given: Any) -> None:
    with pytest.raises(ValueError, match="address"):
        addresses(given)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.sampled_from(["e", "a", ""]) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["item", "score", "code"]), inner),
    max_leaves=6,
)
FIELDS = st.sampled_from([*ANSWER, "items", "reason", "error", "status", "ready", "age"])


@PATIENT
@given(st.dictionaries(FIELDS, VALUES), st.sampled_from([CALL, conversation.popular(3), HEALTH, INFO]))
def test_any_answer_is_read_or_refused_with_a_typed_error(answer: dict[str, Any], call: Call[Any]) -> None:
    with suppress(StreamMFError, ConnectionRefusedError):
        for _, found in Conversation().hear(framed(msgpack.packb({"id": 1, "ok": True} | answer))):
            read(call, found)


@PATIENT
@given(st.binary(max_size=100))
def test_any_bytes_are_answers_or_a_typed_error(noise: bytes) -> None:
    for data in (noise, framed(noise)):
        with suppress(StreamMFError, ConnectionRefusedError):
            Conversation().hear(data)
