"""What a user's last events say of the user's taste: z_u = p_u + Σ c_j y_j over the ring of the last H events.

Rules of this file:
1. c_j = v_j ω_j / √Σω, ω_j = rank_decay^j · 2^(-age / half-life): j = 0 is the newest event, v_j what the ring holds of it.
2. An event that is rehearsed does not speak for itself: its item's places in the ring weigh 0.
3. A forgotten item leaves a hole (-1), which says nothing and is passed over.
4. Rings are walked backwards from the newest place: `before` instead of a remainder, which would cost more than the sums.
"""

import numpy as np

from streammf.learning.arguments import Mark, Real
from streammf.learning.bounds import bounded
from streammf.learning.compiling import inner
from streammf.learning.decay import faded
from streammf.learning.marks import mark
from streammf.learning.rates import Rates
from streammf.learning.tables import Array, Users

#: Σω below which a history says nothing any more: far below, 1/√Σω would leave float32.
LEAST_TOTAL = 1e-12


@inner
def newest(taught: int, size: int) -> int:
    """Where the newest of `taught` events stands in a ring."""
    return (taught - 1) % size


@inner
def before(place: int, size: int) -> int:
    """The place of the event before the one that stands at `place`."""
    return place - 1 if place > 0 else size - 1


@inner
def weigh_history(users: Users, rates: Rates, user: int, now: int, skip: int, share: Array) -> int:
    """Write c_j into share[j]; returns how many there are. now: ms since the epoch; skip: an item row, or -1."""
    size = users.history_item.shape[1]
    last = users.history_value.shape[1] - 1
    held = min(users.taught[user], rates.history)
    place = newest(users.taught[user], size)
    rank: Real = 1.0
    total: Real = 0.0
    for back in range(held):
        weight: Real = 0.0
        item = users.history_item[user, place]
        if item >= 0 and item != skip:
            weight = rank * faded(rates.history_decay, now - users.history_time[user, place] * 1000)
        total += weight
        share[back] = np.float32(weight) * users.history_value[user, min(place, last)]
        rank *= rates.rank_decay
        place = before(place, size)
    if total < LEAST_TOTAL:
        return 0
    scale = np.float32(1.0 / np.sqrt(total))
    for back in range(held):
        share[back] *= scale
    return held


@inner
def gather(users: Users, implicit: Array, user: int, share: Array, held: int, out: Array) -> None:
    """out = p_u + Σ share[j] y_j."""
    size = users.history_item.shape[1]
    for f in range(len(out)):
        out[f] = users.factor[user, f]
    place = newest(users.taught[user], size)
    for back in range(held):
        weight = share[back]
        if weight != 0:
            item = users.history_item[user, place]
            for f in range(len(out)):
                out[f] += weight * implicit[item, f]
        place = before(place, size)


@inner
def teach_history(
    users: Users, implicit: Array, marks: Mark, rates: Rates, user: int, share: Array, held: int, pull: Array, curve: Real
) -> None:
    """One step of every y_j that spoke. pull: -∂loss/∂z; curve: the loss's curvature along q, for the marks."""
    size = users.history_item.shape[1]
    rate = np.float32(rates.implicit)
    keep = np.float32(1.0 - rates.implicit * rates.regularisation)
    place = newest(users.taught[user], size)
    for back in range(held):
        if share[back] != 0:
            item = users.history_item[user, place]
            step = rate * share[back]
            for f in range(len(pull)):
                implicit[item, f] = bounded(keep * implicit[item, f] + step * pull[f])
            mark(marks, item, step * share[back] * curve)
        place = before(place, size)


@inner
def recall_past(users: Users, rates: Rates, user: int, past: Array) -> int:
    """Write the items of the user's history into past, the newest first; returns how many there are."""
    size = users.history_item.shape[1]
    held = 0
    place = newest(users.taught[user], size)
    for _ in range(min(users.taught[user], rates.history)):
        past[held] = users.history_item[user, place]
        held += past[held] >= 0
        place = before(place, size)
    return held


@inner
def tied(users: Users, user: int, held: int, time: int) -> int:
    """How many of the newest of the `held` items of the history stand at the same second as `time`, ms."""
    size = users.history_item.shape[1]
    place = newest(users.taught[user], size)
    same = 0
    while same < held:
        if users.history_item[user, place] >= 0:
            if users.history_time[user, place] != time // 1000:
                return same
            same += 1
        place = before(place, size)
    return held


@inner
def push_history(users: Users, user: int, item: int, value: Real, time: int) -> None:
    """Note the user's newest event. The caller counts it (users.taught) afterwards."""
    place = users.taught[user] % users.history_item.shape[1]
    users.history_item[user, place] = item
    users.history_value[user, min(place, users.history_value.shape[1] - 1)] = value
    users.history_time[user, place] = time // 1000
