"""The exact scan: every item's score, and the best k of them, in one pass over the vectors.

Rules of this file:
1. Single read-only arrays in, the caller's arrays out; the arrays are cut to the rows in use.
2. Order: the higher score, then the lower row. Items that no event has reached yet are no candidates.
3. The best so far stand in a heap whose root is the worst of them, so most rows cost their product and one comparison.
"""

import numpy as np
from numba import types

from streammf.learning.arguments import Real, array_type
from streammf.learning.compiling import inner, kernel
from streammf.learning.tables import Array

#: log of the least popularity that counts: what a new item and a long forgotten one have in common.
LEAST_POPULARITY = np.log(0.05)

VECTORS = array_type("f4", 2, readonly=True)
FLOATS = array_type("f4", 1, readonly=True)
DOUBLES = array_type("f8", 1, readonly=True)
ROWS = array_type("i4", 1, readonly=True)


@inner
def popularity_at(log_popularity: Real, fade: Real) -> Real:
    """The log of an item's decayed number of events now; fade: λ · now."""
    return max(log_popularity - fade, LEAST_POPULARITY)


@inner
def worse(scores: Array, rows: Array, a: int, b: int) -> bool:
    """Entry a of the heap comes after entry b in the answer."""
    return scores[a] < scores[b] or (scores[a] == scores[b] and rows[a] > rows[b])


@inner
def swap(scores: Array, rows: Array, a: int, b: int) -> None:
    """Exchange two entries."""
    scores[a], scores[b] = scores[b], scores[a]
    rows[a], rows[b] = rows[b], rows[a]


@inner
def sink(scores: Array, rows: Array, held: int) -> None:
    """Restore the order of a heap of `held` entries whose root is new."""
    parent = 0
    while 2 * parent + 1 < held:
        child = 2 * parent + 1
        if child + 1 < held and worse(scores, rows, child + 1, child):
            child += 1
        if not worse(scores, rows, child, parent):
            return
        swap(scores, rows, parent, child)
        parent = child


@inner
def offer(scores: Array, rows: Array, held: int, score: Real, row: int) -> int:
    """Take (score, row) into the heap if it belongs there; returns the number of entries. Rows come in ascending order."""
    if held == len(rows):
        if score > scores[0]:
            scores[0] = score
            rows[0] = row
            sink(scores, rows, held)
        return held
    scores[held] = score
    rows[held] = row
    child = held
    while child > 0 and worse(scores, rows, child, (child - 1) // 2):
        swap(scores, rows, child, (child - 1) // 2)
        child = (child - 1) // 2
    return held + 1


@inner
def arrange(scores: Array, rows: Array, held: int) -> None:
    """Turn the heap into the answer, the best first."""
    for last in range(held - 1, 0, -1):
        swap(scores, rows, 0, last)
        sink(scores, rows, last)


@kernel(
    types.int64(
        VECTORS, FLOATS, ROWS, FLOATS, DOUBLES, types.float32, types.float32, types.float64, ROWS,
        array_type("i4", 1), array_type("f4", 1),
    ),
    allocates=False,
)  # fmt: skip
def best(
    vectors: Array,
    query: Array,
    events: Array,
    bias: Array,
    log_popularity: Array,
    bias_weight: Real,
    popularity_weight: Real,
    fade: Real,
    exclude: Array,
    rows: Array,
    scores: Array,
) -> int:
    """The rows with the highest vector·query + bias_weight · bias + popularity_weight · log-popularity.

    query: (k,), or () for a score without vectors. exclude: ascending rows. rows, scores: (k,) of the answer, written.
    Returns how many there are.
    """
    held = 0
    skip = 0
    for row in range(len(events)):
        if skip < len(exclude) and exclude[skip] == row:
            skip += 1
            continue
        if events[row] == 0:
            continue
        score = np.float32(0.0)
        for f in range(len(query)):
            score += vectors[row, f] * query[f]
        score += bias_weight * bias[row]
        score += popularity_weight * np.float32(popularity_at(log_popularity[row], fade))
        held = offer(scores, rows, held, score, row)
    arrange(scores, rows, held)
    return held


@kernel(
    types.int64(VECTORS, types.int64, ROWS, array_type("i4", 1), array_type("f4", 1)),
    allocates=False,
)
def closest(vectors: Array, item: int, events: Array, rows: Array, scores: Array) -> int:
    """The other rows with the highest cosine to row `item`; a vector of length 0 has cosine 0 to all."""
    held = 0
    own = np.float32(0.0)
    for f in range(vectors.shape[1]):
        own += vectors[item, f] * vectors[item, f]
    for row in range(len(events)):
        if row == item or events[row] == 0:
            continue
        product = np.float32(0.0)
        square = np.float32(0.0)
        for f in range(vectors.shape[1]):
            product += vectors[row, f] * vectors[item, f]
            square += vectors[row, f] * vectors[row, f]
        length = np.sqrt(own * square)
        held = offer(scores, rows, held, product / length if length > 0 else np.float32(0.0), row)
    arrange(scores, rows, held)
    return held
