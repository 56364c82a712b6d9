"""Attributes: what producers say of items and users, and what those that nothing else is known of take over from others.

Rules of this file:
1. A value of an attribute has a row, by its hash. With every event that teaches, the values of its item and of its user move
   their means towards what the model knows of the two: vectors, bias, level; after WINDOW events they forget.
2. Whoever has had no event yet stands at the mean over its own values; a value that few events were seen of counts less. An
   item, which may be recommended before its first event, is brought up to date in turn, one row an event; anybody at the
   first event. From then on learning goes on from there: what was taken over weighs as much as what a row begins with always
   does, so that evidence takes its place.
3. Without attributes there are no rows, and an event costs three comparisons.
"""

from typing import Final, NamedTuple

from numba import types

from streammf.learning.arguments import MARKS, STATE, Mark, Marks, Real, array_type
from streammf.learning.compiling import apart, inner, kernel
from streammf.learning.levels import ITEM_PRIOR, USER_PRIOR, level_of
from streammf.learning.marks import mark
from streammf.learning.tables import Array, Items, RatedItems, RatedUsers, SolvedItems, SolvedUsers, State, Users, Values

#: Events after which the mean of a value has forgotten two thirds.
WINDOW: Final = 1000
#: Events at which a value's mean counts half.
FEW: Final = 10.0


class Side(NamedTuple):
    """What attributes lead from and to, of items or of users."""

    attribute: Array
    values: Values
    own: Items | Users
    solved: SolvedItems | SolvedUsers
    rated: RatedItems | RatedUsers
    prior: float
    """Ratings that a row's level begins with."""


@inner
def of_items(state: State) -> Side:
    """The side of items."""
    described, values = state.described_items.attribute, state.item_values
    return Side(described, values, state.items, state.solved_items, state.rated_items, ITEM_PRIOR)


@inner
def of_users(state: State) -> Side:
    """The side of users."""
    described, values = state.described_users.attribute, state.user_values
    return Side(described, values, state.users, state.solved_users, state.rated_users, USER_PRIOR)


@inner
def standing(attribute: Array, row: int, events: Array) -> float:
    """How many of the row's values an event was seen of."""
    known = 0.0
    for n in range(attribute.shape[1]):
        value = attribute[row, n]
        if value >= 0 and events[value] > 0:
            known += 1.0
    return known


@inner
def share_of(events: Array, value: int, known: float) -> float:
    """What a value's mean counts for somebody who has so many known ones."""
    return events[value] / (events[value] + FEW) / known if value >= 0 and events[value] > 0 else 0.0


@inner
def write_vector(attribute: Array, row: int, events: Array, known: float, means: Array, out: Array) -> None:
    """out[row] = the mean over the row's values."""
    for f in range(out.shape[1]):
        out[row, f] = 0.0
    for n in range(attribute.shape[1]):
        value = attribute[row, n]
        share = share_of(events, value, known)
        if share > 0.0:
            for f in range(out.shape[1]):
                out[row, f] += share * means[value, f]


@inner
def number_of(attribute: Array, row: int, events: Array, known: float, means: Array) -> float:
    """The same of a number."""
    total = 0.0
    for n in range(attribute.shape[1]):
        value = attribute[row, n]
        share = share_of(events, value, known)
        if share > 0.0:
            total += share * means[value]
    return total


@inner
def inherit(side: Side, row: int, own: Mark, solved: Mark, rated: Mark) -> None:
    """Let a row without events start from what is known of the values of its attributes. The marks are of side's tables."""
    attribute, values = side.attribute, side.values
    known = standing(attribute, row, values.events)
    if known == 0.0:
        return
    write_vector(attribute, row, values.events, known, values.factor, side.own.factor)
    side.own.bias[row] = number_of(attribute, row, values.events, known, values.bias)
    mark(own, row, 0.0)
    if len(side.solved.factor) > 0:
        write_vector(attribute, row, values.events, known, values.solved, side.solved.factor)
        mark(solved, row, 0.0)
    if len(side.rated.sum) > 0:
        side.rated.sum[row] = side.prior * number_of(attribute, row, values.events, known, values.level)
        mark(rated, row, 0.0)


@apart
def inherit_item(state: State, marks: Marks, item: int) -> None:
    """Let an item without events start from its attributes."""
    inherit(of_items(state), item, marks.items, marks.solved_items, marks.rated_items)


@apart
def inherit_user(state: State, marks: Marks, user: int) -> None:
    """The same for a user."""
    inherit(of_users(state), user, marks.users, marks.solved_users, marks.rated_users)


@inner
def approach(means: Array, value: int, rate: float, rows: Array, row: int) -> None:
    """Move a value's mean towards a row."""
    for f in range(means.shape[1]):
        means[value, f] += rate * (rows[row, f] - means[value, f])


@inner
def teach(side: Side, row: int, marked: Mark) -> None:
    """Let the values of a row learn what is known of it by now. marked: of the values."""
    values = side.values
    for n in range(side.attribute.shape[1]):
        value = side.attribute[row, n]
        if value < 0:
            break
        values.events[value] += 1
        rate = 1.0 / min(values.events[value], WINDOW)
        approach(values.factor, value, rate, side.own.factor, row)
        values.bias[value] += rate * (side.own.bias[row] - values.bias[value])
        if len(side.solved.factor) > 0:
            approach(values.solved, value, rate, side.solved.factor, row)
        if len(side.rated.sum) > 0:
            level = level_of(side.rated.sum[row], side.rated.weight[row], side.prior)
            values.level[value] += rate * (level - values.level[value])
        mark(marked, value, 0.0)


@apart
def note_values(state: State, marks: Marks, user: int, item: int) -> None:
    """Let the values of an event's item and user learn what is known of the two by now."""
    teach(of_items(state), item, marks.item_values)
    teach(of_users(state), user, marks.user_values)


@inner
def refresh(state: State, marks: Marks) -> None:
    """Bring one of the described items that had no event yet up to date, in turn."""
    item = state.whole.events[0] % state.describing.catalogue[0]
    if state.items.events[item] < 0:
        inherit_item(state, marks, item)


@inner
def note_described(state: State, marks: Marks, user: int, item: int, weight: Real) -> None:
    """What an event does here, once it was learned from and counted."""
    if len(state.describing.catalogue) == 0 or state.describing.catalogue[0] + state.describing.users[0] == 0:
        return
    if weight > 0 and (state.described_items.attribute[item, 0] >= 0 or state.described_users.attribute[user, 0] >= 0):
        note_values(state, marks, user, item)
    if state.describing.catalogue[0] > 0:
        refresh(state, marks)


@inner
def begin_user(state: State, marks: Marks, user: int) -> None:
    """What the first event of a user does here, before it is learned from."""
    if len(state.describing.users) > 0 and state.described_users.attribute[user, 0] >= 0:
        inherit_user(state, marks, user)


VALUES = array_type("i4", 1, readonly=True)


@kernel(types.void(STATE, MARKS, types.int64, VALUES, types.int64, types.int64), allocates=False, brief=True)
def describe_item(state: State, marks: Marks, item: int, values: Array, hidden: int, time: int) -> None:
    """An item has these values, no more than ATTRIBUTED, instead of those before. time: since when it counts as known, ms."""
    described = state.described_items
    for n in range(described.attribute.shape[1]):
        described.attribute[item, n] = values[n] if n < len(values) else -1
    state.describing.hidden[0] += hidden - described.hidden[item]
    described.hidden[item] = hidden
    mark(marks.described_items, item, 0.0)
    state.describing.catalogue[0] = max(state.describing.catalogue[0], item + 1)
    if state.items.events[item] <= 0 and len(values) > 0:
        if state.items.events[item] == 0:
            state.items.events[item] = -1
            state.items.first_time[item] = state.items.last_time[item] = time
        mark(marks.items, item, 0.0)
        inherit_item(state, marks, item)


@kernel(types.void(STATE, MARKS, types.int64, VALUES), allocates=False, brief=True)
def describe_user(state: State, marks: Marks, user: int, values: Array) -> None:
    """A user has these values, no more than ATTRIBUTED, instead of those before."""
    described = state.described_users
    for n in range(described.attribute.shape[1]):
        described.attribute[user, n] = values[n] if n < len(values) else -1
    mark(marks.described_users, user, 0.0)
    state.describing.users[0] = max(state.describing.users[0], user + 1)
    if state.users.events[user] == 0:
        inherit_user(state, marks, user)
