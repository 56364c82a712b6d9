"""A model tried on a whole log: each event of the sample is first foretold by every method, then learned from.

Rules of this file:
1. Which events are tried is a pure function of the seed, the log's length and `every`: a run can be repeated to the bit.
2. With a holdout the log is learned up to its part and tried from there on without learning, so that what is tried is as far
   from what was learned as a model is that is trained once and then served.
3. After each batch some of the events that were just learned from are tried again: what the model makes of what it knows.
"""

import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streammf.evaluation.triers import MOST, Found, Trier, trier
from streammf.evaluation.whole_log import Told, WholeLog
from streammf.learning.arguments import Batch
from streammf.learning.options import LearningOptions
from streammf.learning.trial import SKIP, TRY

#: One in so many of the tried events is tried again once it is learned from, and of a batch at most its part of so many.
AGAIN_EVERY: Final = 4
MOST_AGAIN: Final = 300
#: What trying may cost, as a part of what learning costs: the kernels, without reading the log.
BUDGET: Final = 0.35
#: But so many events are tried of any log that has them: it is learned in a fraction of a second then.
LEAST_TRIED: Final = 800
#: ns: what learning from an event costs, and a trial for each item of the catalogue, on one core: with the blend, and without.
LEARNING_NS: Final = {True: 8_500, False: 1_900}
TRIAL_NS: Final = {True: 65, False: 9}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done with a log."""

    every: int | None = None
    """One event in so many is tried. None: as many as cost no more than half of what learning costs."""
    holdout: float = 0.0
    """The last part of the log, which is tried and not learned from. 0: every event is tried, then learned from."""
    part: tuple[float, float] | None = None
    """Try only what stands in this part of the log, and end behind it; nothing is tried again."""
    learn_only: bool = False
    """Try nothing: what learning alone costs."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What was found. m events were tried, l lists looked at; places are of the log, in order."""

    objective: str
    methods: tuple[str, ...]
    every: int
    at: NDArray[np.int64]
    """(m,) places."""
    score: NDArray[np.float64]
    """(m, methods): see triers.Found."""
    listed_at: NDArray[np.int64]
    """(l,) places."""
    listed: NDArray[np.int32]
    """(l, LISTED)."""
    again_at: NDArray[np.int64]
    """(a,) places of the events that were tried again after they were learned from."""
    again: NDArray[np.float64]
    """(a,) the score of what serves, then."""
    learned: int
    """Events that were learned from."""
    seconds: float


def default_every(log: WholeLog, options: LearningOptions) -> int:
    """One in how many events can be tried within the budget. Ratings are foretold anyway."""
    if options.objective == "rating":
        return 1
    blends = options.blends
    most = max(1, int((log.weights(options) > 0).sum()) // LEAST_TRIED)
    cost = log.items.count * TRIAL_NS[blends] * (1 + 1 / AGAIN_EVERY)
    return min(most, max(1, int(np.ceil(cost / (BUDGET * LEARNING_NS[blends])))))


def chosen(log: WholeLog, options: LearningOptions, every: int) -> NDArray[np.uint8]:
    """(n,) TRY for the events of the sample, SKIP for the others. An event that teaches nothing is never tried."""
    drawn = np.random.default_rng(options.seed).random(len(log)) * every < 1.0
    return np.where(drawn & (log.weights(options) > 0), TRY, SKIP).astype(np.uint8)


def run(log: WholeLog, options: LearningOptions, plan: Plan, progress: Callable[[int], None] = lambda done: None) -> Tried:
    """Try and learn the whole log. `progress(events done)`."""
    every = plan.every or default_every(log, options)
    sample = np.zeros(len(log), np.uint8) if plan.learn_only else chosen(log, options, every)
    split = len(log) - round(plan.holdout * len(log))
    end = len(log)
    if plan.part is not None:
        sample[: round(plan.part[0] * len(log))] = SKIP
        end = round(plan.part[1] * len(log))
    if plan.holdout:
        sample[:split] = SKIP
        sample[split:][~_first_of_pair(log, split)] = SKIP
    model = trier(log, options)
    whole = log.batch(options)
    told = _told(log, options)
    edges = sorted({split, *told})
    kept = _Kept(-(-end // MOST))
    began = time.perf_counter()
    for first in range(0, end, MOST):
        for start, stop in _parts(first, min(first + MOST, end), edges):
            for one in told.get(start, []):
                model.tell(one.control, one.row)
            batch, flags = _cut(whole, start, stop), sample[start:stop]
            kept.take(start, flags, model(batch, flags, learn=start < split))
            if start < split and not plan.learn_only and plan.part is None:
                kept.again(start, batch, flags, model)
        progress(min(first + MOST, end))
    return kept.whole(options.objective, model.methods, every, split, time.perf_counter() - began)


def _first_of_pair(log: WholeLog, split: int) -> NDArray[np.bool_]:
    """Of the events from `split` on: the first of each user and item. Those that follow would be new to nobody."""
    pairs = log.user[split:].astype(np.int64) * log.items.count + log.item[split:]
    first = np.zeros(len(pairs), np.bool_)
    first[np.unique(pairs, return_index=True)[1]] = True
    return first


def _told(log: WholeLog, options: LearningOptions) -> dict[int, list[Told]]:
    """What is said of items and users, by how many events stand before it. Nothing where attributes are not learned from."""
    told: dict[int, list[Told]] = {}
    for one in log.told if options.attributes else []:
        told.setdefault(one.place, []).append(one)
    return told


def _parts(first: int, last: int, edges: Sequence[int]) -> list[tuple[int, int]]:
    """first..last - 1, in parts that begin at the edges, ascending, that stand inside."""
    return [*pairwise((first, *edges[bisect_right(edges, first) : bisect_left(edges, last)], last))]


def _cut(whole: Batch, first: int, last: int) -> Batch:
    return Batch(*(column[first:last] for column in whole))


class _Kept:
    """Columns of what was found so far."""

    def __init__(self, batches: int) -> None:
        self._most_again = max(MOST_AGAIN // batches, 1)
        self._at: list[NDArray[np.int64]] = []
        self._score: list[NDArray[np.float64]] = []
        self._listed_at: list[NDArray[np.int64]] = []
        self._listed: list[NDArray[np.int32]] = []
        self._again_at: list[NDArray[np.int64]] = []
        self._again: list[NDArray[np.float64]] = []

    def take(self, start: int, flags: NDArray[np.uint8], found: Found) -> None:
        """Note what a batch from place `start` on gave."""
        at = np.flatnonzero((flags != SKIP) & (found.score[:, 0] >= 0))
        self._at.append(at + start)
        self._score.append(found.score[at].copy())
        self._listed_at.append(found.listed_at + start)
        self._listed.append(found.listed.copy())

    def again(self, start: int, batch: Batch, flags: NDArray[np.uint8], model: Trier) -> None:
        """Try some of what was just learned from once more."""
        places = np.flatnonzero(flags != SKIP)
        places = places[:: max(AGAIN_EVERY, -(-len(places) // self._most_again))]
        if len(places):
            again = Batch(*(np.ascontiguousarray(column[places]) for column in batch))
            self._again_at.append(places + start)
            self._again.append(model.again(again).copy())

    def whole(self, objective: str, methods: tuple[str, ...], every: int, learned: int, seconds: float) -> Tried:
        """All of it."""
        return Tried(
            objective, methods, every, np.concatenate(self._at), np.concatenate(self._score),
            np.concatenate(self._listed_at), np.concatenate(self._listed),
            np.concatenate([np.empty(0, np.int64), *self._again_at]), np.concatenate([np.empty(0), *self._again]),
            learned, seconds,
        )  # fmt: skip
