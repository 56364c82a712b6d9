"""A log whose tastes and catalogue turn over: what is learned follows. One of baskets: order within them is worth nothing."""

from typing import Any

import numpy as np
import pytest

from streammf.learning.arguments import Batch
from streammf.learning.learner import learner
from streammf.learning.methods import MODEL
from streammf.learning.options import LearningOptions
from streammf.learning.tables import MEASURES, METHODS, Array
from tests.learning.arrays import batch, model, part
from tests.learning.worlds import turning

EVENTS, TURNS, STEP = 60_000, 3, 1_000
#: N: events after a change within which recall is back at 90 % of its level before the next one.
BACK = 12_000
#: ms between events: a change every seven months.
GAP = 900_000
#: All forgetting off.
WITHOUT: dict[str, Any] = dict.fromkeys(
    (f"{what}_half_life" for what in ("neighbour", "solved", "user", "late", "popularity")), 0.0
)


def course(log: Batch, options: LearningOptions, step: int = STEP) -> tuple[Array, Array]:
    """recall@10 of the model over each `step` events, and how many were counted."""
    made = model(options, int(log.user.max()) + 1, int(log.item.max()) + 1, len(log.user))
    learn, measures = learner(options), made.state.measures
    hits, counted = [], []
    for first in range(0, len(log.user), step):
        before, many = measures.total[0, MODEL * MEASURES], int(measures.counted[0])
        learn(*made, part(log, first, first + step))
        hits.append(measures.total[0, MODEL * MEASURES] - before)
        counted.append(int(measures.counted[0]) - many)
    assert measures.total.shape[1] == METHODS * MEASURES
    return np.array(hits), np.array(counted)


def back_after(hits: Array, counted: Array) -> list[int]:
    """For each change, events until recall over two steps is 90 % of what it is over the last third before the next change."""
    found = []
    steps = EVENTS // TURNS // STEP
    for turn in range(1, TURNS):
        own = slice(turn * steps, (turn + 1) * steps)
        recall = hits[own] / counted[own]
        level = hits[own][-steps // 3 :].sum() / counted[own][-steps // 3 :].sum()
        smooth = np.convolve(recall, [0.5, 0.5], "valid")
        back = np.flatnonzero(smooth >= 0.9 * level)
        found.append((int(back[0]) + 2) * STEP if len(back) else EVENTS)
    return found


def test_after_a_change_of_tastes_and_catalogue_recall_is_soon_back() -> None:
    log = turning(seed=3, events=EVENTS, turns=TURNS, gap=GAP)
    fading, keeping = (
        course(log, LearningOptions(blend=True, factors=16, measure_every=1, **choice)) for choice in ({}, WITHOUT)
    )
    assert max(back_after(*fading)) <= BACK
    late = slice(EVENTS // TURNS // STEP, None)
    assert fading[0][late].sum() >= keeping[0][late].sum()


def baskets(seed: int, events: int = 20_000, size: int = 5, people: int = 800, items: int = 400, kinds: int = 8) -> Batch:
    """People who buy several things of one kind at once, all at one time."""
    chance = np.random.default_rng(seed)
    kind = chance.integers(0, kinds, items)
    known = 1 / (1 + np.arange(items)) ** 0.5
    many = events // size
    who = np.repeat(chance.integers(0, people, many), size)
    what = np.concatenate([
        chance.choice(items, size, replace=False, p=(w := known * np.where(kind == k, 1.0, 0.03)) / w.sum())
        for k in chance.integers(0, kinds, many)
    ])  # fmt: skip
    return batch(who, what, time=np.repeat(1_600_000_000_000 + np.arange(many) * 120_000, size))


def shuffled(log: Batch, seed: int) -> Batch:
    """The same, in another order within each time."""
    order = np.lexsort((np.random.default_rng(seed).random(len(log.user)), log.time))
    return Batch(*(column[order] for column in log))._replace(offset=log.offset)


@pytest.mark.parametrize("blend", [True, False])
def test_the_order_within_baskets_is_worth_nothing(blend: bool) -> None:
    log, options = baskets(1), LearningOptions(blend=blend, factors=16, measure_every=1)
    found = []
    for seed in range(5):
        hits, counted = course(shuffled(log, seed), options, len(log.user))
        found.append(hits.sum() / counted.sum())
    error = np.sqrt(found[0] * (1 - found[0]) / counted.sum())
    assert max(found) - min(found) <= 2 * error, (found, error)
