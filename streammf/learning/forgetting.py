"""Forgetting users and items: their rows, and every number in the model that leads to them.

Rules of this file:
1. What a column refers to stands in its declaration (`refers`). Every such column is swept: what has no way of its own here
   loses the number (-1). So a new column cannot be left out.
2. A forgotten row holds the constant first values, and 0 where first values follow from an id: whoever gets it next gives it
   those. Nothing leads to it any more, so it may be given again at once.
3. Lists are closed up; a ring of recent events repeats the event before in the place of one that is forgotten; blocks of seen
   items go to the chain that starts at `whole.freed`; vectors of least squares leave the Gram sums. Sums over people and
   items (means, popularity, weights of blend and stack, measures) stay: they name nobody.
4. The result follows from the state and the rows alone. One sweep serves any number of rows.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numba import types

from streammf.learning.arguments import Mark, Marks, array_type
from streammf.learning.audience import latest_of
from streammf.learning.compiling import kernel
from streammf.learning.least_squares import grown
from streammf.learning.marks import TOUCHED
from streammf.learning.rating import GIVEN
from streammf.learning.tables import HORIZONS, TABLES, TOPS, Array, Axis, Grams, SolvedItems, SolvedUsers, State

NUMBERS, WEIGHTS = array_type("i4", 2), array_type("f4", 2)
FLAGS, ROWS = array_type("u1", 1), array_type("i4", 1)

Sweep = Callable[[State, Marks, Array, Array, Array], None]
"""Takes (state, marks, numbers, gone, hits): int32 (n, width); uint8, 1 for each row that is forgotten; uint8 (n,), in which
it writes 1 for each row that it changed."""


def erase(state: State, marks: Marks, counts: Array, axis: Axis, rows: Array, solved_decay: float) -> None:
    """Forget rows of `axis`, users or items: int32 (n,), all below counts[axis]; forgetting one again changes nothing.

    solved_decay: that of `Rates`, per ms.
    """
    rows = np.unique(rows)
    gone = np.zeros(int(counts[axis]), np.uint8)
    gone[rows] = 1
    for table in TABLES:
        for (name, column), array in zip(table.items(), getattr(state, table.name), strict=True):
            count = min(int(counts[table.axis]), len(array))
            if column.refers == axis and count:
                hits = np.zeros(count, np.uint8)
                SWEEPS.get((table.name, name), _blank)(state, marks, array[:count].reshape(count, -1), gone, hits)
                _mark(marks, table.name, np.flatnonzero(hits))
    if axis == Axis.USER:
        _free_blocks(state, marks, counts, rows)
        _take_out(state.solved_users, state.grams.user, state.grams.users, state.grams, rows, solved_decay)
    else:
        _take_out(state.solved_items, state.grams.item, state.grams.items, state.grams, rows, solved_decay)
        if len(state.described_items.hidden):
            state.describing.hidden[0] -= state.described_items.hidden[rows].sum()
    for table in TABLES:
        columns = getattr(state, table.name)
        if table.axis == axis and len(columns[0]):
            for (_, column), array in zip(table.items(), columns, strict=True):
                array[rows] = 0 if column.scale else column.fill
            _mark(marks, table.name, rows)


@kernel(types.void(NUMBERS, FLAGS, FLAGS), allocates=False)
def blank(numbers: Array, gone: Array, hits: Array) -> None:
    """Put -1 in the place of every number that is gone; hits[row] = 1 where there was one."""
    for row in range(len(numbers)):
        for place in range(numbers.shape[1]):
            number = numbers[row, place]
            if number >= 0 and gone[number]:
                numbers[row, place] = -1
                hits[row] = 1


@kernel(types.void(NUMBERS, WEIGHTS, WEIGHTS, WEIGHTS, FLAGS, FLAGS), allocates=False)
def close_up(numbers: Array, a: Array, b: Array, c: Array, gone: Array, hits: Array) -> None:
    """Take the numbers that are gone out of lists without holes, with what stands beside them in a, b and c."""
    for row in range(len(numbers)):
        kept = 0
        for place in range(numbers.shape[1]):
            number = numbers[row, place]
            if number < 0:
                break
            if gone[number]:
                hits[row] = 1
                continue
            if kept < place:
                numbers[row, kept] = number
                a[row, kept] = a[row, place]
                b[row, kept] = b[row, place]
                c[row, kept] = c[row, place]
            kept += 1
        if hits[row]:
            for place in range(kept, numbers.shape[1]):
                numbers[row, place] = -1
                a[row, place] = 0.0
                b[row, place] = 0.0
                c[row, place] = 0.0


@kernel(types.int64(NUMBERS, ROWS, ROWS, types.int64, FLAGS), allocates=False)
def free_chains(items: Array, following: Array, blocks: Array, freed: int, hits: Array) -> int:
    """Empty the chains that begin at `blocks` (-1: none) and put them before the chain at `freed`; returns its new head."""
    for n in range(len(blocks)):
        block = int(blocks[n])
        while block >= 0:
            after = int(following[block])
            for place in range(items.shape[1]):
                items[block, place] = -1
            following[block] = freed
            hits[block] = 1
            freed = block
            block = after
    return freed


def _blank(_: State, __: Marks, numbers: Array, gone: Array, hits: Array) -> None:
    blank(numbers, gone, hits)


def _blank_history(state: State, _: Marks, numbers: Array, gone: Array, hits: Array) -> None:
    """With an item goes what the event said, and when it was: what was expected, which teaches nothing, stands there."""
    blank(numbers, gone, hits)
    _clear_holes(numbers, hits, state.users.history_value, instead=GIVEN)
    _clear_holes(numbers, hits, state.users.history_time)


def _blank_corated(state: State, _: Marks, numbers: Array, gone: Array, hits: Array) -> None:
    """A free place has no sums."""
    blank(numbers, gone, hits)
    rated = state.rated_items
    _clear_holes(numbers, hits, rated.product, rated.energy, rated.support)


def _clear_holes(numbers: Array, hits: Array, *beside: Array, instead: float = 0.0) -> None:
    """Put 0, or another number, beside every -1 of the rows that were hit; not where all places of a row share one value."""
    rows = np.flatnonzero(hits)
    at, places = np.nonzero(numbers[rows] < 0)
    for array in beside:
        if array.shape[1:] == numbers.shape[1:]:
            array[rows[at], places] = instead


def _close_neighbours(state: State, _: Marks, numbers: Array, gone: Array, hits: Array) -> None:
    lists = state.neighbours
    close_up(numbers, lists.near, lists.far, lists.next, gone, hits)


def _repeat_recent(state: State, marks: Marks, numbers: Array, gone: Array, hits: Array) -> None:
    """In the place of a forgotten event stands the one before it in the ring; where none is left, the ring is empty."""
    recent, taught = state.recent, int(state.whole.taught[0])
    size = len(recent.item)
    held = min(taught, size)
    lost = gone[numbers[:held, 0]] > 0
    places = np.flatnonzero(lost)
    if not len(places):
        return
    hits[places] = 1
    latest = np.zeros(size, np.bool_)
    latest[(taught - 1 - np.arange(min(taught, latest_of(recent)))) % size] = True
    _count_recent(state, marks, recent.item[places], latest[places], -1)
    last = np.maximum.accumulate(np.where(lost, -1, np.arange(held)))
    if last[-1] < 0:
        state.whole.taught[0] = 0
        for (_, column), array in zip(_TABLE["recent"].items(), recent, strict=True):
            array[:held] = column.fill
        return
    before = np.where(last < 0, last[-1], last)[places]
    for array in recent:
        array[places] = array[before]
    _count_recent(state, marks, recent.item[places], latest[places], 1)


def _count_recent(state: State, marks: Marks, items: Array, latest: Array, more: int) -> None:
    """Add `more` to the counts of each of these events of the ring; latest: whether it is among the newest."""
    if len(state.audience.in_recent):
        np.add.at(state.audience.in_recent, items, more)
        np.add.at(state.audience.in_latest, items[latest], more)
        _mark(marks, "audience", items)


def _blank_top(state: State, _: Marks, numbers: Array, gone: Array, hits: Array) -> None:
    """Whatever is chosen next may take a free place among the most popular."""
    blank(numbers, gone, hits)
    if hits.any():
        least = dict(_TABLE["measures"].items())["bar"].fill
        state.measures.bar[0, (numbers.reshape(HORIZONS, TOPS) < 0).any(axis=1)] = least


def _free_blocks(state: State, marks: Marks, counts: Array, users: Array) -> None:
    """Give the blocks of seen items of these users back."""
    seen, blocks = state.seen, np.ascontiguousarray(state.users.seen_block[users])
    hits = np.zeros(int(counts[Axis.SEEN]), np.uint8)
    state.whole.freed[0] = free_chains(seen.items, seen.next, blocks, int(state.whole.freed[0]), hits)
    _mark(marks, "seen", np.flatnonzero(hits))


def _take_out(solved: SolvedUsers | SolvedItems, gram: Array, number: Array, grams: Grams, rows: Array, decay: float) -> None:
    """Take the vectors of these rows out of a Gram sum and out of the number of its rows."""
    if not len(solved.time):
        return
    for row in rows[solved.time[rows] >= 0]:
        held = grown(grams, decay, solved.time[row])
        vector = solved.factor[row].astype(np.float64)
        gram[0] -= np.outer(held * vector, vector).reshape(-1)
        number[0] = max(number[0] - held, 0.0)


def _mark(marks: Marks, table: str, rows: Array) -> None:
    mark_rows(getattr(marks, table, None), rows)


def mark_rows(mark: Mark | None, rows: Array) -> None:
    """Note that rows changed, from outside of kernels; see marks.py. None: a table without marks."""
    if mark is None or not len(rows):
        return
    fresh = np.unique(rows[mark.moved[rows] == 0])
    used = int(mark.used[0])
    mark.rows[used : used + len(fresh)] = fresh
    mark.used[0] += len(fresh)
    mark.moved[rows] += TOUCHED


_TABLE: Final = {table.name: table for table in TABLES}

#: Columns whose numbers are not simply taken out.
SWEEPS: Final[dict[tuple[str, str], Sweep]] = {
    ("users", "history_item"): _blank_history,
    ("neighbours", "item"): _close_neighbours,
    ("rated_items", "other"): _blank_corated,
    ("recent", "user"): _repeat_recent,
    ("recent", "item"): _repeat_recent,
    ("measures", "top"): _blank_top,
}
