"""Learning ratings: r̂ = μ + b_u + b_i + q_i·z_u, squared error, L2, one gradient step an event.

Rules of this file:
1. Everything learned is in quarters of the scale, counted from its middle.
2. A step uses the values from before it on all sides: it is the gradient at one point, which the tests check.
3. Bias steps begin near 1 / (n + prior), an average, and fall to a floor; a rehearsal takes the floor.
"""

import numpy as np
from numba import types

from streammf.learning.ahead import fetch_history, fetch_item, fetch_users
from streammf.learning.arguments import BATCH, COUNTS, MARKS, STATE, Batch, Marks, Real
from streammf.learning.arrival import count, meet, moment, push_recent
from streammf.learning.attributes import note_described
from streammf.learning.bounds import MOST_ERROR, bounded
from streammf.learning.compiling import inner, kernel
from streammf.learning.draws import below, draw, event_key
from streammf.learning.history import gather, push_history, teach_history, weigh_history
from streammf.learning.judged_factors import measure_rating
from streammf.learning.marks import mark
from streammf.learning.mean import mean_rating
from streammf.learning.prequential import JURY, Jury, measured
from streammf.learning.rates import RATES, Rates
from streammf.learning.room import ROOM, Room
from streammf.learning.tables import Array, State

#: What an item's being rated at all says of the user's taste, beside the rating's residual, in quarters of the scale (Koren
#: 2008 gives each a vector of its own). Without it RMSE on MovieLens-100K is .0017 higher.
GIVEN = 1.0


@inner
def bias_rate(rates: Rates, taught: int) -> Real:
    """The learning rate of a bias that has learned from this many ratings."""
    return max(rates.bias, 1.0 / (taught + rates.bias_prior))


@inner
def bias_step(bias: Array, row: int, rate: Real, weight: Real, error: Real, rates: Rates) -> None:
    """One step of a bias."""
    bias[row] = bounded(bias[row] + np.float32(rate * (weight * error - rates.bias_regularisation * bias[row])))


@inner
def rating_step(
    state: State, marks: Marks, rates: Rates, room: Room, user: int, item: int, value: Real, weight: Real, again: bool
) -> Real:
    """One gradient step on ½ weight (value - r̂)²; `again`: the event is rehearsed. Returns q_i·z_u before the step."""
    p = state.users.factor
    q = state.items.factor
    held = 0
    if rates.history > 0:
        held = weigh_history(state.users, rates, user, state.whole.clock[0], item if again else -1, room.share)
    gather(state.users, state.implicit.factor, user, room.share, held, room.z)
    score = np.float32(0.0)
    zz = np.float32(0.0)
    qq = np.float32(0.0)
    for f in range(len(room.z)):
        score += q[item, f] * room.z[f]
        zz += room.z[f] * room.z[f]
        qq += q[item, f] * q[item, f]
    error = value - (mean_rating(state.whole) + state.users.bias[user] + state.items.bias[item] + score)
    error = min(max(error, -MOST_ERROR), MOST_ERROR)
    of_user = rates.bias if again else bias_rate(rates, state.users.taught[user])
    of_item = rates.bias if again else bias_rate(rates, state.items.taught[item])
    bias_step(state.users.bias, user, of_user, weight, error, rates)
    bias_step(state.items.bias, item, of_item, weight, error, rates)
    pull = np.float32(weight * error)
    user_rate = np.float32(rates.user)
    item_rate = np.float32(rates.item)
    loss = np.float32(rates.regularisation)
    for f in range(len(room.z)):
        own = q[item, f]
        room.pull[f] = pull * own
        p[user, f] = bounded(p[user, f] + user_rate * (pull * own - loss * p[user, f]))
        q[item, f] = bounded(own + item_rate * (pull * room.z[f] - loss * own))
    mark(marks.users, user, rates.user * weight * qq)
    mark(marks.items, item, rates.item * weight * zz)
    if held > 0:
        teach_history(state.users, state.implicit.factor, marks.implicit, rates, user, room.share, held, room.pull, weight * qq)
    return score


@inner
def spoken(state: State, user: int, item: int, value: Real) -> Real:
    """What the history holds of a rating: that it was given, and by how much it exceeds what mean and biases explain."""
    residual = value - (mean_rating(state.whole) + state.users.bias[user] + state.items.bias[item])
    return GIVEN + min(max(residual, -MOST_ERROR), MOST_ERROR)


@inner
def fetch_rehearsal(state: State, marks: Marks, key: int, r: int) -> None:
    """Ask for the rows of the r-th rehearsal, whose user is asked for already."""
    recent = state.recent
    n = below(draw(key, r), min(state.whole.taught[0], len(recent.item)))
    fetch_history(state.users, state.implicit.factor, marks.implicit, recent.user[n])
    fetch_item(state.items.factor, marks.items, recent.item[n])


@inner
def rehearse_ratings(state: State, marks: Marks, rates: Rates, room: Room, key: int, following: int) -> None:
    """Learn again from random recent ratings. following: the user who comes next, or -1."""
    recent = state.recent
    held = min(state.whole.taught[0], len(recent.item))
    for r in range(rates.rehearsals):
        n = below(draw(key, r), held)
        if r + 1 < rates.rehearsals:
            fetch_rehearsal(state, marks, key, r + 1)
        elif following >= 0:
            fetch_history(state.users, state.implicit.factor, marks.implicit, following)
        rating_step(state, marks, rates, room, recent.user[n], recent.item[n], recent.value[n], recent.weight[n], True)


@inner
def learn_rating(state: State, marks: Marks, counts: Array, batch: Batch, rates: Rates, room: Room, n: int) -> None:
    """Learn from event n of the batch."""
    user = batch.user[n]
    item = batch.item[n]
    weight = meet(state, marks, batch, rates, n)
    key = event_key(rates.seed, batch.partition[n], batch.offset[n])
    following = batch.user[n + 1] if n + 1 < len(batch.user) else -1
    if weight > 0:
        if rates.rehearsals > 0:
            fetch_users(state, rates, key, 0, 1, following)
        value = min(max((batch.value[n] - rates.middle) / rates.quarter, -2.0), 2.0)
        state.whole.value_sum[0] += weight * value
        state.whole.value_count[0] += weight
        rating_step(state, marks, rates, room, user, item, value, weight, False)
        if rates.history > 0:
            push_history(state.users, user, item, spoken(state, user, item, value), moment(state, batch, n))
        push_recent(state, marks, batch, n, value, weight)
        if rates.rehearsals > 0:
            fetch_rehearsal(state, marks, key, 0)
    count(state, marks, counts, batch, rates, n)
    if weight > 0 and rates.rehearsals > 0:
        rehearse_ratings(state, marks, rates, room, key, following)
    note_described(state, marks, user, item, weight)


@kernel(types.void(STATE, MARKS, COUNTS, BATCH, RATES, ROOM, JURY), allocates=False, part="rating")
def learn_ratings(state: State, marks: Marks, counts: Array, batch: Batch, rates: Rates, room: Room, jury: Jury) -> None:
    """Learn from every event of the batch, in order; a share of them is foretold first."""
    for n in range(len(batch.user)):
        key = event_key(rates.seed, batch.partition[n], batch.offset[n])
        if batch.weight[n] > 0 and measured(state, rates, key):
            measure_rating(state, rates, room, jury, batch.user[n], batch.item[n], batch.value[n])
        learn_rating(state, marks, counts, batch, rates, room, n)
