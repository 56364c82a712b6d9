"""How every event of a log is ranked just before it is learned from: by the blend, by simple methods, on answered lists."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scripts.benchmarks.data import Events
from scripts.benchmarks.kernels import empty_model, registered
from streammf.learning import answers
from streammf.learning.arguments import Batch, frozen
from streammf.learning.blend_measures import METHODS, rank_by_all
from streammf.learning.learner import learner
from streammf.learning.options import LearningOptions
from streammf.learning.tables import FEATURES, Axis, State
from streammf.state.model import Model

K: Final = 10
ALL: Final = (1 << FEATURES) - 1
#: Events between two words of progress.
SLICE: Final = 1_000
NONE: Final = np.empty(0, np.int32)

Progress = Callable[[int], None]
"""(events done since the last word)."""


def prepared(events: Events, options: LearningOptions) -> tuple[Model, Batch]:
    """A model that knows all ids and has learned nothing, and the events as rows."""
    model = empty_model(options)
    batch = registered(model, events)
    model.memory.reserve(Axis.SEEN, len(events))
    return model, batch


def part(batch: Batch, first: int, last: int) -> Batch:
    """Events first .. last - 1."""
    return Batch(*(column[first:last] for column in batch))


def counted_of(events: int, share: float = 1.0) -> NDArray[np.bool_]:
    """(events,) a seeded sample of those after the first tenth."""
    sample = np.random.default_rng(7).random(events) < share
    sample[: events // 10] = False
    return sample


def ranked(
    events: Events, options: LearningOptions, sample: NDArray[np.bool_], progress: Progress, features: int = ALL
) -> NDArray[np.float64]:
    """(events, METHODS): how many items stand before the event's; -1: not counted. features: bits of what the blend weighs."""
    model, batch = prepared(events, options)
    memory, ranks = model.memory, np.empty((len(events), len(METHODS)))
    state = cut(memory.state, int(memory.counts[Axis.ITEM]))
    for first in range(0, len(events), SLICE):
        some, chosen = part(batch, first, first + SLICE), sample[first : first + SLICE]
        ranks[first : first + SLICE] = rank_by_all(state, memory.marks, memory.counts, some, options, chosen, features)
        progress(len(some.user))
    return ranks


def cut(state: State, items: int) -> State:
    """The state with no more item rows than there are: what ranks every item goes by the length of the table."""
    return state._replace(items=type(state.items)(*(column[:items] for column in state.items)))


def answered(
    events: Events, options: LearningOptions, sample: NDArray[np.bool_], progress: Progress
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(events,) whether the list that a query would have got held the event's item, and whether that list was the blend's."""
    model, batch = prepared(events, options)
    memory, learn = model.memory, learner(options)
    state, done = memory.state, 0
    held, personal = np.zeros(len(events), np.bool_), np.zeros(len(events), np.bool_)
    reading = State._make(type(table)(*map(frozen, table)) for table in state)
    for n in np.flatnonzero(sample).tolist():
        learn(state, memory.marks, memory.counts, part(batch, done, n))
        progress(n - done)
        done = n
        user = int(batch.user[n])
        found = answers.recommend(reading, memory.counts, options, user, NONE, K, answers.seen_items(reading, user))
        personal[n] = found.personal
        held[n] = batch.item[n] in found.rows
    progress(len(events) - done)
    return held, personal
