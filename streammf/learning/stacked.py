"""Learning ratings with everything at once: vectors and biases, items rated alike, damped means, and how to weigh them.

Rules of this file:
1. The order within an event: all parts foretell it, the vectors learn, the stack learns from what was foretold, then the
   event joins lists, means and history, then older ones are rehearsed (by the vectors alone).
"""

from numba import types

from streammf.learning.ahead import fetch_users
from streammf.learning.arguments import BATCH, COUNTS, MARKS, STATE, Batch, Marks, Real
from streammf.learning.arrival import count, meet, moment, push_recent
from streammf.learning.attributes import note_described
from streammf.learning.compiling import inner, kernel
from streammf.learning.corated import fetch_back, fetch_corated, note_corated
from streammf.learning.draws import event_key
from streammf.learning.foretelling import foretell, foretell_by_taste, lay_out_person, note_levels
from streammf.learning.history import push_history
from streammf.learning.judged_stack import measure_stack
from streammf.learning.marks import mark
from streammf.learning.prequential import JURY, Jury, measured
from streammf.learning.rates import RATES, Rates
from streammf.learning.rating import GIVEN, fetch_rehearsal, rating_step, rehearse_ratings, spoken
from streammf.learning.room import ROOM, Room
from streammf.learning.slate import SLATE, Slate
from streammf.learning.stack import begin, learn_stack
from streammf.learning.tables import Array, State


@inner
def teach_all(
    state: State, marks: Marks, rates: Rates, room: Room, slate: Slate, jury: Jury, user: int, item: int, value: Real,
    weight: Real, time: int, rating: Real, key: int,
) -> None:  # fmt: skip
    """Foretell a rating by all parts, measure how well where that is due, and let all of them learn from it."""
    begin(state.stack)
    lay_out_person(state.users, rates, user, slate)
    foretell(state, rates, user, item, slate)
    state.whole.value_sum[0] += weight * value
    state.whole.value_count[0] += weight
    score = rating_step(state, marks, rates, room, user, item, value, weight, False)
    foretell_by_taste(state, item, score, slate)
    if measured(state, rates, key):
        measure_stack(state, rates, slate.foretold, jury, rating)
    learn_stack(state.stack, slate, value, weight)
    said = spoken(state, user, item, value)
    note_corated(state.users, state.rated_items, marks.rated_items, rates, user, item, slate.place, said - GIVEN, weight)
    note_levels(state, user, item, value, weight, said - GIVEN)
    mark(marks.rated_users, user, 0.0)
    mark(marks.rated_items, item, 0.0)
    if rates.history > 0:
        push_history(state.users, user, item, said, time)


@inner
def learn_stacked(
    state: State, marks: Marks, counts: Array, batch: Batch, rates: Rates, room: Room, slate: Slate, jury: Jury, n: int
) -> None:
    """Learn from event n of the batch."""
    user = batch.user[n]
    item = batch.item[n]
    weight = meet(state, marks, batch, rates, n)
    key = event_key(rates.seed, batch.partition[n], batch.offset[n])
    following = batch.user[n + 1] if n + 1 < len(batch.user) else -1
    if following >= 0:
        fetch_corated(state.rated_items, batch.item[n + 1])
    if weight > 0:
        fetch_back(state.users, state.rated_items, rates, user, item)
        if rates.rehearsals > 0:
            fetch_users(state, rates, key, 0, 1, following)
        value = min(max((batch.value[n] - rates.middle) / rates.quarter, -2.0), 2.0)
        time = moment(state, batch, n)
        teach_all(state, marks, rates, room, slate, jury, user, item, value, weight, time, batch.value[n], key)
        push_recent(state, marks, batch, n, value, weight)
        if rates.rehearsals > 0:
            fetch_rehearsal(state, marks, key, 0)
    count(state, marks, counts, batch, rates, n)
    if weight > 0 and rates.rehearsals > 0:
        rehearse_ratings(state, marks, rates, room, key, following)
    note_described(state, marks, user, item, weight)


@kernel(types.void(STATE, MARKS, COUNTS, BATCH, RATES, ROOM, SLATE, JURY), allocates=False, part="stack")
def learn_all_ratings(
    state: State, marks: Marks, counts: Array, batch: Batch, rates: Rates, room: Room, slate: Slate, jury: Jury
) -> None:
    """Learn from every event of the batch, in order; a share of them is measured."""
    for n in range(len(batch.user)):
        learn_stacked(state, marks, counts, batch, rates, room, slate, jury, n)
