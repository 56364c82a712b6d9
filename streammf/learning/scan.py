"""The exact scan: every item's score for some users at once, and the best k of each, in one pass over the vectors.

Rules of this file:
1. Single read-only arrays in, the caller's arrays out; the arrays are cut to the rows in use.
2. Order: the higher score, then the lower row. Items that no event has reached yet are no candidates, nor is a score that is
   no number.
3. The best so far stand in a heap whose root is the worst of them, so most rows cost their product and one comparison.
4. Items are read a block at a time: the block's vectors are scored for every user while they are in the cache. A score takes
   the same steps whoever else is asked about: the answers for several users are, bit for bit, those for each alone.
"""

import numpy as np
from numba import types

from streammf.learning.arguments import Real, array_type
from streammf.learning.compiling import inner, kernel
from streammf.learning.tables import Array

#: log of the least popularity that counts: what a new item and a long forgotten one have in common.
LEAST_POPULARITY = np.log(0.05)
#: Items scored together: 64 vectors of 64 numbers are 16 KiB, a third of a first-level cache.
BLOCK = 64
#: The row of a place in the heap that no item has taken: it comes after every other.
FREE = 2**31 - 1

VECTORS = array_type("f4", 2, readonly=True)
FLOATS = array_type("f4", 1, readonly=True)
DOUBLES = array_type("f8", 1, readonly=True)
ROWS = array_type("i4", 1, readonly=True)
NUMBERS = array_type("i8", 1, readonly=True)


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
def empty(scores: Array, rows: Array) -> None:
    """A heap of free places."""
    for place in range(len(rows)):
        scores[place] = -np.inf
        rows[place] = FREE


@inner
def offer(scores: Array, rows: Array, score: Real, row: int) -> None:
    """Take (score, row) into the heap, whose root it comes before. Rows come in ascending order."""
    scores[0] = score
    rows[0] = row
    sink(scores, rows, len(rows))


@inner
def arrange(scores: Array, rows: Array) -> int:
    """Turn the heap into the answer, the best first; returns how many items there are."""
    for last in range(len(rows) - 1, 0, -1):
        swap(scores, rows, 0, last)
        sink(scores, rows, last)
    held = 0
    while held < len(rows) and rows[held] != FREE:
        held += 1
    return held


@inner
def among(row: int, excluded: Array) -> bool:
    """Whether `row` is one of `excluded`, which ascend."""
    first = 0
    last = len(excluded)
    while first < last:
        middle = (first + last) // 2
        if excluded[middle] < row:
            first = middle + 1
        else:
            last = middle
    return first < len(excluded) and excluded[first] == row


@inner
def score_alike(
    events: Array, bias: Array, log_popularity: Array, bias_weight: Real, popularity_weight: Real, fade: Real, out: Array
) -> None:
    """The part of a block's scores that is the same for all users; -inf for what is no candidate."""
    for n in range(len(events)):
        popularity = np.float32(popularity_at(log_popularity[n], fade))
        score = bias_weight * bias[n] + popularity_weight * popularity
        out[n] = score if events[n] != 0 else np.float32(-np.inf)


@inner
def score_block(vectors: Array, query: Array, base: Array, bar: Real, out: Array) -> bool:
    """out[n] = base[n] + vectors[n]·query; returns whether any is above the bar.

    Four places of the block are read at a time: memory is slower at one place, page after page, than at four.
    """
    above = False
    size = (len(vectors) + 3) // 4
    last = len(vectors) - size
    second = min(size, last)
    third = min(2 * size, last)
    quarters = (vectors[:size], vectors[second : second + size], vectors[third : third + size], vectors[last:])
    for n in range(size):  # quarters overlap in a block that is not whole: some scores are written twice
        a = np.float32(0.0)
        b = np.float32(0.0)
        c = np.float32(0.0)
        d = np.float32(0.0)
        for f in range(len(query)):
            a += quarters[0][n, f] * query[f]
            b += quarters[1][n, f] * query[f]
            c += quarters[2][n, f] * query[f]
            d += quarters[3][n, f] * query[f]
        a += base[n]
        b += base[second + n]
        c += base[third + n]
        d += base[last + n]
        out[n] = a
        out[second + n] = b
        out[third + n] = c
        out[last + n] = d
        above |= (a > bar) | (b > bar) | (c > bar) | (d > bar)
    return above


@inner
def take_block(first: int, found: Array, excluded: Array, rows: Array, scores: Array) -> None:
    """Take the items of a block, of which `first` is the first, that are good enough into one user's heap."""
    for n in range(len(found)):
        if found[n] > scores[0] and not among(first + n, excluded):
            offer(scores, rows, found[n], first + n)


@kernel(
    types.void(
        VECTORS, VECTORS, ROWS, FLOATS, DOUBLES, types.float32, types.float32, types.float64, ROWS, NUMBERS, NUMBERS,
        array_type("f4", 2), array_type("i4", 2), array_type("f4", 2), array_type("i8", 1),
    ),
    allocates=False,
)  # fmt: skip
def best(
    vectors: Array,
    queries: Array,
    events: Array,
    bias: Array,
    log_popularity: Array,
    bias_weight: Real,
    popularity_weight: Real,
    fade: Real,
    excluded: Array,
    borders: Array,
    wanted: Array,
    room: Array,
    rows: Array,
    scores: Array,
    held: Array,
) -> None:
    """For each user u the rows with the highest vector·queries[u] + bias_weight · bias + popularity_weight · log-popularity.

    queries: (m, k), or (m, 0) for scores without vectors. excluded[borders[u]..borders[u + 1] - 1]: ascending rows. room:
    (2, BLOCK). Written: the best wanted[u] of rows[u] and scores[u], and held[u], how many there are.
    """
    for user in range(len(queries)):
        empty(scores[user, : wanted[user]], rows[user, : wanted[user]])
    for first in range(0, len(events), BLOCK):
        block = vectors[first : first + BLOCK]  # slices from 0 on: what else there is to index with keeps LLVM from vectors
        base = room[0, : len(block)]
        found = room[1, : len(block)]
        last = first + len(block)
        popularity = log_popularity[first:last]
        score_alike(events[first:last], bias[first:last], popularity, bias_weight, popularity_weight, fade, base)
        for user in range(len(queries)):
            if score_block(block, queries[user], base, scores[user, 0], found):
                own = excluded[borders[user] : borders[user + 1]]
                take_block(first, found, own, rows[user, : wanted[user]], scores[user, : wanted[user]])
    for user in range(len(queries)):
        held[user] = arrange(scores[user, : wanted[user]], rows[user, : wanted[user]])


@kernel(
    types.int64(VECTORS, types.int64, ROWS, array_type("i4", 1), array_type("f4", 1)),
    allocates=False,
)
def closest(vectors: Array, item: int, events: Array, rows: Array, scores: Array) -> int:
    """The other rows with the highest cosine to row `item`; a vector of length 0 has cosine 0 to all."""
    empty(scores, rows)
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
        cosine = product / length if length > 0 else np.float32(0.0)
        if cosine > scores[0]:
            offer(scores, rows, cosine, row)
    return arrange(scores, rows)
