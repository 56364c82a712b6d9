"""Kernels of the id table: open addressing over a heap of bytes, many ids a call.

Rules of this file:
1. A slot is eight bytes, written at once: the upper 32 bits of the id's hash (its tag) above row + 1; 0 is free.
2. Level L is slots[2**L : 2**(L+1)]. An id's place in it is the first L bits of its tag, then the next ones in turn. So
   a level is copied into the next in one sweep, front to back, without reading an id; the old level stays as it was.
3. places[row] says where the id of a row stands in the heap: heap[place >> 16 :], of which it has (place >> 8) & 255 bytes
   and uses place & 255; a forgotten row uses 0. Bytes are written first, then the place, the slot last. A reader passes over
   rows it has not been told of.
4. A forgotten id goes the other way: its slot, its place, its bytes. What stood behind it in a level moves up, so that no
   search ends too early (Knuth, algorithm 6.4 R); slots[0] is odd meanwhile and higher afterwards, and whoever found nothing
   looks again. Nothing is left of the id.
5. Ids come within one text: id n is text[begins[n] : stops[n]]; what stands between them is nobody's.
"""

from typing import NamedTuple

import numpy as np
from numba import types

from streammf.learning.arguments import array_type, tuple_type
from streammf.learning.compiling import inner, kernel
from streammf.learning.draws import hash_bytes
from streammf.learning.tables import Array

SLOTS, PLACES, HEAP, ROWS = (array_type(d, 1) for d in ("u8", "i8", "u1", "i4"))
R_SLOTS, R_PLACES, R_HEAP, R_ROWS = (array_type(d, 1, readonly=True) for d in ("u8", "i8", "u1", "i4"))

#: Ids searched for together, so that their cache misses overlap. One at a time, a million ids cost half as much again.
BLOCK = 64
LOWER = np.uint64(0xFFFFFFFF)


class Registered(NamedTuple):
    """What `register` says when it is done."""

    new: int
    """Ids that got rows."""
    end: int
    """Bytes of the heap that are used now."""
    touched: int
    """See `touch`."""


@kernel(types.int64(R_HEAP, PLACES, PLACES))
def split(text: Array, begins: Array, stops: Array) -> int:
    """Where the ids of a text joined by NUL begin and end. Returns their number; above len(stops), an id has a NUL in it."""
    n = 0
    begin = 0
    for i in range(len(text)):
        if text[i] == 0:
            if n < len(stops):
                begins[n] = begin
                stops[n] = i
            begin = i + 1
            n += 1
    if n < len(stops):
        begins[n] = begin
        stops[n] = len(text)
    return n + 1


@inner
def same(heap: Array, start: int, text: Array, first: int, last: int) -> bool:
    """Whether the heap's bytes from `start` on are text[first:last]."""
    for i in range(last - first):  # noqa: SIM110 - a kernel has no all()
        if heap[start + i] != text[first + i]:
            return False
    return True


@inner
def place(key: np.uint64, level: int) -> np.int64:
    """Where an id's search begins, relative to the level's start: the first `level` bits of its hash."""
    return np.int64(key >> np.uint64(64 - level))


@inner
def find(
    slots: Array, level: int, places: Array, heap: Array, count: int, key: np.uint64, text: Array, first: int, last: int
) -> np.int64:
    """The row of text[first:last] if it is below `count`; else -1 - (the free slot at which the search ended)."""
    size = np.int64(1) << level
    at = place(key, level)
    tag = key >> np.uint64(32)
    while True:
        slot = slots[size + at]
        if slot == 0:
            return -1 - (size + at)
        if slot >> np.uint64(32) == tag:
            row = np.int64(slot & LOWER) - 1
            if row < count:
                stands = places[row]
                if stands & 255 == last - first and same(heap, stands >> 16, text, first, last):
                    return row
        at = (at + 1) & (size - 1)


@inner
def insert(
    slots: Array, places: Array, heap: Array, end: int, count: int, key: np.uint64, at: np.int64, row: np.int64, text: Array,
    first: int, last: int,
) -> int:  # fmt: skip
    """Give `row` to text[first:last], whose search ended at the free slot `at`. Returns how many bytes of the heap are used.

    heap[end:] is unused, and rows below `count` may have room in it."""
    size = last - first
    stands = places[row] if row < count else np.int64(0)
    room = (stands >> 8) & 255
    start = stands >> 16
    if room < size:
        start = end
        room = size
        end += size
    for i in range(size):
        heap[start + i] = text[first + i]
    places[row] = start << 16 | room << 8 | size
    slots[at] = (key & ~LOWER) | np.uint64(row + 1)
    return end


@inner
def hash_block(text: Array, begins: Array, stops: Array, begin: int, end: int, seed: int, keys: Array) -> None:
    """keys[n - begin] = the hash of id n, for n in begin..end-1."""
    for n in range(begin, end):
        keys[n - begin] = hash_bytes(text, begins[n], stops[n], seed)


@inner
def touch(slots: Array, level: int, places: Array, heap: Array, count: int, keys: Array, rows: Array) -> int:
    """Bring into the cache what the searches for keys will read first. Uses `rows` to work in.

    What it returns means nothing; it makes the compiler keep the reads.
    """
    for n in range(len(rows)):
        rows[n] = slots[(np.int64(1) << level) + place(keys[n], level)] & LOWER
    touched = 0
    for n in range(len(rows)):
        touched += heap[places[min(max(rows[n] - 1, 0), count)] >> 16]
    return touched


@kernel(types.int64(R_SLOTS, types.int64, R_PLACES, R_HEAP, types.int64, types.uint64, R_HEAP, R_PLACES, R_PLACES, ROWS))
def look_up(
    slots: Array,
    level: int,
    places: Array,
    heap: Array,
    count: int,
    seed: int,
    text: Array,
    begins: Array,
    stops: Array,
    rows: Array,
) -> int:
    """rows[n] = the row of id n, or -1. Returns what `touch` does."""
    keys = np.empty(BLOCK, np.uint64)
    touched = 0
    for begin in range(0, len(stops), BLOCK):
        end = min(begin + BLOCK, len(stops))
        hash_block(text, begins, stops, begin, end, seed, keys)
        touched += touch(slots, level, places, heap, count, keys, rows[begin:end])
        for n in range(begin, end):
            rows[n] = max(find(slots, level, places, heap, count, keys[n - begin], text, begins[n], stops[n]), -1)
    return touched


@kernel(
    tuple_type([types.int64] * 3, Registered)(
        SLOTS, types.int64, PLACES, HEAP, types.int64, types.uint64, R_HEAP, R_PLACES, R_PLACES, ROWS, ROWS, types.int64, SLOTS
    )
)
def register(
    slots: Array, level: int, places: Array, heap: Array, end: int, seed: int, text: Array, begins: Array, stops: Array,
    given: Array, rows: Array, count: int, fresh: Array,
) -> Registered:  # fmt: skip
    """rows[n] = the row of id n; new ids get the rows of `given`, in order of appearance.

    fresh[r] is the hash of the r-th new id; heap[end:] is unused, and rows below `count` may be in use. The caller has made
    room in the level, in `places` and in the heap."""
    new = 0
    keys = np.empty(BLOCK, np.uint64)
    touched = 0
    for begin in range(0, len(stops), BLOCK):
        stop = min(begin + BLOCK, len(stops))
        hash_block(text, begins, stops, begin, stop, seed, keys)
        touched += touch(slots, level, places, heap, count, keys, rows[begin:stop])
        for n in range(begin, stop):
            first = begins[n]
            key = keys[n - begin]
            row = find(slots, level, places, heap, count, key, text, first, stops[n])
            if row < 0:
                at = -1 - row
                row = np.int64(given[new])
                end = insert(slots, places, heap, end, count, key, at, row, text, first, stops[n])
                fresh[new] = key
                if row >= count:
                    count = int(row) + 1
                new += 1
            rows[n] = row
    return Registered(new, end, touched)


@inner
def remove(slots: Array, level: int, key: np.uint64, row: int) -> None:
    """Take the slot of a row out of a level, if it is there."""
    size = np.int64(1) << level
    at = place(key, level)
    wanted = (key & ~LOWER) | np.uint64(row + 1)
    while slots[size + at] != wanted:
        if slots[size + at] == 0:
            return
        at = (at + 1) & (size - 1)
    free = at
    while True:
        at = (at + 1) & (size - 1)
        slot = slots[size + at]
        if slot == 0:
            break
        if (at - place(slot, level)) & (size - 1) >= (at - free) & (size - 1):
            slots[size + free] = slot
            free = at
    slots[size + free] = 0


@kernel(types.void(SLOTS, types.int64, types.int64, PLACES, HEAP, types.uint64, R_ROWS), allocates=False)
def forget(slots: Array, first_level: int, level: int, places: Array, heap: Array, seed: int, rows: Array) -> None:
    """Take the ids of these rows out of all levels, and zero their bytes. Rows without an id may be among them."""
    for n in range(len(rows)):
        row = int(rows[n])
        stands = places[row]
        start, size = stands >> 16, stands & 255
        if size == 0:
            continue
        key = hash_bytes(heap, start, start + size, seed)
        slots[0] += np.uint64(1)
        for one in range(first_level, level + 1):
            remove(slots, one, key, row)
        slots[0] += np.uint64(1)
        places[row] = stands & ~255
        for i in range(start, start + size):
            heap[i] = 0


@kernel(types.void(SLOTS, types.int64))
def widen(slots: Array, level: int) -> None:
    """Copy level `level` into the empty one above it."""
    size = np.int64(1) << level
    for at in range(size):
        slot = slots[size + at]
        if slot != 0:
            to = place(slot, level + 1)
            while slots[2 * size + to] != 0:
                to = (to + 1) & (2 * size - 1)
            slots[2 * size + to] = slot


@kernel(types.int64(R_PLACES, R_HEAP, R_ROWS, types.int64, HEAP))
def gather(places: Array, heap: Array, rows: Array, apart: int, text: Array) -> int:
    """Write the ids of `rows` into text, each followed by `apart` NULs, as far as there is room; returns the bytes written.

    An id that is forgotten, before or meanwhile, is empty.
    """
    end = 0
    for n in range(len(rows)):
        stands = places[rows[n]]
        start, size = stands >> 16, stands & 255
        if end + size + apart > len(text):
            return end
        for i in range(size):
            text[end + i] = heap[start + i]
        if places[rows[n]] == stands:
            end += size
        for _ in range(apart):
            text[end] = 0
            end += 1
    return end
