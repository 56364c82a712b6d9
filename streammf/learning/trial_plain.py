"""Trials of the vectors of gradient steps with popularity: what serves while the blend is off, and its two parts alone."""

from typing import Final

import numpy as np
from numba import types

from streammf.learning.arguments import BATCH, COUNTS, MARKS, STATE, Batch, Marks, array_type
from streammf.learning.compiling import inner, kernel
from streammf.learning.ranking import learn_choice
from streammf.learning.rates import RATES, Rates
from streammf.learning.room import ROOM, Room
from streammf.learning.scan import popularity_at
from streammf.learning.tables import Array, State
from streammf.learning.taste import taste_at
from streammf.learning.trial import TRIALS, Trials, begin, judge

METHODS: Final = ("served", "popularity", "factors")


@inner
def score_plain(state: State, rates: Rates, z: Array, scores: Array) -> None:
    """scores[m, i] = what method m says of item i to somebody whose vector is z."""
    fade = rates.popularity_decay * state.whole.clock[0]
    items = state.items
    for row in range(scores.shape[1]):
        if items.events[row] > 0:
            score = np.float32(0.0)
            for f in range(len(z)):
                score += z[f] * items.factor[row, f]
            popularity = np.float32(popularity_at(items.log_popularity[row], fade))
            scores[0, row] = score + popularity
            scores[1, row] = popularity
            scores[2, row] = score


@kernel(
    types.void(STATE, MARKS, COUNTS, BATCH, RATES, ROOM, array_type("u1", 1), types.int64, TRIALS),
    allocates=False,
    part="measuring",
)
def try_plain(
    state: State, marks: Marks, counts: Array, batch: Batch, rates: Rates, room: Room, sample: Array, learn: int, trials: Trials
) -> None:
    """Try the events that `sample` names (trial.SKIP, TRY, AGAIN) and, where learn is not 0, learn from every event."""
    for n in range(len(batch.user)):
        user = batch.user[n]
        item = batch.item[n]
        stamp = begin(trials, state, n, user, item, sample[n])
        if stamp >= 0:
            taste_at(state.users, state.implicit.factor, rates, room, user, state.whole.clock[0])
            score_plain(state, rates, room.z, trials.scores)
            judge(trials, n, state.items.events, item, stamp)
        if learn:
            learn_choice(state, marks, counts, batch, rates, room, n)
