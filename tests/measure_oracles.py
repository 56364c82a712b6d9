"""Slow, obvious plain-Python versions of the prequential measures: every item scored by every method, then counted."""

import math
from typing import Any

import numpy as np

from streammf.learning.options import LearningOptions
from streammf.learning.tables import State
from tests import blend_oracles, oracles

#: Two scores nearer than this may be equal in single precision, or come out in either order.
NEAR = 2e-5


def had(state: State, user: int) -> set[int]:
    """The items on a user's chain."""
    found: set[int] = set()
    block = int(state.users.seen_block[user])
    while block >= 0:
        found |= set(state.seen.items[block].tolist()) - {-1}
        block = int(state.seen.next[block])
    return found


def blend_scores(state: State, options: LearningOptions, user: int) -> dict[int, list[float]]:
    """Item → what each method of the blend says, in their order."""
    past = blend_oracles.past_of(state, options, user)
    said, scale = blend_oracles.readings(state, options, user, past)
    weights = blend_oracles.weights_of(state, user)
    found = {}
    for item in np.flatnonzero(state.items.events).tolist():
        x = blend_oracles.features(state, options, user, item, said.get(item, np.zeros(5)), scale)
        found[item] = [float(weights @ x), *x[:4], x[5] + 1e-4 * x[3], x[4] + x[3], x[4], x[12]]
    return found


def factor_scores(state: State, options: LearningOptions, user: int) -> dict[int, list[float]]:
    """The same of a model without a blend."""
    found = {}
    fade = math.log(2) / (options.popularity_half_life * oracles.DAY) * int(state.whole.clock[0])
    for item in np.flatnonzero(state.items.events).tolist():
        popularity = max(float(state.items.log_popularity[item]) - fade, math.log(0.05))
        taste = float(oracles.taste(state, options, user) @ state.items.factor[item])
        found[item] = [taste + popularity, popularity]
    return found


def ranking_measures(rank: float) -> list[float]:
    """recall, NDCG and reciprocal rank at 10, of one item with `rank` before it."""
    return [1.0, 1 / math.log2(rank + 2), 1 / (rank + 1)] if rank < 10 else [0.0, 0.0, 0.0]


def ranked(scores: dict[int, list[float]], item: int, away: set[int]) -> list[tuple[float, float]]:
    """For each method the least and the greatest rank that the item may have."""
    own, others = scores[item], [s for other, s in scores.items() if other != item and other not in away]
    found = []
    for method, score in enumerate(own):
        near = NEAR * max(1.0, abs(score))
        least = sum(1.0 for other in others if other[method] > score + near)
        found.append((least, least + sum(1.0 for other in others if abs(other[method] - score) <= near)))
    return found


def rating_errors(state: State, options: LearningOptions, user: int, item: int, rating: float) -> Any:
    """(squared, absolute) error of the model and of biases alone, in the unit of the ratings."""
    low, high = options.scale
    biases = oracles.mean(state) + float(state.users.bias[user]) + float(state.items.bias[item])
    model = biases + float(oracles.taste(state, options, user) @ state.items.factor[item])
    found = []
    for score in (model, biases):
        off = (low + high) / 2 + (high - low) / 4 * float(np.clip(score, -2, 2)) - rating
        found.append((off * off, abs(off)))
    return found
