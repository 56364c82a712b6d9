"""Golden frames: the protocol as bytes, for clients in other languages, and the same at both ends of ours.

Requests are packed by the client (msgpack) and decoded by the server (msgspec), answers the other way round. A frame
that has to change here is a change of the protocol.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgpack
import pytest

from streammf.errors import NoModelError, RequestError
from streammf.serving import conversation, messages
from streammf.serving.conversation import HEALTH, INFO, Call, Conversation
from streammf.serving.messages import Answer, Request, encode
from streammf.serving.protocol import MOST_REQUEST_BYTES, PREFIX, Framer
from streammf.serving.results import Health, Info, Position, Prediction, Quality, RankedItem, Ranking

FRAMES: Final[dict[str, dict[str, Any]]] = json.loads((Path(__file__).parent / "frames" / "frames.json").read_text())

REQUESTS: Final[dict[str, tuple[Call[Any], Request]]] = {
    "recommend": (conversation.recommend("405", None, 10, True), messages.Recommend(1, user="405")),
    "recommend to an anonymous visitor": (
        conversation.recommend(None, ["b", "ä€😀"], 3, False),
        messages.Recommend(1, items=["b", "ä€😀"], k=3, exclude_seen=False),
    ),
    "recommend after a position": (
        conversation.recommend("405", None, 10, True).after([Position("events", 3, 70_000)], 0.25),
        messages.Recommend(1, user="405", at_least=[("events", 3, 70_000)], wait=0.25),
    ),
    "similar_items": (conversation.similar_items("50", 200), messages.SimilarItems(1, item="50", k=200)),
    "popular": (conversation.popular(1000), messages.Popular(1, k=1000)),
    "predict": (conversation.predict("405", "50"), messages.Predict(1, user="405", item="50")),
    "health": (HEALTH, messages.Health(1)),
    "info": (INFO, messages.Info(1)),
}

POSITION: Final = [("events", 0, 99_000), ("events", 1, 2**40)]
INCLUDED: Final = (Position("events", 0, 99_000), Position("events", 1, 2**40))
NUMBERS: Final[dict[str, Any]] = {
    "users": 943, "items": 1682, "clock": 893_286_638_000, "rejected": 2, "refused": 4, "committed": 90_000,
    "generation": 3, "trainer_pid": 41, "pid": 42,
}  # fmt: skip

QUALITY: Final[dict[str, Any]] = {
    "serving": "popularity 7 d", "model": "blend", "switched": 1, "measured": 700, "recent": 512.5,
    "measures": {
        "recent": {"blend": {"recall@10": 0.25}, "popularity 7 d": {"recall@10": 0.5}, "served": {"recall@10": 0.5}},
        "all": {"blend": {"recall@10": 0.5}, "popularity 7 d": {"recall@10": 0.25}, "served": {"recall@10": 0.5}},
    },
    "leads": {"popularity 7 d": 3.5}, "lists": {"coverage": 0.5, "long_tail": 0.25, "diversity": 0.75},
    "weights": {"all": {"age": -0.5}, "activity": {"age": 0.0}, "gap": {"age": 0.25}},
}  # fmt: skip

ANSWERS: Final[dict[str, tuple[Answer, Call[Any], Any]]] = {
    "a list": (
        messages.RankingAnswer(
            1, items=[messages.RankedItem("50", 1.5, "factors"), messages.RankedItem("ä€😀", -0.25, "factors")],
            position=POSITION, events=99_000,
        ),
        conversation.popular(2),
        Ranking((RankedItem("50", 1.5, "factors"), RankedItem("ä€😀", -0.25, "factors")), None, INCLUDED, 99_000),
    ),
    "a list for an unknown user": (
        messages.RankingAnswer(
            1, items=[messages.RankedItem("50", 0.0, "popular")], position=[], events=0, reason="unknown_user"
        ),
        conversation.popular(1),
        Ranking((RankedItem("50", 0.0, "popular"),), "unknown_user", (), 0),
    ),
    "an empty list": (
        messages.RankingAnswer(1, items=[], position=[], events=0, reason="empty_model"),
        conversation.popular(1),
        Ranking((), "empty_model", (), 0),
    ),
    "a value": (
        messages.PredictAnswer(1, value=3.5, user_known=True, item_known=False, position=POSITION, events=99_000),
        conversation.predict("405", "50"),
        Prediction(3.5, True, False, INCLUDED, 99_000),
    ),
    "health": (
        messages.HealthAnswer(
            1, status="ok", ready=True, age=0.5, trainer="learning", position=POSITION, events=99_000
        ),
        HEALTH,
        Health("ok", True, None, 0.5, "learning", INCLUDED, 99_000),
    ),
    "health without a model": (
        messages.HealthAnswer(1, status="no_model", ready=False, reason="there is no live model"),
        HEALTH,
        Health("no_model", False, "there is no live model", None, None, (), 0),
    ),
    "info": (
        messages.InfoAnswer(
            1, version="0.1.0", objective="ranking", position=POSITION, events=99_000,
            quality=messages.Quality(**QUALITY), **NUMBERS,
        ),
        INFO,
        Info(
            version="0.1.0", protocol=1, objective="ranking", position=INCLUDED, events=99_000,
            quality=Quality(**QUALITY), **NUMBERS,
        ),
    ),
}  # fmt: skip

ERRORS: Final[dict[str, tuple[int | None, str, type[Exception]]]] = {
    "an error": (1, "bad_request", RequestError),
    "no model": (1, "no_model", NoModelError),
    "an error about the connection": (None, "overloaded", ConnectionRefusedError),
}


def golden(name: str, direction: str) -> tuple[bytes, Mapping[str, Any]]:
    """The frame as bytes, and its body as a map."""
    frame = FRAMES[direction][name]
    return bytes.fromhex(frame["hex"]), frame["body"]


@pytest.mark.parametrize("name", REQUESTS)
def test_the_client_says_and_the_server_understands_the_golden_request(name: str) -> None:
    call, request = REQUESTS[name]
    frame, body = golden(name, "requests")
    assert Conversation().ask(call) == (1, frame)
    assert messages.decode(frame[PREFIX:]) == request
    assert msgpack.unpackb(frame[PREFIX:]) == body


@pytest.mark.parametrize("name", ANSWERS)
def test_the_server_says_and_the_client_understands_the_golden_answer(name: str) -> None:
    answer, call, result = ANSWERS[name]
    frame, body = golden(name, "answers")
    assert encode(answer) == frame
    assert msgpack.unpackb(frame[PREFIX:]) == body
    [(request_id, heard)] = Conversation().hear(frame)
    assert (request_id, conversation.read(call, heard)) == (1, result)


@pytest.mark.parametrize("name", ERRORS)
def test_the_server_says_and_the_client_raises_the_golden_error(name: str) -> None:
    request_id, code, kind = ERRORS[name]
    frame, body = golden(name, "answers")
    assert messages.refusal(request_id, code, "because") == frame
    assert msgpack.unpackb(frame[PREFIX:]) == body
    with pytest.raises(kind, match="because"):
        conversation.read(HEALTH, Conversation().hear(frame)[0][1])


def test_every_golden_frame_is_one_frame_and_checked_here() -> None:
    assert set(FRAMES["requests"]) == set(REQUESTS)
    assert set(FRAMES["answers"]) == set(ANSWERS) | set(ERRORS)
    for frame in [*FRAMES["requests"].values(), *FRAMES["answers"].values()]:
        framer = Framer(MOST_REQUEST_BYTES)
        framer.feed(bytes.fromhex(frame["hex"]))
        assert framer.next() is not None
        assert not framer.begun


def test_the_document_names_every_operation_field_and_code() -> None:
    text = (Path(messages.__file__).parent / "protocol.md").read_text()
    names = {field for _, request in REQUESTS.values() for field in request.__struct_fields__}
    names |= {field for answer, _, _ in ANSWERS.values() for field in answer.__struct_fields__}
    names |= {"bad_frame", "timeout", "overloaded", "unknown_op", "bad_request", "behind", "no_model", "internal"}
    names |= {*messages.OPS, "item", "score", "source", "code", "message", "topology", "moved", "partial"}
    assert {name for name in names if f"`{name}`" not in text and f'"{name}"' not in text} == set()
