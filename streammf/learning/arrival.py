"""What every event changes, whatever the objective: clocks, counts, popularity, seen items, rings.

Rules of this file:
1. `meet` runs before an event is learned from, `count` after it: learning sees the numbers of the events before, and the
   clock that the event itself may have moved.
2. An event of weight 0 is met and seen, and otherwise leaves no trace that learning reads.
3. No event moves the clock far on its word alone: see `advance`. What claims to be later than the clock counts as of now.
"""

import numpy as np

from streammf.learning.arguments import Batch, Marks, Real
from streammf.learning.attributes import begin_user, inherit_item
from streammf.learning.compiling import inner
from streammf.learning.decay import faded, log_sum, shrink
from streammf.learning.marks import mark
from streammf.learning.rates import Rates
from streammf.learning.seen import note_seen
from streammf.learning.tables import Array, Axis, State, Whole

SEEN = int(Axis.SEEN)

#: ms: how far ahead of the clock an event may be and move it.
MOST_AHEAD = 86_400_000
#: Events in a row that must be farther ahead to be believed. After a silent month the clock follows the third event; a producer
#: that sends one stamp of the year 2106 does not make everybody else eighty years late.
WITNESSES = 3


@inner
def advance(whole: Whole, time: int) -> None:
    """Move the clock to `time`, if that is later, and near or attested."""
    clock = whole.clock[0]
    if time <= clock + MOST_AHEAD or whole.events[0] == 0:
        whole.clock[0] = max(clock, time)
        whole.ahead[0] = 0
        return
    whole.ahead_time[0] = min(whole.ahead_time[0], time) if whole.ahead[0] > 0 else time
    whole.ahead[0] += 1
    if whole.ahead[0] == WITNESSES:
        whole.clock[0] = whole.ahead_time[0]
        whole.ahead[0] = 0


@inner
def moment(state: State, batch: Batch, n: int) -> int:
    """The time that event n counts as, once it was met: its own, or the clock's where it claims to be later."""
    return min(batch.time[n], state.whole.clock[0])


@inner
def meet(state: State, marks: Marks, batch: Batch, rates: Rates, n: int) -> Real:
    """Move the clocks to event n and p_u to the event's time; returns what the event teaches with: less if it is late."""
    user = batch.user[n]
    partition = batch.partition[n]
    advance(state.whole, batch.time[n])
    time = moment(state, batch, n)
    state.partitions.clock[partition] = max(state.partitions.clock[partition], time)
    state.partitions.events[partition] += 1
    mark(marks.users, user, 0.0)
    mark(marks.items, batch.item[n], 0.0)
    if state.items.events[batch.item[n]] < 0:
        inherit_item(state, marks, batch.item[n])
    if state.users.events[user] == 0:
        state.users.partition[user] = partition
        begin_user(state, marks, user)
    elif rates.user_decay > 0.0 and time > state.users.last_time[user]:
        shrink(state.users.factor, user, faded(rates.user_decay, time - state.users.last_time[user]))
    return batch.weight[n] * faded(rates.late_decay, state.whole.clock[0] - time)


@inner
def count(state: State, marks: Marks, counts: Array, batch: Batch, rates: Rates, n: int) -> None:
    """Count event n for its user, its item and the whole, and note the item as seen."""
    users = state.users
    items = state.items
    user = batch.user[n]
    item = batch.item[n]
    time = moment(state, batch, n)
    users.events[user] += 1
    users.last_time[user] = max(users.last_time[user], time)
    if items.events[item] <= 0:
        items.events[item] = 0
        items.first_time[item] = time
    items.events[item] += 1
    items.last_time[item] = max(items.last_time[item], time)
    state.whole.events[0] += 1
    note_seen(users, state.whole, state.seen, counts, SEEN, marks.seen, user, item)
    if batch.weight[n] > 0:
        items.log_popularity[item] = log_sum(
            items.log_popularity[item], np.log(np.float64(batch.weight[n])) + rates.popularity_decay * time
        )


@inner
def push_recent(state: State, marks: Marks, batch: Batch, n: int, value: Real, weight: Real) -> None:
    """Put event n into the ring of recent ones and count it as learned from, for its user, its item and the whole."""
    recent = state.recent
    place = state.whole.taught[0] % len(recent.item)
    recent.user[place] = batch.user[n]
    recent.item[place] = batch.item[n]
    recent.value[place] = value
    recent.weight[place] = weight
    recent.time[place] = moment(state, batch, n)
    mark(marks.recent, place, 0.0)
    state.whole.taught[0] += 1
    state.users.taught[batch.user[n]] += 1
    state.items.taught[batch.item[n]] += 1
