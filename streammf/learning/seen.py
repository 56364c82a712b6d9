"""Which items a user ever had an event on, exactly: a chain of blocks, the newest first.

Rules of this file:
1. Constant time an event: only the newest block is searched, so an item that comes back later may be noted again. Readers
   take the chain as a set.
2. A block is whole before anything points to it: query workers read while this writes.
3. Blocks that forgotten users gave back are used before new ones. A forgotten item leaves a place empty.
"""

from numba import types

from streammf.learning.arguments import Mark, array_type
from streammf.learning.compiling import inner, kernel
from streammf.learning.marks import mark
from streammf.learning.tables import Array, Seen, Users, Whole


@inner
def take_block(whole: Whole, seen: Seen, counts: Array, axis: int) -> int:
    """A block that is in nobody's chain. counts[axis] is the number of blocks there are."""
    block = int(whole.freed[0])
    if block >= 0:
        whole.freed[0] = seen.next[block]
    else:
        block = int(counts[axis])
        counts[axis] = block + 1
    return block


@inner
def note_seen(users: Users, whole: Whole, seen: Seen, counts: Array, axis: int, marks: Mark, user: int, item: int) -> None:
    """Add `item` to the chain of `user`; the rest as in `take_block`."""
    size = seen.items.shape[1]
    block = users.seen_block[user]
    taken = users.seen_count[user] % size
    if block >= 0:
        if taken == 0:
            taken = size
        for place in range(taken):
            if seen.items[block, place] == item:
                return
    if block < 0 or taken == size:
        fresh = take_block(whole, seen, counts, axis)
        for place in range(size):
            seen.items[fresh, place] = -1
        seen.next[fresh] = block
        block = fresh
        taken = 0
    seen.items[block, taken] = item
    users.seen_block[user] = block
    users.seen_count[user] += 1
    mark(marks, block, 0.0)


@inner
def stamp_seen(seen: Seen, block: int, stamps: Array, stamp: int) -> None:
    """stamps[item] = stamp for every item of a chain."""
    while block >= 0:
        for place in range(seen.items.shape[1]):
            if seen.items[block, place] >= 0:
                stamps[seen.items[block, place]] = stamp
        block = seen.next[block]


@kernel(
    types.int64(array_type("i4", 2, readonly=True), array_type("i4", 1, readonly=True), types.int64, array_type("i4", 1)),
    allocates=False,
)
def collect(items: Array, following: Array, block: int, out: Array) -> int:
    """Write the items of the chain that begins at `block` (-1: none) into out, as many as fit; returns how many."""
    held = 0
    while block >= 0:
        for place in range(items.shape[1]):
            if items[block, place] >= 0 and held < len(out):
                out[held] = items[block, place]
                held += 1
        block = following[block] if held < len(out) else -1
    return held
