"""How good the model is, event by event: every event is first foretold, then learned from.

Rules of this file:
1. Ranking: the event's item is ranked among all items met so far, without those the user already had; equal scores count
   half. Counted are events whose item is in the catalogue and new to the user.
2. Nothing is sampled and nothing is looked ahead: the numbers are those of the answers that would have been given.
"""

from typing import NamedTuple

import numpy as np
from numba import types

from streammf.learning.arguments import BATCH, COUNTS, MARKS, STATE, Batch, Marks, array_type
from streammf.learning.compiling import inner, kernel
from streammf.learning.mean import mean_rating
from streammf.learning.options import LearningOptions
from streammf.learning.ranking import learn_choice
from streammf.learning.rates import RATES, Rates, rates
from streammf.learning.rating import learn_rating
from streammf.learning.room import ROOM, Room, room
from streammf.learning.scan import popularity_at
from streammf.learning.seen import stamp_seen
from streammf.learning.stack_measures import foretell_by_parts
from streammf.learning.tables import Array, State
from streammf.learning.taste import taste_at


class Errors(NamedTuple):
    """Errors of foretold ratings, in the unit of the ratings."""

    rmse: float
    mae: float


def errors(foretold: Array, values: Array) -> Errors:
    """Root mean squared and mean absolute error."""
    off = np.asarray(foretold, np.float64) - values
    return Errors(float(np.sqrt(np.mean(off * off))), float(np.mean(np.abs(off))))


def recall(ranks: Array, k: int) -> float:
    """The share of counted events (rank ≥ 0) whose item stood among the first k."""
    counted = ranks[ranks >= 0]
    return float(np.mean(counted < k)) if len(counted) else float("nan")


@kernel(types.void(STATE, MARKS, COUNTS, BATCH, RATES, ROOM, array_type("f8", 1)), allocates=False, part="measuring")
def _foretell(state: State, marks: Marks, counts: Array, batch: Batch, rates: Rates, room: Room, out: Array) -> None:
    for n in range(len(batch.user)):
        user = batch.user[n]
        item = batch.item[n]
        taste_at(state.users, state.implicit.factor, rates, room, user, state.whole.clock[0])
        score = np.float64(mean_rating(state.whole) + state.users.bias[user] + state.items.bias[item])
        for f in range(len(room.z)):
            score += room.z[f] * state.items.factor[item, f]
        out[n] = rates.middle + rates.quarter * min(max(score, -2.0), 2.0)
        learn_rating(state, marks, counts, batch, rates, room, n)


def foretell_ratings(state: State, marks: Marks, counts: Array, batch: Batch, options: LearningOptions) -> Array:
    """Learn from the batch; returns what each rating was expected to be just before: float64 (n,)."""
    if options.stacks:
        return foretell_by_parts(state, marks, counts, batch, options)[:, 0].copy()
    out = np.empty(len(batch.user))
    _foretell(state, marks, counts, batch, rates(options), room(options.dimensions), out)
    return out


@inner
def rank_among(state: State, rates: Rates, z: Array, item: int, stamps: Array, stamp: int) -> float:
    """How many items that are not stamped score higher than `item`; equal ones count half."""
    fade = rates.popularity_decay * state.whole.clock[0]
    items = state.items
    rank = 0.0
    own = np.float32(0.0)
    for n in range(-1, len(stamps)):
        other = item if n < 0 else n
        if n >= 0 and (n == item or items.events[n] == 0 or stamps[n] == stamp):
            continue
        score = np.float32(0.0)
        for f in range(len(z)):
            score += z[f] * items.factor[other, f]
        score += np.float32(popularity_at(items.log_popularity[other], fade))
        if n < 0:
            own = score
        elif not score < own:  # a score that is no number counts against the model
            rank += 0.5 if score == own else 1.0
    return rank


@kernel(
    types.void(STATE, MARKS, COUNTS, BATCH, RATES, ROOM, types.int64, array_type("i8", 1), array_type("f8", 1)),
    allocates=False,
    part="measuring",
)
def _rank(
    state: State, marks: Marks, counts: Array, batch: Batch, rates: Rates, room: Room, every: int, stamps: Array, out: Array
) -> None:
    for n in range(len(batch.user)):
        user = batch.user[n]
        item = batch.item[n]
        out[n] = -1.0
        if n % every == 0 and state.items.events[item] > 0:
            stamp_seen(state.seen, state.users.seen_block[user], stamps, n)
            if stamps[item] != n:
                taste_at(state.users, state.implicit.factor, rates, room, user, state.whole.clock[0])
                out[n] = rank_among(state, rates, room.z, item, stamps, n)
        learn_choice(state, marks, counts, batch, rates, room, n)


def rank_choices(state: State, marks: Marks, counts: Array, batch: Batch, options: LearningOptions, every: int = 1) -> Array:
    """Learn from the batch; returns the rank that each event's item had just before: float64 (n,), 0 the best.

    -1: not counted, because the item was not in the catalogue, not new to the user, or (every > 1) not in the sample.
    """
    out = np.empty(len(batch.user))
    stamps = np.full(len(state.items.events), -1, np.int64)
    _rank(state, marks, counts, batch, rates(options), room(options.dimensions), every, stamps, out)
    return out
