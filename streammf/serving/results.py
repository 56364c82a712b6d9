"""What a client gets: plain values, read with care from a peer's map.

Rules of this file:
1. Nothing of a peer's is trusted: a missing field or a wrong type is a ProtocolError. An unknown field is ignored.
2. No dependency: neither the server's structs nor msgspec.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from streammf.errors import ProtocolError

T = TypeVar("T")


class Position(NamedTuple):
    """The next offset of one partition: everything before it is included."""

    topic: str
    partition: int
    next: int


class RankedItem(NamedTuple):
    """One item of a list; `source`: what put it there above all; `sources`: each that did and its part, if they are many."""

    item: str
    score: float
    source: str
    sources: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Ranking:
    """A list of items, best first; `reason`: why it is shorter than asked for or not personal."""

    items: tuple[RankedItem, ...]
    reason: str | None
    position: tuple[Position, ...]
    events: int

    def __iter__(self) -> Iterator[RankedItem]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a user thinks of an item; where one of them is not known, what is known of all."""

    value: float
    user_known: bool
    item_known: bool
    position: tuple[Position, ...]
    events: int


@dataclass(frozen=True, slots=True)
class Health:
    """How a worker is: `ok`, `stale` or `no_model`, and why. `age`: seconds since the trainer was heard of."""

    status: str
    ready: bool
    reason: str | None
    age: float | None
    trainer: str | None
    position: tuple[Position, ...]
    events: int


@dataclass(frozen=True, slots=True)
class Quality:
    """How good the model and each simple method are at foretelling events, measured before they are learned from."""

    serving: str
    """The method that answers come from: the model itself, or the simple method that the guard put in its place."""
    model: str
    """The method that is the model itself."""
    switched: int
    """How often the guard changed what serves."""
    measured: int
    """Events measured."""
    recent: float
    """How many events the recent means are worth."""
    measures: Mapping[str, Mapping[str, Mapping[str, float]]]
    """`recent` or `all` → method, `served` among them → measure → mean."""
    leads: Mapping[str, float]
    """Simple method → by how many standard errors its recent mean is better than the model's."""
    lists: Mapping[str, float]
    """Of the last lists of what serves: `coverage`, `long_tail`, `diversity`."""
    weights: Mapping[str, Mapping[str, float]]
    """Of the blend: `all`, `activity`, `gap` → feature → weight."""


@dataclass(frozen=True, slots=True)
class Info:
    """What a worker serves."""

    version: str
    protocol: int
    objective: str
    users: int
    items: int
    events: int
    position: tuple[Position, ...]
    clock: int
    rejected: int
    committed: int
    generation: int
    trainer_pid: int
    pid: int
    quality: Quality | None = None
    refused: int = 0


def field(answer: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """answer[name], which must be there and of this type (a float may be sent as an integer)."""
    value = answer.get(name)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise ProtocolError(f"an answer whose field {name!r} is {type(value).__name__}, not {kind.__name__}")
    return value


def optional(answer: Mapping[str, Any], name: str, kind: type[T]) -> T | None:
    """answer[name]; None where it is absent."""
    return None if answer.get(name) is None else field(answer, name, kind)


def position(answer: Mapping[str, Any]) -> tuple[Position, ...]:
    """The position that an answer includes."""
    found = []
    for entry in field(answer, "position", list):
        if type(entry) is not list or [type(part) for part in entry] != [str, int, int]:
            raise ProtocolError(f"an answer with a position that is none: {entry!r:.100}")
        found.append(Position(*entry))
    return tuple(found)


def ranking(answer: Mapping[str, Any]) -> Ranking:
    """Read the answer to recommend, similar_items and popular."""
    items = []
    for entry in field(answer, "items", list):
        if type(entry) is not dict:
            raise ProtocolError(f"an answer with an item that is none: {entry!r:.100}")
        sources = optional(entry, "sources", dict) or {}
        if any(type(name) is not str or type(share) is not float for name, share in sources.items()):
            raise ProtocolError(f"an answer with sources that are none: {sources!r:.100}")
        item, score, source = field(entry, "item", str), field(entry, "score", float), field(entry, "source", str)
        items.append(RankedItem(item, score, source, sources))
    return Ranking(tuple(items), optional(answer, "reason", str), position(answer), field(answer, "events", int))


def prediction(answer: Mapping[str, Any]) -> Prediction:
    """Read the answer to predict."""
    return Prediction(
        value=field(answer, "value", float),
        user_known=field(answer, "user_known", bool),
        item_known=field(answer, "item_known", bool),
        position=position(answer),
        events=field(answer, "events", int),
    )


def health(answer: Mapping[str, Any]) -> Health:
    """Read the answer to health."""
    return Health(
        status=field(answer, "status", str),
        ready=field(answer, "ready", bool),
        reason=optional(answer, "reason", str),
        age=optional(answer, "age", float),
        trainer=optional(answer, "trainer", str),
        position=position(answer) if "position" in answer else (),
        events=optional(answer, "events", int) or 0,
    )


def info(answer: Mapping[str, Any]) -> Info:
    """Read the answer to info."""
    numbers = (
        "protocol",
        "users",
        "items",
        "events",
        "clock",
        "rejected",
        "committed",
        "generation",
        "trainer_pid",
        "pid",
    )
    return Info(
        version=field(answer, "version", str),
        objective=field(answer, "objective", str),
        position=position(answer),
        quality=None if answer.get("quality") is None else quality(field(answer, "quality", dict)),
        refused=optional(answer, "refused", int) or 0,
        **{name: field(answer, name, int) for name in numbers},
    )


def quality(told: Mapping[str, Any]) -> Quality:
    """Read the field `quality` of the answer to info."""
    windows = field(told, "measures", dict)
    return Quality(
        serving=field(told, "serving", str),
        model=field(told, "model", str),
        switched=field(told, "switched", int),
        measured=field(told, "measured", int),
        recent=field(told, "recent", float),
        measures={window: tables(methods) for window, methods in windows.items()},
        leads=means(field(told, "leads", dict)),
        lists=means(field(told, "lists", dict)),
        weights=tables(field(told, "weights", dict)),
    )


def means(table: object) -> dict[str, float]:
    """A map of texts to numbers."""
    if type(table) is not dict or any(type(name) is not str for name in table):
        raise ProtocolError(f"an answer with a table that is none: {table!r:.100}")
    return {name: field(table, name, float) for name in table}


def tables(of_tables: object) -> dict[str, dict[str, float]]:
    """A map of texts to such maps."""
    if type(of_tables) is not dict or any(type(name) is not str for name in of_tables):
        raise ProtocolError(f"an answer with tables that are none: {of_tables!r:.100}")
    return {name: means(table) for name, table in of_tables.items()}
