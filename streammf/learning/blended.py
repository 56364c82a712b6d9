"""Learning what comes next with everything at once: vectors, neighbours, peers, popularity, and how to weigh them.

Rules of this file:
1. The order within an event: the blend learns from what the others foretold, then the others learn, then the event joins
   history and rings, then what looks back at those: rehearsals, and least squares.
2. An event of weight 0 makes its item known and seen, and teaches nothing.
"""

from numba import types

from streammf.learning.arguments import BATCH, COUNTS, MARKS, STATE, Batch, Marks
from streammf.learning.arrival import count, meet, moment, push_recent
from streammf.learning.audience import among_past, note_audience
from streammf.learning.blend import due, learn_blend
from streammf.learning.compiling import inner, kernel
from streammf.learning.desk import DESK, Desk
from streammf.learning.draws import event_key
from streammf.learning.history import push_history, recall_past, tied
from streammf.learning.least_squares import BENCH, Bench, learn_squares
from streammf.learning.neighbours import note_neighbours
from streammf.learning.ranking import ranking_step, rehearse_choices
from streammf.learning.rates import RATES, Rates
from streammf.learning.room import ROOM, Room
from streammf.learning.tables import Array, State


@inner
def learn_blended(
    state: State, marks: Marks, counts: Array, batch: Batch, rates: Rates, room: Room, desk: Desk, bench: Bench, n: int
) -> None:
    """Learn from event n of the batch."""
    user = batch.user[n]
    item = batch.item[n]
    weight = meet(state, marks, batch, rates, n)
    key = event_key(rates.seed, batch.partition[n], batch.offset[n])
    now = state.whole.clock[0]
    if weight > 0:
        held = recall_past(state.users, rates, user, desk.past)
        fresh = not among_past(desk.past, held, item)
        if fresh and due(state, rates, key, item):
            learn_blend(state, rates, room, desk, user, item, held, weight, key)
        if rates.gradient:
            ranking_step(state, marks, rates, room, user, item, weight, key, 1, -1)
        decay, same = rates.neighbour_decay, tied(state.users, user, held, batch.time[n])
        note_neighbours(state.neighbours, marks.neighbours, decay, desk.past, held, same, item, weight, now)
        taught = state.whole.taught[0]
        time = moment(state, batch, n)
        note_audience(state.audience, marks.audience, state.recent, taught, user, item, fresh, batch.weight[n], time)
        if rates.history > 0:
            push_history(state.users, user, item, 1.0, time)
        push_recent(state, marks, batch, n, 1.0, weight)
    count(state, marks, counts, batch, rates, n)
    state.blend.catalogue[0] = max(state.blend.catalogue[0], item + 1)
    if weight > 0:
        if rates.gradient:
            rehearse_choices(state, marks, rates, room, key, -1)
        if rates.squares:
            learn_squares(state, marks, rates, bench, user, item, key)


@kernel(types.void(STATE, MARKS, COUNTS, BATCH, RATES, ROOM, DESK, BENCH), allocates=False, part="blend")
def learn_all(
    state: State, marks: Marks, counts: Array, batch: Batch, rates: Rates, room: Room, desk: Desk, bench: Bench
) -> None:
    """Learn from every event of the batch, in order."""
    for n in range(len(batch.user)):
        learn_blended(state, marks, counts, batch, rates, room, desk, bench, n)
