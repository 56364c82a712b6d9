"""What comes over the socket: requests to the server, and answers to the client."""

from itertools import pairwise
from typing import Any, Final

import msgpack

from scripts.fuzzing.target import Target
from streammf.errors import ProtocolError, RequestError, StreamMFError
from streammf.serving import conversation, messages
from streammf.serving.conversation import Conversation
from streammf.serving.protocol import Framer, framed

#: Bytes that a frame may have here: so that inputs reach beyond it.
MOST: Final = 4096
REQUESTS: Final = (
    {"id": 7, "op": "recommend", "user": "ann", "k": 5, "exclude_seen": False},
    {"id": "x", "op": "recommend", "items": ["a", "b"], "at_least": [["events", 0, 7]], "wait": 0.5},
    {"id": 2**64 - 1, "op": "similar_items", "item": "a"},
    {"id": -1, "op": "popular", "k": 10_000},
    {"id": 1, "op": "predict", "user": "ann", "item": "a"},
    {"id": 1, "op": "health"},
    {"id": 1, "op": "info"},
)
POSITION: Final = [["events", 0, 7]]
ANSWERS: Final = (
    {
        "id": 1,
        "ok": True,
        "position": POSITION,
        "events": 7,
        "items": [{"item": "a", "score": 1.5, "source": "x"}],
        "reason": "r",
    },
    {"id": 1, "ok": True, "position": POSITION, "events": 7, "value": 2.5, "user_known": True, "item_known": False},
    {"id": 1, "ok": True, "status": "ok", "ready": True, "age": 0.5, "position": POSITION, "events": 3},
    {"id": 1, "ok": False, "error": {"code": "no_model", "message": "m"}},
    {"id": None, "ok": False, "error": {"code": "bad_frame", "message": "m"}},
)
CALLS: Final = (
    conversation.recommend("ann", None, 5, True),
    conversation.predict("ann", "a"),
    conversation.HEALTH,
    conversation.INFO,
)


def _pieces(data: bytes) -> list[bytes]:
    """As a network may cut them: after every seventh byte, or not at all."""
    edges = [*range(0, len(data), 7), len(data)] if len(data) % 2 else [0, len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def fed_server(data: bytes) -> str:
    """Frames of requests, as a connection brings them; the first that ends it is the last that is looked at."""
    framer, found = Framer(MOST), "nothing whole"
    try:
        for piece in _pieces(data):
            framer.feed(piece)
            while (body := framer.next()) is not None:
                assert 0 < len(body) <= MOST
                found = _answered(body)
    except ProtocolError:
        return "protocol error"
    return found


def _answered(body: bytes) -> str:
    try:
        return type(messages.decode(body)).__name__
    except messages.Misfit as misfit:
        messages.refusal(misfit.id, misfit.code, str(misfit))  # it can be answered
        return misfit.code


def fed_client(data: bytes) -> str:
    """Answers to a client that has asked."""
    client, found = Conversation(), "nothing whole"
    for call in CALLS:
        client.ask(call)
    try:
        for piece in _pieces(data):
            for number, answer in client.hear(piece):
                for call in CALLS:
                    found = _understood(call, answer) or found
                assert type(number) is int
    except ConnectionRefusedError:
        return "refused"
    except StreamMFError as error:
        return type(error).__name__
    return found


def _understood(call: conversation.Call[Any], answer: dict[str, Any]) -> str:
    try:
        return type(conversation.read(call, answer)).__name__
    except (ProtocolError, RequestError):
        return ""
    except StreamMFError as error:
        return type(error).__name__


def _framed(body: object) -> bytes:
    return framed(msgpack.packb(body))


WORDS: Final = (
    b"\xa2id",
    b"\xa2op",
    b"\xa4user",
    b"\xa5items",
    b"\xc0",
    b"\xc1",
    b"\xdf\xff\xff\xff\xff",
    b"\xdd\xff\xff\xff\xff",
    b"\0\0\0\x07",
)
SERVER: Final = Target(
    "requests", (*map(_framed, REQUESTS), b"".join(map(_framed, REQUESTS)), framed(b"\x81\xa1x" * 900)), fed_server, WORDS
)
CLIENT: Final = Target("answers", (*map(_framed, ANSWERS), b"".join(map(_framed, ANSWERS[:4]))), fed_client, WORDS)
