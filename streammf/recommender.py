"""The library face: the same model in private memory, without a loop, a log or a socket.

Rules of this file:
1. What is learned here is what a trainer would have learned from partition 0 of a log that holds the same events.
2. Nothing wrong is let through: what a trainer would set aside is a ValueError here, and nothing of that call is learned.
3. A snapshot is the trainer's: either can read what the other wrote.
4. One lock: whatever several threads ask at once happens in some order, one after the other.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from streammf.errors import ConfigurationError, StoreError
from streammf.events.controls import MOST_CATEGORIES
from streammf.events.event import MOST_ID_BYTES, MOST_TIME, Attributes, Control
from streammf.learning import answers
from streammf.learning.arguments import frozen
from streammf.learning.compiling import ready
from streammf.learning.options import LearningOptions
from streammf.learning.standing import Standing, standing
from streammf.learning.tables import Array, Axis, State
from streammf.state import snapshots
from streammf.state.changes import Copier
from streammf.state.datafile import said
from streammf.state.header import Header
from streammf.state.ids import Ids
from streammf.state.memory import Memory
from streammf.state.meta import NO_LOG, Position, first_meta
from streammf.state.model import Model
from streammf.state.options import SETTINGS, Limits, StoreOptions
from streammf.state.recovery import recover
from streammf.state.store import Store
from streammf.state.view import View

NONE: Final[Array] = np.zeros(0, np.int32)
#: What stands for the log in snapshots.
OWN_LOG: Final = "recommender"
#: Events handed on at once: room is reserved for a whole batch, whatever it needs then.
AT_ONCE: Final = 50_000

Texts = Sequence[str] | NDArray[Any]
"""Ids or types, one an event."""


class Recommendation(NamedTuple):
    """One item of a list."""

    item: str
    score: float
    sources: dict[str, float]
    """What put it there, and its part in that: `popular`, `factors`, `neighbours`, `peers`, `timing`; they sum to 1."""


class Recommender:
    """A model to learn with and to ask, in this process alone. Safe to use from several threads: they take turns."""

    def __init__(self, objective: str = "ranking", **options: Any) -> None:  # noqa: ANN401 - checked against LearningOptions
        """`options` are the fields of LearningOptions. An unknown one, or one out of range, is a ConfigurationError."""
        try:
            self.options = msgspec.convert({"objective": objective, **options}, LearningOptions)
        except msgspec.ValidationError as error:
            raise ConfigurationError(f"Recommender: {error}") from error
        ready(self.options.part)
        limits, seed = Limits(), self.options.seed
        memory = Memory.anonymous(self.options.dimensions, seed, limits=limits)
        users = Ids.anonymous(seed, limits.users, SETTINGS[Axis.USER])
        items = Ids.anonymous(seed, limits.items, SETTINGS[Axis.ITEM])
        self._model = Model(self.options, memory, users, items)
        tables: dict[str, Any] = memory.arrays
        self._state = State(**{name: type(columns)(*map(frozen, columns)) for name, columns in tables.items()})
        self._turn = threading.Lock()
        self._told = 0
        """Control events so far: they take offsets as events do."""

    @property
    def events(self) -> int:
        """Events learned so far."""
        return self._model.events

    @property
    def refused(self) -> int:
        """Events refused so far: they named a user or an item beyond a cap, or not met often enough. See `options`."""
        return self._model.refused

    def learn(
        self,
        users: Texts,
        items: Texts,
        values: Sequence[float] | NDArray[np.float32] | None = None,
        timestamps: Sequence[int] | NDArray[np.int64] | None = None,
        types: Texts | None = None,
    ) -> None:
        """Apply events in order, one at a time; all sequences have the same length.

        `values`: ratings, or what clicks carry (1.0). `timestamps`: ms since the epoch; without them no time passes. `types`:
        names from `LearningOptions.types`; without them ratings or clicks, by the objective. Raises ValueError.
        """
        users, items = _texts("users", users), _texts("items", items)
        n = len(users)
        kind = "rating" if self.options.objective == "rating" else "click"
        names = [kind] * n if types is None else _texts("types", types)
        numbers = np.ones(n, np.float32) if values is None else np.asarray(values, np.float32)
        with self._turn:
            times = np.full(n, self._model.clock, np.int64) if timestamps is None else np.asarray(timestamps, np.int64)
            self._require_valid(users, items, names, numbers, times)
            self._learn(users, items, names, numbers, times)

    def _learn(
        self, users: list[str], items: list[str], names: list[str], numbers: NDArray[np.float32], times: NDArray[np.int64]
    ) -> None:
        n = len(users)
        memory = self._model.memory
        if not memory.counts[Axis.PARTITION]:
            memory.add_rows(Axis.PARTITION, np.zeros(1, np.uint64))
        first = self.events + self.refused + self._told
        offsets = np.arange(first, first + n, dtype=np.int64)
        partitions = np.zeros(n, np.int32)
        for start in range(0, n, AT_ONCE):
            part = slice(start, start + AT_ONCE)
            columns = users[part], items[part], names[part], numbers[part], times[part], partitions[part], offsets[part]
            self._model.learn(*columns)

    def describe_item(self, item: str, categories: Sequence[str] = (), hidden: bool = False) -> None:
        """Say what an item is, instead of what was said before. Without events of its own it starts from what is known of
        others of its categories, and is recommended; `hidden` keeps it off all lists.

        Raises ValueError, also where the model does not learn from attributes: `Recommender(..., attributes=4096)` does.
        """
        self._tell("item", item, Attributes(self._categories(categories), None, hidden))

    def describe_user(self, user: str, categories: Sequence[str] = ()) -> None:
        """The same of a user, who has segments perhaps."""
        self._tell("user", user, Attributes(self._categories(categories)))

    def _categories(self, categories: Sequence[str]) -> tuple[str, ...]:
        if not self.options.attributes:
            raise ValueError("this model does not learn from attributes: Recommender(..., attributes=4096) makes one that does")
        names = tuple(dict.fromkeys(_texts("categories", categories)))
        for name in names:
            _require_id(name)
        if len(names) > MOST_CATEGORIES:
            raise ValueError(f"{len(names)} categories are more than the {MOST_CATEGORIES} that one may have")
        return names

    def _tell(self, kind: str, name: str, attributes: Attributes) -> None:
        _require_id(name)
        with self._turn:
            self._model.tell([Control(kind, name, attributes, 0, self.events + self.refused + self._told, -1, 0)])
            self._told += 1

    def forget_user(self, user: str) -> bool:
        """Forget a user: the row, the id, and all that leads to it. False where nobody of that id is known.

        What is learned of that id later begins anew. Snapshots that were saved before still hold the user.
        """
        return self._forget(Axis.USER, user)

    def delete_item(self, item: str) -> bool:
        """The same of an item: it is recommended no more, and no history, list or neighbour names it."""
        return self._forget(Axis.ITEM, item)

    def _forget(self, axis: Axis, name: str) -> bool:
        _require_id(name)
        with self._turn:
            return self._model.forget_ids(axis, [name]) > 0

    def recommend(self, user: str, k: int = 10, exclude_seen: bool = True) -> list[Recommendation]:
        """The k best items for a user, the best first. Who is not known yet gets popular ones, and their sources say so.

        Raises ValueError where `user` is no id or `k` no number of items.
        """
        _require_id(user)
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 0:
            raise ValueError(f"k is an int of at least 0, got {k!r}")
        with self._turn:
            view = self._view()
            k = min(int(k), int(view.counts[Axis.ITEM]))
            if k == 0:
                return []
            row = view.user_row(user)
            exclude = answers.seen_items(view.state, row) if exclude_seen and row >= 0 else NONE
            ranked = answers.recommend(view.state, view.counts, self.options, row, NONE, k, exclude)
            names = view.item_names(ranked.rows)
        listed = zip(names, ranked.scores.tolist(), answers.sources(ranked), strict=True)
        return [Recommendation(item, score, sources) for item, score, sources in listed]

    def predict(self, user: str, item: str) -> float:
        """Rating: the expected rating, within the scale. Ranking: the score that `recommend` orders by. Ids may be unknown."""
        _require_id(user)
        _require_id(item)
        with self._turn:
            view = self._view()
            return float(answers.predict(view.state, view.counts, self.options, view.user_row(user), view.item_row(item)))

    def quality(self) -> Standing:
        """How good the model and each simple method are, measured on a share of the events before they were learned from."""
        with self._turn:
            return standing(self._view().state, self.options)

    def save(self, path: str | Path) -> None:
        """Write a snapshot, whole or not at all, to a path that does not exist yet. Raises StoreError."""
        model, path = self._model, Path(path)
        options = self.options
        meta = first_meta(
            options.objective, options.seed, options.dimensions, msgspec.to_builtins(options), model.memory.tables
        )
        with (
            self._turn,
            said("write the snapshot", path),
            TemporaryDirectory(dir=path.parent if path.parent.is_dir() else None) as folder,
            Store.open(StoreOptions(path=folder)) as store,
        ):
            following = self.events + self.refused + self._told
            position = [Position(OWN_LOG, 0, following, NO_LOG)] * int(model.memory.counts[Axis.PARTITION] > 0)
            meta = msgspec.structs.replace(meta, events=self.events, refused=self.refused, positions=position)
            store.commit(Copier(model.memory, model.users, model.items).take(), meta)
            snapshots.create(store, path)

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Read a snapshot: one that `save` wrote, or a trainer's. Raises StoreError where it is damaged or foreign."""
        with snapshots.opened(Path(path)) as store:
            meta = store.meta()
            if meta is None:
                raise StoreError(f"{path} holds no model")
            recommender = cls(**meta.choices)
            recover(store, recommender._model.memory, recommender._model.users, recommender._model.items)
            recommender._model.refused = meta.refused
            if [position.topic for position in meta.positions] == [OWN_LOG]:
                recommender._told = meta.positions[0].next - meta.events - meta.refused
        return recommender

    def _view(self) -> View:
        """The model as queries see it."""
        memory, users, items = self._model.memory, self._model.users, self._model.items
        header = Header(
            status="learning",
            counts=memory.counts.tolist(),
            vacant=memory.vacancies,
            user_level=users.level,
            item_level=items.level,
        )
        return View(header, self.options, self._state, users, items)

    def _require_valid(
        self,
        users: list[str],
        items: list[str],
        types: list[str],
        values: NDArray[np.float32],
        times: NDArray[np.int64],
    ) -> None:
        lengths = [len(column) for column in (users, items, values, times, types)]
        if len(set(lengths)) > 1:
            raise ValueError(f"users, items, values, timestamps, types have {lengths} entries: they must be as many")
        for name in {*users, *items}:
            _require_id(name)
        if unknown := set(types) - set(self.options.types):
            raise ValueError(f"unknown event types {sorted(unknown)}: known are {sorted(self.options.types)}")
        least, most = self._model.value_range
        if (wrong := ~((values >= least) & (values <= most))).any():
            raise ValueError(f"values are finite and within {least:g}..{most:g}, got {values[wrong][0]}")
        if len(times) and (int(times.min()) < 0 or int(times.max()) > MOST_TIME):
            raise ValueError(f"timestamps are ms since the epoch, 0..{MOST_TIME}, got {times.min()}..{times.max()}")


def _texts(name: str, given: Texts) -> list[str]:
    """As a list, once, whatever kind of sequence it is; a text is a sequence of letters, which nobody means."""
    if isinstance(given, str):
        raise ValueError(f"{name} is a sequence of str, one an event, not the text {given!r}")
    texts = given.tolist() if isinstance(given, np.ndarray) else list(given)
    for text in texts:
        if not isinstance(text, str):
            raise ValueError(f"{name} are str, got {text!r}")
    return texts


def _require_id(name: str) -> None:
    """ValueError unless this is an id."""
    if not isinstance(name, str):
        raise ValueError(f"ids are str, got {name!r}")
    size = len(name.encode(errors="surrogatepass"))
    if not 1 <= size <= MOST_ID_BYTES or "\0" in name or any("\ud800" <= letter <= "\udfff" for letter in name):
        raise ValueError(f"ids are str of 1..{MOST_ID_BYTES} bytes of UTF-8 without NUL, got {name!r}")
