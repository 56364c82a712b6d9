"""A second learner of vectors for ranking: least squares over all pairs, seen and unseen, solved a little at every event.

  Σ over seen w (1 - x_u·q_i)² + unseen Σ over all pairs (x_u·q_i)² + L2        (Hu, Koren, Volinsky 2008; He et al. 2016)
  x_u solves (unseen Σ q q' + Σ_j w_j q_j q_j' + ridge) x = Σ_j w_j q_j over the user's last choices j;
  q_i the same over the last users of the item, each standing for its share of all who chose it.

Rules of this file:
1. Per event two conjugate-gradient steps from the stored vectors, on its user, then on its item; again for an event of the
   ring of recent ones. An item that thousands chose is solved for at fewer events. No negatives are drawn and no user vector
   is random: it adds to the blend what gradient steps do not.
2. `unseen` makes all unseen pairs together weigh a fixed multiple of all seen events, however dense the log is.
3. Gram matrices stay exact: a row's outer product is taken out as it was put in. They, and the numbers of users, items and
   events, fade by event time: what no event reaches any more stops to be an unseen pair. No sweep does that: what is new
   weighs more, as in neighbours.py. Sums stand for themselves · 2^(-(now - base) / half-life).
"""

from typing import Final

import numpy as np

from streammf.learning.arguments import Marks, Real
from streammf.learning.bounds import bounded
from streammf.learning.compiling import inner
from streammf.learning.conjugate import Bench, exchange, solve
from streammf.learning.decay import MOST_GROWTH
from streammf.learning.draws import below, draw
from streammf.learning.history import recall_past
from streammf.learning.marks import mark
from streammf.learning.rates import Rates
from streammf.learning.tables import Grams, State

#: What all unseen pairs together weigh, relative to all events.
UNSEEN: Final = 4.0
RIDGE: Final = 0.05
STEPS: Final = 2
#: What a choice weighs relative to the one after it.
CHOICE_DECAY: Final = 0.95
#: The least share of the way that an item's vector moves.
LEAST_SHARE: Final = 0.1
#: Times its whole ring of users after which an item is solved for at one event in two, in three, and so on; and how seldom at
#: last. One user among thousands moves an item's vector little: on MovieLens-100K this loses nothing.
RINGS: Final = 2
SELDOM: Final = 8
#: Events solved for again: without, a small, sparse log loses 3 % of its recall.
REHEARSALS: Final = 1
#: The first number of this learner's draws.
DRAWS: Final = 1 << 21


@inner
def grown(grams: Grams, decay: Real, time: int) -> Real:
    """What 1 of this event time weighs in the sums."""
    return np.exp(decay * (time - grams.base[0]))


@inner
def rescale(grams: Grams, decay: Real, now: int) -> None:
    """Let the sums stand for themselves again, if it is time."""
    if grams.events[0] == 0:
        grams.base[0] = now
        return
    if decay * (now - grams.base[0]) <= MOST_GROWTH:
        return
    left = 1.0 / grown(grams, decay, now)
    for f in range(grams.user.shape[1]):
        grams.user[0, f] *= left
        grams.item[0, f] *= left
    grams.users[0] *= left
    grams.items[0] *= left
    grams.events[0] *= left
    grams.base[0] = now


@inner
def held_of(grams: Grams, decay: Real, time: int) -> Real:
    """What a row that was last solved for at `time` weighs in the sums; 0: it is not in them yet."""
    return grown(grams, decay, time) if time >= 0 else 0.0


@inner
def unseen_weight(grams: Grams, one: Real) -> Real:
    """What an unseen pair weighs, beside sums as they stand. one: what 1 of now weighs in them."""
    return UNSEEN * grams.events[0] / max(grams.users[0] * grams.items[0], one * one)


@inner
def write_choices(bench: Bench, held: int) -> Real:
    """The weights of a user's last choices, the newest first; returns their sum."""
    total = 0.0
    weight = 1.0
    for back in range(held):
        bench.weight[back] = weight
        total += weight
        weight *= CHOICE_DECAY
    return total


@inner
def solve_user(state: State, marks: Marks, rates: Rates, bench: Bench, user: int, now: int) -> None:
    """Steps of x_u."""
    solved, grams = state.solved_users, state.grams
    before, after = held_of(grams, rates.solved_decay, solved.time[user]), grown(grams, rates.solved_decay, now)
    grams.users[0] += after - before
    held = recall_past(state.users, rates, user, bench.rows)
    total = write_choices(bench, held)
    for f in range(len(bench.x)):
        bench.old[f] = bench.x[f] = solved.factor[user, f]
    unseen = unseen_weight(grams, after)
    ridge = RIDGE * (total + unseen * grams.items[0])
    solve(grams.item[0], unseen, ridge, state.solved_items.factor, held, STEPS, bench)
    for f in range(len(bench.x)):
        solved.factor[user, f] = bounded(bench.x[f])
    exchange(grams.user[0], bench.old, before, solved.factor[user], after)
    solved.time[user] = now
    mark(marks.solved_users, user, 0.0)


@inner
def solve_item(state: State, marks: Marks, rates: Rates, bench: Bench, item: int, now: int) -> None:
    """Steps of q_i."""
    solved, grams, audience = state.solved_items, state.grams, state.audience
    before, after = held_of(grams, rates.solved_decay, solved.time[item]), grown(grams, rates.solved_decay, now)
    grams.items[0] += after - before
    met = audience.met[item]
    held = 0
    stands_for = max(1.0, met / audience.user.shape[1])
    for place in range(min(met, audience.user.shape[1])):
        bench.rows[held] = audience.user[item, place]
        bench.weight[held] = stands_for
        held += bench.rows[held] >= 0
    for f in range(len(bench.x)):
        bench.old[f] = bench.x[f] = solved.factor[item, f]
    unseen = unseen_weight(grams, after)
    ridge = RIDGE * (met + unseen * grams.users[0])
    solve(grams.user[0], unseen, ridge, state.solved_users.factor, held, STEPS, bench)
    share = np.float32(max(1.0 / stands_for, LEAST_SHARE))
    for f in range(len(bench.x)):
        solved.factor[item, f] = bounded(bench.old[f] + share * (bench.x[f] - bench.old[f]))
    exchange(grams.item[0], bench.old, before, solved.factor[item], after)
    solved.time[item] = now
    mark(marks.solved_items, item, 0.0)


@inner
def item_due(state: State, item: int, key: int, n: int) -> bool:
    """Whether the item of the event (n = 0), or of the n-th that is solved for again, is solved for."""
    every = min(SELDOM, 1 + state.audience.met[item] // (RINGS * state.audience.user.shape[1]))
    return below(draw(key, DRAWS + REHEARSALS + 1 + n), every) == 0


@inner
def learn_squares(state: State, marks: Marks, rates: Rates, bench: Bench, user: int, item: int, key: int) -> None:
    """Learn from a user's choice of an item, which history and rings hold already."""
    now = state.whole.clock[0]
    rescale(state.grams, rates.solved_decay, now)
    state.grams.events[0] += grown(state.grams, rates.solved_decay, now)
    recent = state.recent
    for n in range(REHEARSALS + 1):
        if n > 0:
            at = below(draw(key, DRAWS + n), min(state.whole.taught[0], len(recent.item)))
            user = recent.user[at]
            item = recent.item[at]
        solve_user(state, marks, rates, bench, user, now)
        if item_due(state, item, key, n):
            solve_item(state, marks, rates, bench, item, now)
