"""Kernels of the id table: open addressing over a heap of bytes, many ids a call.

Rules of this file:
1. A slot is eight bytes, written at once: the upper 32 bits of the id's hash (its tag) above row + 1; 0 is free.
2. Level L is slots[2**L : 2**(L+1)]. An id's place in it is the first L bits of its tag, then the next ones in turn. So
   a level is copied into the next in one sweep, front to back, without reading an id; the old level stays as it was.
3. Bytes and `starts` are written first, the slot last. A reader passes over rows it has not been told of.
4. Ids come within one text: id n is text[begins[n] : stops[n]]; what stands between them is nobody's.
"""

from typing import NamedTuple

import numpy as np
from numba import types

from streammf.learning.arguments import array_type, tuple_type
from streammf.learning.compiling import inner, kernel
from streammf.learning.draws import hash_bytes
from streammf.learning.tables import Array

SLOTS, STARTS, HEAP, ROWS = (array_type(d, 1) for d in ("u8", "i8", "u1", "i4"))
R_SLOTS, R_STARTS, R_HEAP, R_ROWS = (array_type(d, 1, readonly=True) for d in ("u8", "i8", "u1", "i4"))

#: Ids searched for together, so that their cache misses overlap. One at a time, a million ids cost half as much again.
BLOCK = 64
LOWER = np.uint64(0xFFFFFFFF)


class Registered(NamedTuple):
    """What `register` says when it is done."""

    known: int
    """Ids there are now."""
    touched: int
    """See `touch`."""


@kernel(types.int64(R_HEAP, STARTS, STARTS))
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
    slots: Array, level: int, starts: Array, heap: Array, count: int, key: np.uint64, text: Array, first: int, last: int
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
                start = starts[row]
                if starts[row + 1] - start == last - first and same(heap, start, text, first, last):
                    return row
        at = (at + 1) & (size - 1)


@inner
def hash_block(text: Array, begins: Array, stops: Array, begin: int, end: int, seed: int, keys: Array) -> None:
    """keys[n - begin] = the hash of id n, for n in begin..end-1."""
    for n in range(begin, end):
        keys[n - begin] = hash_bytes(text, begins[n], stops[n], seed)


@inner
def touch(slots: Array, level: int, starts: Array, heap: Array, count: int, keys: Array, rows: Array) -> int:
    """Bring into the cache what the searches for keys will read first. Uses `rows` to work in.

    What it returns means nothing; it makes the compiler keep the reads.
    """
    for n in range(len(rows)):
        rows[n] = slots[(np.int64(1) << level) + place(keys[n], level)] & LOWER
    touched = 0
    for n in range(len(rows)):
        touched += heap[starts[min(max(rows[n] - 1, 0), count)]]
    return touched


@kernel(types.int64(R_SLOTS, types.int64, R_STARTS, R_HEAP, types.int64, types.uint64, R_HEAP, R_STARTS, R_STARTS, ROWS))
def look_up(
    slots: Array,
    level: int,
    starts: Array,
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
        touched += touch(slots, level, starts, heap, count, keys, rows[begin:end])
        for n in range(begin, end):
            rows[n] = max(find(slots, level, starts, heap, count, keys[n - begin], text, begins[n], stops[n]), -1)
    return touched


@kernel(
    tuple_type([types.int64] * 2, Registered)(
        SLOTS, types.int64, STARTS, HEAP, types.int64, types.uint64, R_HEAP, R_STARTS, R_STARTS, ROWS, SLOTS
    )
)
def register(
    slots: Array, level: int, starts: Array, heap: Array, count: int, seed: int, text: Array, begins: Array, stops: Array,
    rows: Array, fresh: Array,
) -> Registered:  # fmt: skip
    """rows[n] = the row of id n; new ids get the rows from `count` on, in order of appearance.

    fresh[r] is the hash of the r-th new id. The caller has made room in the level, in `starts` and in the heap."""
    before = count
    keys = np.empty(BLOCK, np.uint64)
    touched = 0
    for begin in range(0, len(stops), BLOCK):
        end = min(begin + BLOCK, len(stops))
        hash_block(text, begins, stops, begin, end, seed, keys)
        touched += touch(slots, level, starts, heap, count, keys, rows[begin:end])
        for n in range(begin, end):
            first = begins[n]
            key = keys[n - begin]
            row = find(slots, level, starts, heap, count, key, text, first, stops[n])
            if row < 0:
                start = starts[count]
                for i in range(stops[n] - first):
                    heap[start + i] = text[first + i]
                starts[count + 1] = start + stops[n] - first
                fresh[count - before] = key
                slots[-1 - row] = (key & ~LOWER) | np.uint64(count + 1)
                row = np.int64(count)
                count += 1
            rows[n] = row
    return Registered(count, touched)


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


@kernel(types.int64(R_STARTS, R_HEAP, R_ROWS, HEAP))
def gather(starts: Array, heap: Array, rows: Array, text: Array) -> int:
    """Write the ids of `rows` into text, each followed by NUL; returns the bytes written."""
    end = 0
    for n in range(len(rows)):
        for i in range(starts[rows[n]], starts[rows[n] + 1]):
            text[end] = heap[i]
            end += 1
        text[end] = 0
        end += 1
    return end
