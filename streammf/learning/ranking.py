"""Learning what comes next: logistic loss on the event's item against items drawn from recent events.

Rules of this file:
1. Negatives are drawn in proportion to recent popularity, so q·z learns taste beyond popularity; answers add log-popularity
   back (Yi et al. 2019).
2. The step of p_u and of every y_j is the gradient at one point; items drawn twice are stepped twice, one after another.
3. In the history every event speaks alike (v_j = 1), whatever its type weighs: weights there would scale z itself, and a
   log of nothing but purchases of weight 3 lost nine tenths of its recall. A weight acts on the loss and on popularity.
4. The ring of recent events is drawn from as it stands before the event itself.
"""

import numpy as np
from numba import types

from streammf.learning.ahead import fetch_history, fetch_item, fetch_users
from streammf.learning.arguments import BATCH, COUNTS, MARKS, STATE, Batch, Marks, Real
from streammf.learning.arrival import count, meet, moment, push_recent
from streammf.learning.attributes import note_described
from streammf.learning.bounds import bounded
from streammf.learning.compiling import inner, kernel
from streammf.learning.desk import DESK, Desk
from streammf.learning.draws import below, draw, event_key
from streammf.learning.history import gather, push_history, teach_history, weigh_history
from streammf.learning.judged_factors import measure_factors, note_most_popular
from streammf.learning.marks import mark
from streammf.learning.prequential import JURY, Jury, measured
from streammf.learning.rates import RATES, Rates
from streammf.learning.room import ROOM, Room
from streammf.learning.tables import Array, State


@inner
def pair_step(q: Array, marks: Marks, rates: Rates, room: Room, item: int, label: Real, weight: Real, zz: Real) -> Real:
    """One step of q_item on weight · log-loss(label, σ(q·z)); adds to room.pull; returns the curvature along q, |q|²σ(1-σ)."""
    score = np.float32(0.0)
    qq = np.float32(0.0)
    for f in range(len(room.z)):
        score += q[item, f] * room.z[f]
        qq += q[item, f] * q[item, f]
    chance = np.float32(1.0) / (np.float32(1.0) + np.exp(-score))
    error = np.float32(weight) * (np.float32(label) - chance)
    rate = np.float32(rates.item)
    loss = np.float32(rates.regularisation)
    for f in range(len(room.z)):
        own = q[item, f]
        room.pull[f] += error * own
        q[item, f] = bounded(own + rate * (error * room.z[f] - loss * own))
    curve = weight * chance * (np.float32(1.0) - chance)
    mark(marks.items, item, rates.item * curve * zz)
    return curve * qq


@inner
def ranking_step(
    state: State, marks: Marks, rates: Rates, room: Room, user: int, item: int, weight: Real, key: int, first: int, skip: int
) -> None:
    """One step on an event and its negatives, draws first .. first + negatives - 1 of `key`; skip as in weigh_history."""
    held = 0
    if rates.history > 0:
        held = weigh_history(state.users, rates, user, state.whole.clock[0], skip, room.share)
    gather(state.users, state.implicit.factor, user, room.share, held, room.z)
    zz = np.float32(0.0)
    for f in range(len(room.z)):
        zz += room.z[f] * room.z[f]
        room.pull[f] = 0.0
    q = state.items.factor
    curve = pair_step(q, marks, rates, room, item, 1.0, weight, zz)
    ring = min(state.whole.taught[0], len(state.recent.item))
    if ring > 0:
        for n in range(rates.negatives):
            other = state.recent.item[below(draw(key, first + n), ring)]
            if other != item:
                curve += pair_step(q, marks, rates, room, other, 0.0, weight, zz)
    p = state.users.factor
    rate = np.float32(rates.user)
    loss = np.float32(rates.regularisation)
    for f in range(len(room.z)):
        p[user, f] = bounded(p[user, f] + rate * (room.pull[f] - loss * p[user, f]))
    mark(marks.users, user, rates.user * curve)
    if held > 0:
        teach_history(state.users, state.implicit.factor, marks.implicit, rates, user, room.share, held, room.pull, curve)


@inner
def fetch_items(state: State, marks: Marks, rates: Rates, key: int, first: int, item: int) -> None:
    """Ask for an item and for the negatives that are draws first .. first + negatives - 1 of `key`."""
    ring = min(state.whole.taught[0], len(state.recent.item))
    fetch_item(state.items.factor, marks.items, item)
    for n in range(rates.negatives):
        fetch_item(state.items.factor, marks.items, state.recent.item[below(draw(key, first + n), ring)])


@inner
def fetch_rehearsal(state: State, marks: Marks, rates: Rates, key: int, r: int) -> None:
    """Ask for the rows of the r-th rehearsal, whose user is asked for already."""
    recent = state.recent
    first = r * (rates.negatives + 1)
    n = below(draw(key, first), min(state.whole.taught[0], len(recent.item)))
    fetch_history(state.users, state.implicit.factor, marks.implicit, recent.user[n])
    fetch_items(state, marks, rates, key, first + 1, recent.item[n])


@inner
def fetch_event(state: State, marks: Marks, rates: Rates, batch: Batch, n: int) -> None:
    """Ask for the items of event n, before its turn."""
    fetch_items(state, marks, rates, event_key(rates.seed, batch.partition[n], batch.offset[n]), 1, batch.item[n])


@inner
def rehearse_choices(state: State, marks: Marks, rates: Rates, room: Room, key: int, following: int) -> None:
    """Learn again from random recent events, each with negatives of its own. following: the user who comes next, or -1."""
    recent = state.recent
    held = min(state.whole.taught[0], len(recent.item))
    if rates.rehearsals == 0 and following >= 0:
        fetch_history(state.users, state.implicit.factor, marks.implicit, following)
    for r in range(1, rates.rehearsals + 1):
        first = r * (rates.negatives + 1)
        n = below(draw(key, first), held)
        item = recent.item[n]
        if r < rates.rehearsals:
            fetch_rehearsal(state, marks, rates, key, r + 1)
        elif following >= 0:
            fetch_history(state.users, state.implicit.factor, marks.implicit, following)
        ranking_step(state, marks, rates, room, recent.user[n], item, recent.weight[n], key, first + 1, item)


@inner
def learn_choice(state: State, marks: Marks, counts: Array, batch: Batch, rates: Rates, room: Room, n: int) -> None:
    """Learn from event n of the batch."""
    user = batch.user[n]
    item = batch.item[n]
    weight = meet(state, marks, batch, rates, n)
    key = event_key(rates.seed, batch.partition[n], batch.offset[n])
    following = batch.user[n + 1] if n + 1 < len(batch.user) else -1
    if weight > 0:
        fetch_users(state, rates, key, rates.negatives + 1, rates.negatives + 1, following)
        ranking_step(state, marks, rates, room, user, item, weight, key, 1, -1)
        if rates.history > 0:
            push_history(state.users, user, item, 1.0, moment(state, batch, n))
        push_recent(state, marks, batch, n, 1.0, weight)
        if rates.rehearsals > 0:
            fetch_rehearsal(state, marks, rates, key, 1)
    count(state, marks, counts, batch, rates, n)
    if weight > 0:
        if following >= 0:
            fetch_event(state, marks, rates, batch, n + 1)
        rehearse_choices(state, marks, rates, room, key, following)
    note_described(state, marks, user, item, weight)


@kernel(types.void(STATE, MARKS, COUNTS, BATCH, RATES, ROOM, DESK, JURY), allocates=False, part="ranking")
def learn_choices(
    state: State, marks: Marks, counts: Array, batch: Batch, rates: Rates, room: Room, desk: Desk, jury: Jury
) -> None:
    """Learn from every event of the batch, in order; a share of them is foretold first."""
    for n in range(len(batch.user)):
        item = batch.item[n]
        if rates.measure > 0 and batch.weight[n] > 0 and state.items.events[item] > 0:
            key = event_key(rates.seed, batch.partition[n], batch.offset[n])
            if measured(state, rates, key):
                measure_factors(state, rates, room, desk, jury, batch.user[n], item, key)
        learn_choice(state, marks, counts, batch, rates, room, n)
        if rates.measure > 0:
            note_most_popular(state, item, batch.weight[n])
