"""Models that learn and forget, and stores that keep them: for tests of forgetting."""

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from streammf.events.event import Rejected
from streammf.learning.compiling import ready
from streammf.learning.options import LearningOptions
from streammf.learning.tables import Axis
from streammf.state.changes import Copier
from streammf.state.digest import digest_of
from streammf.state.forgotten import Erasure, erased
from streammf.state.ids import Ids
from streammf.state.memory import Memory
from streammf.state.meta import Meta, Position, first_meta
from streammf.state.model import Model
from streammf.state.options import Limits
from streammf.state.recovery import recover
from streammf.state.store import Store

OPTIONS = LearningOptions(factors=4, history=8, recent=60, neighbours=6, peers=4)
LIMITS = Limits(users=10_000, items=10_000)


def made() -> Model:
    """One that has learned nothing."""
    ready(OPTIONS.part)
    memory = Memory.anonymous(OPTIONS.dimensions, OPTIONS.seed, limits=LIMITS)
    users, items = (Ids.anonymous(OPTIONS.seed, 10_000, setting) for setting in ("live.most_users", "live.most_items"))
    return Model(OPTIONS, memory, users, items)


def user(n: int) -> str:
    return f"{n:032}"


def learn(model: Model, seed: int, events: int = 300, size: int = 1000) -> None:
    """Events of 60 users, whose ids are 32 letters, on 40 items."""
    chance = np.random.default_rng(seed)
    users = [user(n) for n in chance.integers(0, 60, events)]
    learn_of(model, users, [f"item-{n}" for n in chance.integers(0, 40, events)], size)


def learn_of(model: Model, users: Sequence[str], items: Sequence[str], size: int = 1000) -> None:
    """Clicks, one a second, of partition 0."""
    if not model.memory.counts[Axis.PARTITION]:
        model.memory.add_rows(Axis.PARTITION, np.zeros(1, np.uint64))
    first, events = model.events, len(users)
    for at in range(0, events, size):
        n = len(users[at : at + size])
        offsets = np.arange(first + at, first + at + n, dtype=np.int64)
        numbers = np.ones(n, np.float32), offsets * 1000 + 10**12, np.zeros(n, np.int32), offsets
        model.learn(users[at : at + size], items[at : at + size], ["click"] * n, *numbers)


def position(model: Model) -> list[Position]:
    return [Position("events", 0, model.events, "an id")]


def first() -> Meta:
    options: dict[str, Any] = msgspec.to_builtins(OPTIONS)
    return first_meta("ranking", OPTIONS.seed, OPTIONS.dimensions, options, made().memory.tables)


class Kept:
    """A model and its store: the trainer's part in short."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.model = made()
        self.meta = recover(store, self.model.memory, self.model.users, self.model.items) or first()
        self.copier = Copier(self.model.memory, self.model.users, self.model.items, self.meta.counts)
        self._erasures: list[Erasure] = []

    def forget(self, axis: Axis, *ids: str) -> None:
        self.model.forget_ids(axis, ids)
        self._erasures += [Erasure(axis, one, "events", 0, "an id", self.model.events) for one in ids]

    def commit(self, rejected: Sequence[Rejected] = ()) -> Meta:
        of = msgspec.structs.replace(self.meta, positions=position(self.model), events=self.model.events)
        told = erased(self._erasures, self.store.key)
        self.meta = self.store.commit(self.copier.take(), of, rejected, erased=told)
        self._erasures.clear()
        return self.meta


def number(model: Model) -> str:
    """The digest, from memory."""
    return digest_of(model.memory, model.users, model.items, positions=position(model))


def in_files(folder: Path, text: str | bytes) -> list[str]:
    """The names of the files of a folder, and of those in it, that hold a text."""
    sought = text.encode() if isinstance(text, str) else text
    return [str(path) for path in folder.rglob("*") if path.is_file() and any(sought in part for part in parts(path))]


def parts(path: Path) -> Iterator[bytes]:
    """What a file holds, without its holes: live memory is addresses for far more than there is."""
    with path.open("rb") as file:
        end = 0
        while True:
            try:
                begin = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole
                    return
                raise
            end = os.lseek(file.fileno(), begin, os.SEEK_HOLE)
            yield os.pread(file.fileno(), end - begin, begin)
