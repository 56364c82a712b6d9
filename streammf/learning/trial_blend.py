"""Trials of the blend beside each simple method.

What serves is what `answers` gives: the blend. Scored is every item, not a shortlist.

Scoring every item is what a trial costs, and most items are spoken for by nobody: `write_silent` writes the features of such a
one as `write_features` does, with the logs that are the same for all of them taken once, and those of what has faded away left
out where they change no bit.
"""

from typing import Final

import numpy as np
from numba import types

from streammf.learning.arguments import BATCH, COUNTS, MARKS, STATE, Batch, Marks, array_type
from streammf.learning.audience import FADES, LEAST_EVENTS
from streammf.learning.blend import lay_out
from streammf.learning.blended import learn_blended
from streammf.learning.compiling import inner, kernel
from streammf.learning.conjugate import BENCH, Bench
from streammf.learning.desk import DESK, Desk, candidate, clear
from streammf.learning.features import (
    AGE,
    FACTORS,
    IDLE,
    LEAST,
    LEAST_PEERS,
    LEAST_SOLVED,
    LOG_SQUARES,
    OF_COSINE,
    OF_FAR,
    OF_NEAR,
    OF_NEXT,
    OF_PEERS,
    SQUARES,
    weigh,
    write_features,
)
from streammf.learning.history import recall_past
from streammf.learning.methods import BLEND_NAMES, GRADIENT, NEIGHBOURS, PLAIN, SOLVED, TIE
from streammf.learning.rates import RATES, Rates
from streammf.learning.room import ROOM, Room
from streammf.learning.tables import HORIZONS, Array, State
from streammf.learning.taste import taste_at
from streammf.learning.trial import TRIALS, Trials, begin, judge

#: As the live measures have them, by position; the blend is what serves.
METHODS: Final = ("served", *BLEND_NAMES[1:])

#: Below it a popularity adds nothing to LEAST_EVENTS, not even in the last bit of a float64.
GONE: Final = -40.0
LOG_LEAST: Final = np.float32(np.log(LEAST))
LOG_LEAST_PEERS: Final = np.float32(np.log(LEAST_PEERS))
LOG_LEAST_EVENTS: Final = np.float32(np.log(LEAST_EVENTS))


@inner
def write_silent(state: State, desk: Desk, row: int, now: int, out: Array) -> None:
    """out[f] = feature f of an item that is no candidate."""
    for horizon in range(HORIZONS):
        popularity = state.audience.popularity[row, horizon] - FADES[horizon] * now
        out[horizon] = LOG_LEAST_EVENTS if popularity < GONE else np.log(np.exp(popularity) + LEAST_EVENTS)
    score = np.float32(0.0)
    solved = np.float32(0.0)
    for f in range(len(desk.z)):
        score += desk.z[f] * state.items.factor[row, f]
        solved += desk.solution[f] * state.solved_items.factor[row, f]
    out[FACTORS] = score
    out[OF_NEAR] = LOG_LEAST
    out[OF_FAR] = LOG_LEAST
    out[OF_NEXT] = LOG_LEAST
    out[OF_COSINE] = LOG_LEAST
    out[IDLE] = np.log(np.float32(max(now - state.items.last_time[row], 0) * 1e-3 + 60.0))
    out[AGE] = np.log(np.float32(max(now - state.items.first_time[row], 0) * 1e-3 + 3600.0))
    out[OF_PEERS] = LOG_LEAST_PEERS
    out[SQUARES] = solved
    out[LOG_SQUARES] = np.log(max(solved, np.float32(0.0)) + LEAST_SOLVED)


@inner
def score_blend(state: State, rates: Rates, desk: Desk, feature: Array, scores: Array) -> None:
    """scores[m, i] = what method m says of item i."""
    now = state.whole.clock[0]
    items = state.items
    for row in range(scores.shape[1]):
        if items.events[row] > 0:
            number = candidate(desk, row)
            if number >= 0:
                write_features(state, rates.neighbour_decay, desk, row, number, now, feature)
            else:
                write_silent(state, desk, row, now, feature)
            scores[0, row] = weigh(desk.weight, feature)
            for horizon in range(HORIZONS):
                scores[1 + horizon, row] = feature[horizon]
            scores[NEIGHBOURS, row] = feature[OF_NEAR] + TIE * feature[HORIZONS - 1]
            scores[GRADIENT, row] = feature[FACTORS] + feature[HORIZONS - 1]
            scores[PLAIN, row] = feature[FACTORS]
            scores[SOLVED, row] = feature[SQUARES]


@kernel(
    types.void(
        STATE, MARKS, COUNTS, BATCH, RATES, ROOM, DESK, BENCH, array_type("f4", 1), array_type("u1", 1), types.int64, TRIALS
    ),
    allocates=False,
    part="measuring",
)  # fmt: skip
def try_blend(
    state: State,
    marks: Marks,
    counts: Array,
    batch: Batch,
    rates: Rates,
    room: Room,
    desk: Desk,
    bench: Bench,
    feature: Array,
    sample: Array,
    learn: int,
    trials: Trials,
) -> None:
    """Try the events that `sample` names (trial.SKIP, TRY, AGAIN) and, where learn is not 0, learn from every event."""
    for n in range(len(batch.user)):
        user = batch.user[n]
        item = batch.item[n]
        stamp = begin(trials, state, n, user, item, sample[n])
        if stamp >= 0:
            taste_at(state.users, state.implicit.factor, rates, room, user, state.whole.clock[0])
            lay_out(state, rates, room, desk, user, recall_past(state.users, rates, user, desk.past))
            score_blend(state, rates, desk, feature, trials.scores)
            clear(desk)
            judge(trials, n, state.items.events, item, stamp)
        if learn:
            learn_blended(state, marks, counts, batch, rates, room, desk, bench, n)
