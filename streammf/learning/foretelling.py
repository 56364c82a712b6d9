"""What is known of a rating before it is given: the features that the stack weighs, and what each part foretells.

Rules of this file:
1. All is in quarters of the scale from its middle. A prediction of the stack is μ + w·x, every feature within bounds.
2. The same functions serve learning and answers. Rows may be -1: somebody, or something, nothing is known of.
"""

from typing import Final

import numpy as np

from streammf.learning.arguments import Real
from streammf.learning.compiling import inner
from streammf.learning.corated import read_corated
from streammf.learning.history import before, newest
from streammf.learning.levels import ITEM_PRIOR, USER_PRIOR, level_of
from streammf.learning.mean import mean_rating
from streammf.learning.rates import Rates
from streammf.learning.rating import GIVEN
from streammf.learning.room import Room
from streammf.learning.slate import Slate
from streammf.learning.tables import PARTS, STACKED, State, Users

#: Features. *_NEW: the less, the more is known of the item (TASTE_NEW) or of the user.
ALL, FACTORED, ALIKE, ALIKE_WIDE, LATELY, LONGER, BIASED, TASTE, TASTE_NEW, ITEM_NEW, BIASED_NEW, LEVEL, CURVE, TREND = range(
    STACKED
)
#: Parts.
BIASES, FACTORS, WHOLE = range(PARTS)

#: The last ratings that LATELY and LONGER read, what each weighs relative to the next, and what average ratings weigh beside.
SHORT: Final = 8
SHORT_DECAY: Final = 0.8
SHORT_PRIOR: Final = 1.0
LONG: Final = 32
LONG_DECAY: Final = 0.95
LONG_PRIOR: Final = 2.0
#: What the newest residual weighs in an item's trend.
TREND_RATE: Final = 0.1

MOST_FEATURE: Final = 8.0


@inner
def lay_out_person(users: Users, rates: Rates, user: int, slate: Slate) -> None:
    """Write what hangs on the user alone: how the last ratings differed from what was expected."""
    slate.feature[LATELY] = 0.0
    slate.feature[LONGER] = 0.0
    if user < 0:
        return
    size = users.history_item.shape[1]
    at = newest(users.taught[user], size)
    short = 1.0
    short_weight = SHORT_PRIOR
    long = 1.0
    long_weight = LONG_PRIOR
    for back in range(min(users.taught[user], rates.history, LONG)):
        residual = users.history_value[user, at] - GIVEN
        if back < SHORT:
            slate.feature[LATELY] += short * residual
            short_weight += short
            short *= SHORT_DECAY
        slate.feature[LONGER] += long * residual
        long_weight += long
        long *= LONG_DECAY
        at = before(at, size)
    slate.feature[LATELY] /= short_weight
    slate.feature[LONGER] /= long_weight


@inner
def foretell(state: State, rates: Rates, user: int, item: int, slate: Slate) -> None:
    """Write everything about a rating but what q_i·z_u is in, after `lay_out_person`. Rows may be -1: somebody, something."""
    x = slate.feature
    slate.foretold[WHOLE] = mean_rating(state.whole)
    x[ALL] = 1.0
    x[ALIKE] = 0.0
    x[ALIKE_WIDE] = 0.0
    x[FACTORED] = 0.0
    x[BIASED] = 0.0
    x[LEVEL] = 0.0
    x[TREND] = 0.0
    x[ITEM_NEW] = 0.0
    x[BIASED_NEW] = 0.0
    known = 0
    if user >= 0:
        known = state.users.taught[user]
        x[FACTORED] += state.users.bias[user]
        x[BIASED] += level_of(state.rated_users.sum[user], state.rated_users.weight[user], USER_PRIOR)
    if item >= 0:
        level = level_of(state.rated_items.sum[item], state.rated_items.weight[item], ITEM_PRIOR)
        bias = np.float64(state.items.bias[item])
        x[FACTORED] += bias
        x[BIASED] += level
        x[LEVEL] = level - bias
        x[TREND] = state.rated_items.trend[item]
        x[ITEM_NEW] = bias / np.sqrt(1.0 + known)
    x[BIASED_NEW] = x[BIASED] / np.sqrt(1.0 + known)
    if user >= 0 and item >= 0:
        x[ALIKE], x[ALIKE_WIDE] = read_corated(state.users, state.rated_items, rates, user, item, slate.place)


@inner
def foretell_by_taste(state: State, item: int, score: Real, slate: Slate) -> None:
    """Write the rest, and what each part foretells. score: q_i·z_u."""
    x = slate.feature
    taught = state.items.taught[item] if item >= 0 else 0
    mean = slate.foretold[WHOLE]  # of before the rating
    x[FACTORED] += score
    slate.foretold[BIASES] = mean + x[BIASED]
    slate.foretold[FACTORS] = mean + x[FACTORED]
    x[TASTE] = score
    x[TASTE_NEW] = score / np.sqrt(1.0 + taught)
    x[CURVE] = x[FACTORED] * x[FACTORED]
    expected = mean
    for f in range(len(x)):
        x[f] = min(max(x[f], -MOST_FEATURE), MOST_FEATURE)
        expected += state.stack.weight[0, f] * x[f]
    slate.foretold[WHOLE] = expected


@inner
def foretell_item(state: State, rates: Rates, room: Room, user: int, item: int, slate: Slate) -> None:
    """Write all of it, after `lay_out_person`. room.z: z_u, of the user or of somebody without a row."""
    score = np.float32(0.0)
    if item >= 0:
        for f in range(len(room.z)):
            score += room.z[f] * state.items.factor[item, f]
    foretell(state, rates, user, item, slate)
    foretell_by_taste(state, item, score, slate)


@inner
def note_levels(state: State, user: int, item: int, value: Real, weight: Real, residual: Real) -> None:
    """Let a rating count for the damped means of its user and its item, and for the item's trend."""
    users = state.rated_users
    items = state.rated_items
    left = value - mean_rating(state.whole)
    of_user = level_of(users.sum[user], users.weight[user], USER_PRIOR)
    of_item = level_of(items.sum[item], items.weight[item], ITEM_PRIOR)
    users.sum[user] += np.float32(weight * (left - of_item))
    users.weight[user] += np.float32(weight)
    items.sum[item] += weight * (left - of_user)
    items.weight[item] += weight
    items.trend[item] += np.float32(TREND_RATE * min(weight, 1.0) * (residual - items.trend[item]))
