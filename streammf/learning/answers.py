"""What the model answers: pure functions of read-only arrays.

Rules of this file:
1. A State of read-only views, and counts that were published before the views are read: rows beyond counts[Axis.ITEM] do
   not exist, and an item that no event has reached yet is no candidate.
2. "Now" is the event clock. No wall clock.
3. Scores: ranking, q·z + log-popularity (negatives were drawn by popularity, so q·z is taste beyond it); rating, the
   expected rating before it is cut to the scale, so that the best do not all tie at the top of it.
4. Nobody is an error: who is unknown, or has only events that teach nothing, gets what is popular, and `personal` says so.
"""

from typing import Final, NamedTuple

import numpy as np

from streammf.learning.arguments import frozen
from streammf.learning.mean import mean_rating
from streammf.learning.options import LearningOptions
from streammf.learning.rates import Rates, rates
from streammf.learning.room import room
from streammf.learning.scan import best, closest, popularity_at
from streammf.learning.seen import collect
from streammf.learning.tables import Array, Axis, State
from streammf.learning.taste import taste


class Ranked(NamedTuple):
    """Items in order of their score, the best first; equal scores by row."""

    rows: Array  # int32 (n,)
    scores: Array  # float32 (n,)
    personal: bool  # False: nothing is known of this user's taste, and the items are simply popular


NO_VECTOR: Final[Array] = np.empty(0, np.float32)


def user_vector(state: State, options: LearningOptions, user_row: int) -> Array:
    """z_u at the event clock: float32 (k,)."""
    space = room(options.dimensions)
    taste(state.users, state.implicit.factor, rates(options), space, user_row, int(state.whole.clock[0]))
    return space.z


def visitor_vector(state: State, options: LearningOptions, history: Array) -> Array:
    """z of somebody without a row who met these items, the newest last: what their history says, without a p."""
    numbers = rates(options)
    rows = history[::-1][: max(numbers.history, 1)]
    weights = numbers.rank_decay ** np.arange(len(rows))
    weights /= np.sqrt(weights.sum())
    return np.asarray(weights @ state.implicit.factor[rows], np.float32)


def recommend(
    state: State, counts: Array, options: LearningOptions, user_row: int, history: Array, k: int, exclude: Array
) -> Ranked:
    """The k best items for a user, or (user_row < 0) for somebody who met the items `history`, the newest last."""
    if user_row >= 0 and state.users.taught[user_row] > 0:
        vector = user_vector(state, options, user_row)
        bias = float(state.users.bias[user_row])
    elif user_row < 0 and len(history):
        vector = visitor_vector(state, options, history)
        bias = 0.0
    else:
        return popular(state, counts, options, k, exclude)
    numbers = rates(options)
    if options.objective == "ranking":
        rows, scores = _scan(state, counts, numbers, vector, 0.0, 1.0, k, exclude)
        return Ranked(rows, scores, personal=True)
    rows, scores = _scan(state, counts, numbers, vector, 1.0, 0.0, k, exclude)
    expected = numbers.middle + numbers.quarter * (mean_rating(state.whole) + bias + scores)
    return Ranked(rows, expected.astype(np.float32), personal=True)


def popular(state: State, counts: Array, options: LearningOptions, k: int, exclude: Array) -> Ranked:
    """The k most popular items at the event clock; the score is the log of the decayed number of events."""
    rows, scores = _scan(state, counts, rates(options), NO_VECTOR, 0.0, 1.0, k, exclude)
    return Ranked(rows, scores, personal=False)


def similar_items(state: State, counts: Array, options: LearningOptions, item_row: int, k: int) -> Ranked:
    """The k items whose vectors point most nearly the same way: cosine of q."""
    n = int(counts[Axis.ITEM])
    rows = np.empty(min(k, n), np.int32)
    scores = np.empty(len(rows), np.float32)
    held = closest(state.items.factor[:n], item_row, state.items.events[:n], rows, scores) if len(rows) else 0
    return Ranked(rows[:held], scores[:held], personal=True)


def predict(state: State, counts: Array, options: LearningOptions, user_row: int, item_row: int) -> float:
    """Rating: the expected rating, within the scale. Ranking: the score that `recommend` orders by. Rows may be -1."""
    numbers = rates(options)
    item = item_row if item_row < counts[Axis.ITEM] else -1
    score = 0.0
    if user_row >= 0 and item >= 0:
        score = float(user_vector(state, options, user_row) @ state.items.factor[item])
    if options.objective == "ranking":
        log_popularity = state.items.log_popularity[item] if item >= 0 else -np.inf
        return score + float(popularity_at(log_popularity, _fade(state, numbers)))
    score += float(mean_rating(state.whole))
    score += float(state.users.bias[user_row]) if user_row >= 0 else 0.0
    score += float(state.items.bias[item]) if item >= 0 else 0.0
    return float(np.clip(numbers.middle + numbers.quarter * score, *options.scale))


def seen_items(state: State, user_row: int) -> Array:
    """Every item that the user ever had an event on: int32, ascending, each once."""
    block = int(state.users.seen_block[user_row])
    # read after the block: a trainer that writes meanwhile counts an item after it has linked it
    noted = np.empty(int(state.users.seen_count[user_row]) + 2 * state.seen.items.shape[1], np.int32)
    rows: Array = np.unique(noted[: collect(state.seen.items, state.seen.next, block, noted)])
    return rows


def _fade(state: State, numbers: Rates) -> float:
    return numbers.popularity_decay * float(state.whole.clock[0])


def _scan(
    state: State,
    counts: Array,
    numbers: Rates,
    vector: Array,
    bias_weight: float,
    popularity_weight: float,
    k: int,
    exclude: Array,
) -> tuple[Array, Array]:
    n = int(counts[Axis.ITEM])
    rows = np.empty(min(k, n), np.int32)
    scores = np.empty(len(rows), np.float32)
    if not len(rows):
        return rows, scores
    items = state.items
    held = best(
        items.factor[:n],
        frozen(vector),
        items.events[:n],
        items.bias[:n],
        items.log_popularity[:n],
        np.float32(bias_weight),
        np.float32(popularity_weight),
        _fade(state, numbers),
        frozen(np.unique(exclude[exclude >= 0])),
        rows,
        scores,
    )
    return rows[:held], scores[:held]
