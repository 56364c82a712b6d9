"""What the model answers: pure functions of read-only arrays.

Rules of this file:
1. A State of read-only views, and counts that were published before the views are read: rows beyond counts[Axis.ITEM] do
   not exist, and an item that no event has reached yet is no candidate, unless it was described.
2. "Now" is the event clock. No wall clock.
3. Scores: ranking, the blend's w·x; without the blend, q·z + log-popularity (negatives were drawn by popularity, so q·z is
   taste beyond it); rating, the expected rating before it is cut to the scale, so that the best do not all tie at its top.
   With the stack the vectors choose a shortlist (twice what is asked for, and SHORTLIST more), and what predicts orders it.
4. The guard (guard.py) may let a simple method serve in the model's place: lists and scores are then that method's.
5. Nobody is an error: who is unknown, or has only events that teach nothing, gets what is popular, and `personal` says so.
6. What is hidden is on no list. A described item is a candidate before its first event.
"""

from collections.abc import Sequence
from functools import lru_cache
from threading import get_ident
from typing import Final, NamedTuple

import numpy as np

from streammf.learning.arguments import frozen
from streammf.learning.conjugate import Bench, bench
from streammf.learning.desk import Desk, desk
from streammf.learning.expected import expect
from streammf.learning.features import SOURCES
from streammf.learning.mean import mean_rating
from streammf.learning.options import LearningOptions
from streammf.learning.rates import Rates, rates
from streammf.learning.room import Room, room
from streammf.learning.scan import BLOCK, best, closest, popularity_at
from streammf.learning.seen import collect
from streammf.learning.shortlist import Places, list_blended, most_listed, places
from streammf.learning.slate import slate
from streammf.learning.tables import Array, Axis, Dimensions, State
from streammf.learning.taste import taste

NOTHING: Final[Array] = np.empty(0, np.int32)
SHORTLIST: Final = 200


class Ranked(NamedTuple):
    """Items in order of their score, the best first; equal scores by row."""

    rows: Array  # int32 (n,)
    scores: Array  # float32 (n,)
    personal: bool  # False: nothing is known of this user's taste, and the items are simply popular
    shares: Array | None = None  # float32 (n, SOURCES): of what lifts each item above the others; None: one source alone


class Asked(NamedTuple):
    """What a user, or somebody without a row, wants recommended."""

    user_row: int  # -1: somebody without a row
    history: Array  # int32, the item rows that this somebody met, the newest last
    k: int  # most items
    exclude: Array  # int32, item rows in any order; -1 excludes nothing


def user_vector(state: State, options: LearningOptions, user_row: int) -> Array:
    """z_u at the event clock: float32 (k,)."""
    space = room(options.dimensions)
    taste(state.users, state.implicit.factor, rates(options), space, user_row, int(state.whole.clock[0]))
    return space.z


def visitor_vector(state: State, numbers: Rates, history: Array) -> Array:
    """z of somebody without a row who met these items, the newest last: what their history says, without a p."""
    rows = history[::-1][: max(numbers.history, 1)]
    weights = numbers.rank_decay ** np.arange(len(rows))
    weights /= np.sqrt(weights.sum())
    return np.asarray(weights @ state.implicit.factor[rows], np.float32)


def recommend(
    state: State, counts: Array, options: LearningOptions, user_row: int, history: Array, k: int, exclude: Array
) -> Ranked:
    """The k best items for a user, or (user_row < 0) for somebody who met the items `history`, the newest last."""
    return recommend_many(state, counts, options, [Asked(user_row, history, k, exclude)])[0]


def recommend_many(state: State, counts: Array, options: LearningOptions, asked: Sequence[Asked]) -> list[Ranked]:
    """The best items for each who asked: bit for bit what `recommend` finds for each alone, in less time."""
    asked = _without_hidden(state, counts, asked)
    if options.blends:
        return [_blend(state, counts, options, one) for one in asked]
    numbers = rates(options)
    space = room(options.dimensions)
    if _popularity_serves(state, options):
        return _popular_to_all(state, counts, numbers, asked)
    vectors = np.empty((len(asked), options.factors), np.float32)
    personal = [_write_vector(state, numbers, space, one, out) for one, out in zip(asked, vectors, strict=True)]
    knowing = [n for n, known in enumerate(personal) if known]
    others = [n for n, known in enumerate(personal) if not known]
    lists = {
        True: iter(_by_taste(state, counts, options, numbers, vectors[knowing], [asked[n] for n in knowing])),
        False: iter(_scan(state, counts, numbers, vectors[others, :0], 0.0, 1.0, [asked[n] for n in others])),
    }
    return [Ranked(*next(lists[known]), known) for known in personal]


def popular(state: State, counts: Array, options: LearningOptions, k: int, exclude: Array) -> Ranked:
    """The k most popular items at the event clock; the score is the log of the decayed number of events."""
    asked = _without_hidden(state, counts, [Asked(-1, exclude[:0], k, exclude)])
    [(rows, scores)] = _scan(state, counts, rates(options), np.empty((1, 0), np.float32), 0.0, 1.0, asked)
    return Ranked(rows, scores, personal=False)


def sources(ranked: Ranked) -> list[dict[str, float]]:
    """What put each item of a list there, the weightiest first; the parts of one item sum to 1."""
    if ranked.shares is None:
        return [{"factors" if ranked.personal else "popular": 1.0} for _ in ranked.rows]
    found = []
    for shares in ranked.shares.tolist():
        parts = sorted(zip(SOURCES, shares, strict=True), key=lambda part: -part[1])
        found.append({name: share for name, share in parts if share > 0})
    return found


def similar_items(state: State, counts: Array, options: LearningOptions, item_row: int, k: int) -> Ranked:
    """The k items whose vectors point most nearly the same way: cosine of q."""
    n = int(counts[Axis.ITEM])
    rows = np.empty(min(k, n), np.int32)
    scores = np.empty(len(rows), np.float32)
    vectors = state.items.factor if options.gradient or not options.blends else state.solved_items.factor
    events = state.items.events[:n]
    if len(hidden := hidden_items(state, counts)):
        events = events.copy()
        events[hidden] = 0
        events = frozen(events)
    held = closest(vectors[:n], item_row, events, rows, scores) if len(rows) else 0
    return Ranked(rows[:held], scores[:held], personal=True)


def predict(state: State, counts: Array, options: LearningOptions, user_row: int, item_row: int) -> float:
    """Rating: the expected rating, within the scale. Ranking: the score that `recommend` orders by. Rows may be -1: then it
    is the score by which unknown people's lists are ordered.
    """
    numbers = rates(options)
    item = item_row if item_row < counts[Axis.ITEM] else -1
    if options.blends and item >= 0:
        return float(_blend(state, counts, options, Asked(user_row, NOTHING, 1, NOTHING), only=item).scores[0])
    if options.stacks:
        space = room(options.dimensions)
        if user_row >= 0:
            taste(state.users, state.implicit.factor, numbers, space, user_row, int(state.whole.clock[0]))
        return float(
            np.clip(_expected(state, options, numbers, space, user_row, np.array([item], np.int32))[0], *options.scale)
        )
    score = 0.0
    if user_row >= 0 and item >= 0 and not _popularity_serves(state, options):
        score = float(user_vector(state, options, user_row) @ state.items.factor[item])
    if options.objective == "ranking":
        log_popularity = state.items.log_popularity[item] if item >= 0 else -np.inf
        return score + float(popularity_at(log_popularity, _fade(state, numbers)))
    score += float(mean_rating(state.whole))
    score += float(state.users.bias[user_row]) if user_row >= 0 else 0.0
    score += float(state.items.bias[item]) if item >= 0 else 0.0
    return float(np.clip(numbers.middle + numbers.quarter * score, *options.scale))


def hidden_items(state: State, counts: Array) -> Array:
    """The items that producers want kept out of answers: int32, ascending."""
    if not len(state.describing.hidden) or not state.describing.hidden[0]:
        return NOTHING
    return np.flatnonzero(state.described_items.hidden[: counts[Axis.ITEM]]).astype(np.int32)


def seen_items(state: State, user_row: int) -> Array:
    """Every item that the user ever had an event on: int32, ascending, each once."""
    block = int(state.users.seen_block[user_row])
    # read after the block: a trainer that writes meanwhile counts an item after it has linked it
    noted = np.empty(int(state.users.seen_count[user_row]) + 2 * state.seen.items.shape[1], np.int32)
    rows: Array = noted[: collect(state.seen.items, state.seen.next, block, noted)]
    rows.sort()
    first = np.ones(len(rows), np.bool_)
    np.not_equal(rows[1:], rows[:-1], out=first[1:])
    return rows[first]


def has_taste(state: State, user_row: int) -> bool:
    """Whether anything is known of a user's taste: from choices, or from what others choose who share its attributes."""
    return bool(state.users.taught[user_row] > 0 or state.users.factor[user_row].any())


def _without_hidden(state: State, counts: Array, asked: Sequence[Asked]) -> Sequence[Asked]:
    """The same, each excluding what is hidden."""
    hidden = hidden_items(state, counts)
    if not len(hidden):
        return asked
    return [one._replace(exclude=np.concatenate((one.exclude, hidden))) for one in asked]


class _Workshop(NamedTuple):
    """Room to answer from the blend, one after another."""

    room: Room
    desk: Desk
    bench: Bench
    places: Places


@lru_cache(maxsize=16)
def _workshop(thread: int, dimensions: Dimensions, k: int) -> _Workshop:
    """A thread's room for lists of k, kept from answer to answer: making it takes as long as a third of an answer."""
    put = places(k, dimensions.factors)
    return _Workshop(room(dimensions), desk(dimensions, most_listed(k)), bench(dimensions), put)


def _blend(state: State, counts: Array, options: LearningOptions, one: Asked, only: int = -1) -> Ranked:
    """The best items for somebody; only: the one item to score. Of whom nothing is known gets what newcomers choose."""
    numbers, count = rates(options), int(counts[Axis.ITEM])
    shop = _workshop(get_ident(), options.dimensions, max(min(one.k, count), 1))
    history = NOTHING if one.user_row >= 0 else one.history[::-1][: numbers.history]
    known = has_taste(state, one.user_row) if one.user_row >= 0 else len(history) > 0
    if one.user_row < 0:
        shop.desk.past[: len(history)] = history
        shop.room.z[:] = visitor_vector(state, numbers, one.history) if known else 0.0
    excluded = frozen(np.sort(one.exclude))
    held = list_blended(state, numbers, *shop, one.user_row, len(history), count, excluded, only)
    held, put = min(held, one.k), shop.places
    return Ranked(put.rows[:held].copy(), put.scores[:held].copy(), known, put.shares[:held].copy())


def _popularity_serves(state: State, options: LearningOptions) -> bool:
    """Whether the guard lets popularity serve in place of a model without a blend."""
    return options.objective == "ranking" and not options.blends and bool(state.measures.serving[0] > 0)


def _popular_to_all(state: State, counts: Array, numbers: Rates, asked: Sequence[Asked]) -> list[Ranked]:
    """Popular items for each who asked; `personal` still says whether anything is known of them."""
    found = _scan(state, counts, numbers, np.empty((len(asked), 0), np.float32), 0.0, 1.0, asked)
    lists = []
    for one, (rows, scores) in zip(asked, found, strict=True):
        known = has_taste(state, one.user_row) if one.user_row >= 0 else len(one.history) > 0
        shares = np.zeros((len(rows), len(SOURCES)), np.float32)
        shares[:, SOURCES.index("popular")] = 1.0
        lists.append(Ranked(rows, scores, known, shares if known else None))
    return lists


def _fade(state: State, numbers: Rates) -> float:
    return numbers.popularity_decay * float(state.whole.clock[0])


def _write_vector(state: State, numbers: Rates, space: Room, one: Asked, out: Array) -> bool:
    """Write the z that answers start from; False: nothing is known of this taste."""
    if one.user_row >= 0 and has_taste(state, one.user_row):
        own = Room(out, space.pull, space.share)
        taste(state.users, state.implicit.factor, numbers, own, one.user_row, int(state.whole.clock[0]))
        return True
    if one.user_row < 0 and len(one.history):
        out[:] = visitor_vector(state, numbers, one.history)
        return True
    return False


def _by_taste(
    state: State, counts: Array, options: LearningOptions, numbers: Rates, vectors: Array, asked: Sequence[Asked]
) -> list[tuple[Array, Array]]:
    if options.objective == "ranking":
        return _scan(state, counts, numbers, vectors, 0.0, 1.0, asked)
    if options.stacks:
        return _by_stack(state, counts, options, numbers, vectors, asked)
    found = []
    mean = mean_rating(state.whole)
    for one, (rows, scores) in zip(asked, _scan(state, counts, numbers, vectors, 1.0, 0.0, asked), strict=True):
        bias = float(state.users.bias[one.user_row]) if one.user_row >= 0 else 0.0
        found.append((rows, (numbers.middle + numbers.quarter * (mean + bias + scores)).astype(np.float32)))
    return found


def _by_stack(
    state: State, counts: Array, options: LearningOptions, numbers: Rates, vectors: Array, asked: Sequence[Asked]
) -> list[tuple[Array, Array]]:
    """The best by what predicts, of those that the vectors find."""
    more = [one._replace(k=2 * one.k + SHORTLIST) for one in asked]
    space = room(options.dimensions)
    found = []
    for one, vector, (rows, _) in zip(asked, vectors, _scan(state, counts, numbers, vectors, 1.0, 0.0, more), strict=True):
        space.z[:] = vector
        scores = _expected(state, options, numbers, space, one.user_row, rows).astype(np.float32)
        best = np.lexsort((rows, -scores))[: one.k]
        found.append((rows[best], scores[best]))
    return found


def _expected(state: State, options: LearningOptions, numbers: Rates, space: Room, user_row: int, rows: Array) -> Array:
    """What the stack's serving part expects, on the scale but not cut to it; space.z: the user's vector."""
    out = np.empty(len(rows))
    expect(state, numbers, space, slate(options.dimensions), user_row, frozen(rows), out)
    return numbers.middle + numbers.quarter * out


def _scan(
    state: State,
    counts: Array,
    numbers: Rates,
    vectors: Array,
    bias_weight: float,
    popularity_weight: float,
    asked: Sequence[Asked],
) -> list[tuple[Array, Array]]:
    """(rows, scores) for each who asked. vectors: (m, k), or (m, 0) for what is the same for all."""
    n, m = int(counts[Axis.ITEM]), len(asked)
    if not n or not m:
        return [(np.empty(0, np.int32), np.empty(0, np.float32))] * m
    wanted = np.array([max(min(one.k, n), 1) for one in asked])
    excluded = [np.sort(one.exclude) for one in asked]
    rows = np.empty((m, wanted.max()), np.int32)
    scores = np.empty(rows.shape, np.float32)
    held = np.empty(m, np.int64)
    items = state.items
    best(
        items.factor[:n],
        frozen(vectors),
        items.events[:n],
        items.bias[:n],
        items.log_popularity[:n],
        np.float32(bias_weight),
        np.float32(popularity_weight),
        _fade(state, numbers),
        frozen(np.concatenate(excluded)),
        frozen(np.cumsum([0, *map(len, excluded)])),
        frozen(wanted),
        np.empty((2, BLOCK), np.float32),
        rows,
        scores,
        held,
    )
    lengths = [min(found, one.k) for found, one in zip(held.tolist(), asked, strict=True)]
    return [(rows[u, :length], scores[u, :length]) for u, length in enumerate(lengths)]
