"""Requests and answers as the server reads and writes them: typed, with msgspec. (The client uses `msgpack`.)

Rules of this file:
1. Types carry the bounds; what does not fit its type never reaches the model.
2. A body without a usable id is a ProtocolError (the connection ends); any other misfit is a RequestError.
3. Three exceptions mean "does not decode": msgspec's, UnicodeDecodeError (bad UTF-8) and RecursionError (depth).
"""

from typing import Annotated, Final, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

from streammf.errors import ProtocolError, RequestError
from streammf.events.event import Id
from streammf.serving.protocol import MOST_WAIT_SECONDS, VERSION, WAIT_SECONDS, framed

Position = tuple[str, int, int]
"""Topic, partition, next offset."""
RequestId = int | str
Count = Annotated[int, Meta(ge=1, le=10_000)]
Natural = Annotated[int, Meta(ge=0)]


class Request(msgspec.Struct, forbid_unknown_fields=True, tag_field="op", gc=False):
    """What every request has."""

    id: RequestId


class Query(Request, kw_only=True):
    """A request to the model."""

    at_least: Annotated[list[tuple[str, Natural, Natural]], Meta(max_length=1000)] = []
    wait: Annotated[float, Meta(ge=0, le=MOST_WAIT_SECONDS)] = WAIT_SECONDS


class Recommend(Query, tag="recommend", kw_only=True):
    """Items for a user, or for someone who has had `items`."""

    user: Id | None = None
    items: Annotated[list[Id], Meta(min_length=1, max_length=1000)] | None = None
    k: Count = 10
    exclude_seen: bool = True

    def __post_init__(self) -> None:
        if (self.user is None) == (self.items is None):
            raise ValueError("recommend takes either `user` or `items`")


class SimilarItems(Query, tag="similar_items", kw_only=True):
    """Items like an item."""

    item: Id
    k: Count = 10


class Popular(Query, tag="popular", kw_only=True):
    """Items that most people like now."""

    k: Count = 10


class Predict(Query, tag="predict", kw_only=True):
    """What a user thinks of an item."""

    user: Id
    item: Id


class Health(Request, tag="health"):
    """How the server is."""


class Info(Request, tag="info"):
    """What the server has learned."""


class Answer(msgspec.Struct, gc=False):
    """What every answer has."""

    id: RequestId | None
    ok: bool = True


class ModelAnswer(Answer, kw_only=True):
    """An answer that comes from the model."""

    position: list[Position]
    events: int


class RankedItem(msgspec.Struct, gc=False):
    """One item of a list."""

    item: str
    score: float
    source: str
    sources: dict[str, float] | UnsetType = UNSET


class RankingAnswer(ModelAnswer, kw_only=True):
    """A list, best first."""

    items: list[RankedItem]
    reason: str | UnsetType = UNSET


class PredictAnswer(ModelAnswer, kw_only=True):
    """A value."""

    value: float
    user_known: bool
    item_known: bool


class HealthAnswer(Answer, kw_only=True):
    """How the server is. What is unset is not known without a model."""

    status: str
    ready: bool
    reason: str | UnsetType = UNSET
    age: float | UnsetType = UNSET
    trainer: str | UnsetType = UNSET
    position: list[Position] | UnsetType = UNSET
    events: int | UnsetType = UNSET


class Quality(msgspec.Struct, gc=False):
    """How good the model and each simple method are: `learning.standing` says what the fields mean."""

    serving: str
    model: str
    switched: int
    measured: int
    recent: float
    measures: dict[str, dict[str, dict[str, float]]]
    leads: dict[str, float]
    lists: dict[str, float]
    weights: dict[str, dict[str, float]]


class InfoAnswer(ModelAnswer, kw_only=True):
    """What the server has learned."""

    version: str
    protocol: int = VERSION
    objective: str
    users: int
    items: int
    clock: int
    rejected: int
    refused: int
    committed: int
    generation: int
    trainer_pid: int
    pid: int
    quality: Quality


class Fault(msgspec.Struct, gc=False):
    """What went wrong."""

    code: str
    message: str


class ErrorAnswer(Answer, kw_only=True):
    """An answer that is none. `id` None: it concerns the connection, and is the last one on it."""

    ok: bool = False
    error: Fault


AnyQuery = Recommend | SimilarItems | Popular | Predict
AnyRequest = AnyQuery | Health | Info
OPS: Final = tuple(str(kind.__struct_config__.tag) for kind in get_args(AnyRequest))

_REFUSALS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Addressed(msgspec.Struct):
    id: RequestId


class _Named(msgspec.Struct):
    op: str


_request: Final = msgspec.msgpack.Decoder(AnyRequest)
_addressed: Final = msgspec.msgpack.Decoder(_Addressed)
_named: Final = msgspec.msgpack.Decoder(_Named)
_answer: Final = msgspec.msgpack.Encoder()


class Misfit(RequestError):
    """A request that can be answered, with an error: its id is known."""

    def __init__(self, request_id: RequestId, code: str, message: str) -> None:
        super().__init__(code, message)
        self.id = request_id


def decode(body: bytes) -> AnyRequest:
    """The request in a frame. Raises Misfit, or ProtocolError where the id cannot be read."""
    try:
        request: AnyRequest = _request.decode(body)
        return request
    except _REFUSALS as refusal:
        raise _misfit(body, str(refusal)) from None


def _misfit(body: bytes, refusal: str) -> Misfit | ProtocolError:
    try:
        request_id = _addressed.decode(body).id
    except _REFUSALS as error:
        return ProtocolError(f"not a request: {error}")
    try:
        op = _named.decode(body).op
    except _REFUSALS:
        return Misfit(request_id, "bad_request", refusal)
    if op not in OPS:
        return Misfit(request_id, "unknown_op", f"unknown op {op[:64]!r}; known are {', '.join(OPS)}")
    return Misfit(request_id, "bad_request", _in_words(refusal))


def _in_words(refusal: str) -> str:
    """msgspec's message with the field first: "k: expected `int` <= 10000"."""
    expected, _, place = refusal.partition(" - at `$.")
    return f"{place.removesuffix('`')}: {expected[:1].lower()}{expected[1:]}" if place else refusal


def encode(answer: Answer) -> bytes:
    """The frame of an answer."""
    return framed(_answer.encode(answer))


def refusal(request_id: RequestId | None, code: str, message: str) -> bytes:
    """The frame of an error answer."""
    return encode(ErrorAnswer(request_id, error=Fault(code, message)))
