"""Tries ratings: what serves, biases alone, the item's mean and the mean of all.

Rules of this file:
1. What serves is asked as everybody asks it: `foretell_ratings` where it learns at once, else `answers.predict`.
2. Biases alone are a model of their own, that learns nothing but biases: those of the whole model leave to the vectors what
   these explain.
3. A mean is that of the ratings before, and of PRIOR ratings at the mean of all.
"""

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from streammf.evaluation.earlier import earlier_counts, earlier_sums
from streammf.evaluation.triers import Found, empty_memory
from streammf.evaluation.whole_log import WholeLog
from streammf.events.event import Control
from streammf.learning import answers
from streammf.learning.arguments import Batch, frozen
from streammf.learning.measures import foretell_ratings
from streammf.learning.options import LearningOptions
from streammf.learning.tables import Array, Axis, State
from streammf.learning.trial import LISTED
from streammf.state.describing import describe
from streammf.state.memory import Memory

METHODS: Final = ("served", "biases", "item's mean", "mean of all")
PRIOR: Final = 5.0
#: People whose lists are looked at after each batch.
LISTS: Final = 3


class RatingTrier:
    """See triers.Trier."""

    methods: tuple[str, ...] = METHODS

    def __init__(self, log: WholeLog, options: LearningOptions) -> None:
        plain = msgspec.structs.replace(options, stack=False, factors=1, history=0, rehearsals=0, user_rate=0.0, item_rate=0.0)
        self._models = [(one, empty_memory(log, one)) for one in (options, plain)]
        self._readings = [reading(memory) for _, memory in self._models]
        self._sums, self._counts = np.zeros(log.items.count), np.zeros(log.items.count)
        self._middle = sum(options.scale) / 2

    def __call__(self, batch: Batch, sample: NDArray[np.uint8], *, learn: bool) -> Found:
        """See Trier."""
        score = np.full((len(batch.user), len(METHODS)), np.nan)
        chosen = np.flatnonzero(sample)
        score[chosen, 2:] = self._means(batch, learn=learn)[chosen]
        for column, (options, memory) in enumerate(self._models):
            if learn:
                memory.reserve(Axis.SEEN, int(memory.counts[Axis.SEEN]) + len(batch.user))
                foretold = foretell_ratings(memory.state, memory.marks, memory.counts, batch, options)
                score[chosen, column] = foretold[chosen]
            else:
                score[chosen, column] = self._predicted(column, batch, chosen)
        listed_at, listed = self._lists(batch)
        return Found(score, listed_at, listed)

    def tell(self, control: Control, row: int) -> None:
        """See Trier."""
        for options, memory in self._models:
            describe(memory, options, control, row)

    def again(self, batch: Batch) -> NDArray[np.float64]:
        """See triers.Trier."""
        return self._predicted(0, batch, np.arange(len(batch.user)))

    def _predicted(self, model: int, batch: Batch, chosen: Array) -> NDArray[np.float64]:
        """What a model answers for these events of the batch."""
        (options, memory), state = self._models[model], self._readings[model]
        pairs = zip(batch.user[chosen].tolist(), batch.item[chosen].tolist(), strict=True)
        return np.array([answers.predict(state, memory.counts, options, user, item) for user, item in pairs])

    def _means(self, batch: Batch, *, learn: bool) -> NDArray[np.float64]:
        """(n, 2): the item's mean and the mean of all before each event; before the batch, where it is not learned."""
        teaches = (batch.weight > 0) & bool(learn)
        values = np.where(teaches, batch.value, 0.0).astype(np.float64)
        all_sum = self._sums.sum() + np.concatenate([[0.0], np.cumsum(values)[:-1]])
        all_count = self._counts.sum() + np.concatenate([[0.0], np.cumsum(teaches)[:-1]])
        mean = (all_sum + self._middle) / (all_count + 1.0)
        sums = self._sums[batch.item] + earlier_sums(batch.item, values)
        counts = self._counts[batch.item] + earlier_sums(batch.item, teaches.astype(np.float64))
        np.add.at(self._sums, batch.item, values)
        np.add.at(self._counts, batch.item, teaches)
        return np.stack([(sums + PRIOR * mean) / (counts + PRIOR), mean], 1)

    def _lists(self, batch: Batch) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """What the last people of the batch would be recommended after it, each person once."""
        (options, memory), state = self._models[0], self._readings[0]
        last = earlier_counts(batch.user[::-1])[::-1] == 0
        at = np.flatnonzero(last)[-LISTS:]
        asked = []
        for user in batch.user[at].tolist():
            seen = answers.seen_items(state, user) if state.users.events[user] else answers.NOTHING
            asked.append(answers.Asked(user, answers.NOTHING, LISTED, seen))
        listed = np.full((len(at), LISTED), -1, np.int32)
        for row, ranked in zip(listed, answers.recommend_many(state, memory.counts, options, asked), strict=True):
            row[: len(ranked.rows)] = ranked.rows
        return at, listed


def reading(memory: Memory) -> State:
    """The state as answers take it."""
    return State._make(type(table)(*map(frozen, table)) for table in memory.state)
