"""Learning what comes next with everything at once: vectors, neighbours, peers, popularity, and how to weigh them.

Rules of this file:
1. The order within an event: the blend learns from what the others foretold, then the others learn, then the event joins
   history and rings, then what looks back at those: rehearsals, and least squares.
2. An event of weight 0 makes its item known and seen, and teaches nothing.
"""

from numba import types

from streammf.learning.ahead import fetch_users
from streammf.learning.arguments import BATCH, COUNTS, MARKS, STATE, Batch, Marks
from streammf.learning.arrival import count, meet, moment, push_recent
from streammf.learning.attributes import note_described
from streammf.learning.audience import among_past, note_audience
from streammf.learning.blend import due, learn_blend
from streammf.learning.blend_ahead import (
    fetch_counts,
    fetch_lists,
    fetch_rehearsed,
    fetch_rehearsed_rings,
    fetch_rings,
    fetch_solved,
)
from streammf.learning.compiling import inner, kernel
from streammf.learning.conjugate import BENCH, Bench
from streammf.learning.desk import DESK, Desk
from streammf.learning.draws import event_key
from streammf.learning.history import push_history, recall_past, tied
from streammf.learning.judged_blend import measure_blend, note_tops
from streammf.learning.least_squares import learn_squares
from streammf.learning.neighbours import note_neighbours
from streammf.learning.prequential import JURY, Jury, measured
from streammf.learning.ranking import fetch_items, fetch_rehearsal, ranking_step, rehearse_choices
from streammf.learning.rates import OF_NEIGHBOURS, RATES, Rates
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
    following = batch.user[n + 1] if n + 1 < len(batch.user) else -1
    if weight > 0:
        ask_first(state, marks, rates, key, following)
        held = recall_past(state.users, rates, user, desk.past)
        fresh = not among_past(desk.past, held, item)
        if fresh and due(state, rates, key, item):
            learn_blend(state, rates, room, desk, user, item, held, weight, key)
        if rates.squares:
            fetch_solved(state, rates, user, item, key, 0)
            fetch_rehearsed(state, rates, key)
        if rates.gradient:
            ranking_step(state, marks, rates, room, user, item, weight, key, 1, -1)
        if rates.features & OF_NEIGHBOURS:
            decay, same = rates.neighbour_decay, tied(state.users, user, held, batch.time[n])
            note_neighbours(state.neighbours, marks.neighbours, decay, desk.past, held, same, item, weight, now)
        taught = state.whole.taught[0]
        time = moment(state, batch, n)
        note_audience(state.audience, marks.audience, state.recent, taught, user, item, fresh, batch.weight[n], time)
        if rates.history > 0:
            push_history(state.users, user, item, 1.0, time)
        push_recent(state, marks, batch, n, 1.0, weight)
        if rates.gradient and rates.rehearsals > 0:
            fetch_rehearsal(state, marks, rates, key, 1)
    count(state, marks, counts, batch, rates, n)
    state.blend.catalogue[0] = max(state.blend.catalogue[0], item + 1)
    if weight > 0:
        if following >= 0:
            ask_for_next(state, marks, rates, batch, n + 1)
        if rates.gradient:
            rehearse_choices(state, marks, rates, room, key, following)
        if rates.squares:
            learn_squares(state, marks, rates, bench, user, item, key)
    note_described(state, marks, user, item, weight)


@inner
def ask_first(state: State, marks: Marks, rates: Rates, key: int, following: int) -> None:
    """Ask for the users of what will be rehearsed, for the next event's, and for rings that name other rows."""
    fetch_users(state, rates, key, rates.negatives + 1, rates.negatives + 1, following)
    if rates.squares:
        fetch_rehearsed_rings(state, marks, key)


@inner
def ask_for_next(state: State, marks: Marks, rates: Rates, batch: Batch, n: int) -> None:
    """Ask for what event n reads, before its turn."""
    key = event_key(rates.seed, batch.partition[n], batch.offset[n])
    user, item = batch.user[n], batch.item[n]
    fetch_lists(state, marks, rates, user, item, due(state, rates, key, item))
    fetch_counts(state, marks, user, item)
    if rates.gradient:
        fetch_items(state, marks, rates, key, 1, item)
    if rates.squares:
        fetch_rings(state, marks, user, item)


@kernel(types.void(STATE, MARKS, COUNTS, BATCH, RATES, ROOM, DESK, BENCH, JURY), allocates=False, part="blend")
def learn_all(
    state: State, marks: Marks, counts: Array, batch: Batch, rates: Rates, room: Room, desk: Desk, bench: Bench, jury: Jury
) -> None:
    """Learn from every event of the batch, in order; a share of them is foretold first."""
    for n in range(len(batch.user)):
        item = batch.item[n]
        if rates.measure > 0 and batch.weight[n] > 0 and state.items.events[item] > 0:
            key = event_key(rates.seed, batch.partition[n], batch.offset[n])
            if measured(state, rates, key):
                measure_blend(state, rates, room, desk, jury, batch.user[n], item, key)
        learn_blended(state, marks, counts, batch, rates, room, desk, bench, n)
        if rates.measure > 0:
            note_tops(state, item, batch.weight[n])
