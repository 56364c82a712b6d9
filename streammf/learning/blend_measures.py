"""How good the blend is beside each simple method, event by event: every event is first foretold by all, then learned from.

Rules of this file:
1. As in `measures`: the event's item is ranked among all items met so far, without those the user already had, and equal
   scores count half. All methods rank the same items at the same moment.
2. Ranked is every item, not a shortlist: `shortlist.py` is measured against this.
"""

from typing import Final

import numpy as np
from numba import types

from streammf.learning.arguments import BATCH, COUNTS, MARKS, STATE, Batch, Marks, array_type
from streammf.learning.blend import lay_out
from streammf.learning.blended import learn_blended
from streammf.learning.compiling import inner, kernel
from streammf.learning.conjugate import BENCH, Bench, bench
from streammf.learning.desk import DESK, Desk, candidate, clear, desk
from streammf.learning.features import FACTORS, OF_NEAR, SQUARES, weigh, write_features
from streammf.learning.history import recall_past
from streammf.learning.options import LearningOptions
from streammf.learning.rates import RATES, Rates, rates
from streammf.learning.room import ROOM, Room, room, spaced
from streammf.learning.seen import stamp_seen
from streammf.learning.tables import FEATURES, HORIZONS, Array, State
from streammf.learning.taste import taste_at
from streammf.learning.trial import rank_of

METHODS: Final = (
    "blend", "popularity 15 min", "popularity 6 h", "popularity 7 d", "popularity", "neighbours",
    "neighbours, then popularity", "gradient factors + popularity", "least squares",
)  # fmt: skip
#: How much of log-popularity decides between equal neighbours: nothing beside a difference of the neighbours'.
TIE: Final = 1e-7


@inner
def score_all(state: State, rates: Rates, desk: Desk, feature: Array, scores: Array) -> None:
    """scores[m, i] = what method m says of item i; feature: room for one item's."""
    now = state.whole.clock[0]
    for row in range(scores.shape[1]):
        if state.items.events[row] > 0:
            write_features(state, rates.neighbour_decay, desk, row, candidate(desk, row), now, feature)
            scores[0, row] = weigh(desk.weight, feature)
            for horizon in range(HORIZONS):
                scores[1 + horizon, row] = feature[horizon]
            scores[HORIZONS + 1, row] = feature[OF_NEAR]
            scores[HORIZONS + 2, row] = feature[OF_NEAR] + TIE * feature[HORIZONS - 1]
            scores[HORIZONS + 3, row] = feature[FACTORS] + feature[HORIZONS - 1]
            scores[HORIZONS + 4, row] = feature[SQUARES]


@kernel(
    types.void(
        STATE, MARKS, COUNTS, BATCH, RATES, ROOM, DESK, BENCH, array_type("u1", 1), array_type("f4", 1), array_type("f8", 2),
        array_type("i8", 1), array_type("f8", 2),
    ),
    allocates=False,
    part="measuring",
)  # fmt: skip
def _rank(
    state: State,
    marks: Marks,
    counts: Array,
    batch: Batch,
    rates: Rates,
    room: Room,
    desk: Desk,
    bench: Bench,
    sample: Array,
    feature: Array,
    scores: Array,
    stamps: Array,
    out: Array,
) -> None:
    for n in range(len(batch.user)):
        user = batch.user[n]
        item = batch.item[n]
        for method in range(out.shape[1]):
            out[n, method] = -1.0
        if sample[n] and state.items.events[item] > 0:
            stamp_seen(state.seen, state.users.seen_block[user], stamps, n)
            if stamps[item] != n:
                taste_at(state.users, state.implicit.factor, rates, room, user, state.whole.clock[0])
                lay_out(state, rates, room, desk, user, recall_past(state.users, rates, user, desk.past))
                score_all(state, rates, desk, feature, scores)
                clear(desk)
                for method in range(out.shape[1]):
                    out[n, method] = rank_of(scores[method], state.items.events, item, stamps, n)
        learn_blended(state, marks, counts, batch, rates, room, desk, bench, n)


def rank_by_all(
    state: State,
    marks: Marks,
    counts: Array,
    batch: Batch,
    options: LearningOptions,
    sample: Array,
    features: int = (1 << FEATURES) - 1,
) -> Array:
    """Learn from the batch; returns the rank that each method gave each event's item just before: float64 (n, METHODS).

    sample: bool (n,), which events to count. -1: not counted; see `measures.rank_choices`. features: bits of those that the
    blend may weigh, to find out what one is worth.
    """
    numbers = rates(options)
    numbers = numbers._replace(features=numbers.features & features)
    items, dimensions = len(state.items.events), options.dimensions
    out = np.empty((len(batch.user), len(METHODS)))
    _rank(
        state, marks, counts, batch, numbers, room(dimensions), desk(dimensions), bench(dimensions), sample.view(np.uint8),
        spaced(FEATURES, "f4"), spaced((len(METHODS), items), "f8"), np.full(items, -1, np.int64), out,
    )  # fmt: skip
    return out
