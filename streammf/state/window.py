"""The ids of the last events, so that an event that a producer sent twice is learned from once.

Rules of this file:
1. The window holds the 64-bit hashes of the last `size` different event ids that were accepted, in order. An event whose id is
   among them is a duplicate; it does not renew its place. An event without an id is never one.
2. What is accepted depends on the order of events alone, not on batches, commits or restarts: the store keeps the hashes in
   the transaction of their events.
3. Two ids with one hash would be taken for one: with a million ids in the window, once in 10¹³ events.
"""

from typing import Final

import numpy as np
from numba import types

from streammf.learning.arguments import array_type
from streammf.learning.compiling import inner, kernel
from streammf.learning.draws import hash_bytes
from streammf.learning.tables import Array
from streammf.state.ids import Texts

HASHES, PLACES, FLAGS = (array_type(dtype, 1) for dtype in ("u8", "i8", "u1"))
TEXT, ENDS = (array_type(dtype, 1, readonly=True) for dtype in ("u1", "i8"))
#: Stands for "no id", and for a free place.
NONE: Final = np.uint64(0)


@kernel(types.void(TEXT, ENDS, ENDS, types.uint64, HASHES), allocates=False)
def hash_ids(text: Array, begins: Array, stops: Array, seed: int, out: Array) -> None:
    """out[n] = the hash of text[begins[n]:stops[n]]; NONE where that is empty, and never else."""
    for n in range(len(out)):
        out[n] = NONE
        if stops[n] > begins[n]:
            out[n] = max(hash_bytes(text, begins[n], stops[n], seed), np.uint64(1))


@inner
def home(key: np.uint64, mask: int) -> np.int64:
    """Where a search for a hash begins."""
    return np.int64(key & np.uint64(mask))


@inner
def place_of(table: Array, key: np.uint64) -> np.int64:
    """Where a hash stands, or the free place where it would."""
    mask = len(table) - 1
    at = home(key, mask)
    while table[at] not in (NONE, key):
        at = (at + 1) & mask
    return at


@inner
def remove(table: Array, key: np.uint64) -> None:
    """Take a hash out; those behind it move up, so that no search ends too early (Knuth, algorithm 6.4 R)."""
    mask = len(table) - 1
    free = place_of(table, key)
    at = free
    while True:
        at = (at + 1) & mask
        if table[at] == NONE:
            break
        if (at - home(table[at], mask)) & mask >= (at - free) & mask:
            table[free] = table[at]
            free = at
    table[free] = NONE


@kernel(types.void(HASHES, HASHES, PLACES, HASHES, FLAGS), allocates=False)
def accept(ring: Array, table: Array, count: Array, hashes: Array, fresh: Array) -> None:
    """fresh[n] = 1 where event n is no duplicate of one before it. The n-th accepted hash stands at n % len(ring)."""
    for n in range(len(hashes)):
        key = hashes[n]
        fresh[n] = 1
        if key == NONE:
            continue
        if table[place_of(table, key)] == key:
            fresh[n] = 0
            continue
        oldest = count[0] % len(ring)
        if count[0] >= len(ring):
            remove(table, ring[oldest])
        table[place_of(table, key)] = key
        ring[oldest] = key
        count[0] += 1


class Window:
    """The last `size` ids. For one thread."""

    def __init__(self, size: int, seed: int, last: Array) -> None:
        """`last`: the newest hashes that were accepted, as `accepted_of` gave them."""
        self._ring = np.zeros(size, np.uint64)
        self._table = np.zeros(1 << (2 * size - 1).bit_length(), np.uint64)
        self._seed = seed
        self._count = np.zeros(1, np.int64)
        self._accept(last[-size:].copy())

    def hashes(self, ids: Texts) -> Array:
        """uint64 (n,); 0: no id."""
        out = np.empty(len(ids.stops), np.uint64)
        hash_ids(ids.text, ids.begins, ids.stops, self._seed, out)
        return out

    def fresh(self, hashes: Array) -> Array:
        """bool (n,): which events are no duplicates. They are accepted with that."""
        return self._accept(hashes).view(np.bool_)

    def _accept(self, hashes: Array) -> Array:
        fresh = np.empty(len(hashes), np.uint8)
        accept(self._ring, self._table, self._count, hashes, fresh)
        return fresh


def accepted_of(hashes: Array, fresh: Array) -> Array:
    """The hashes that were accepted: what the store is to keep."""
    kept: Array = hashes[fresh & (hashes != NONE)]
    return kept
