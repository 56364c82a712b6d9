"""State, marks and batches as plain numpy arrays: all that the learning room needs, without live memory or store."""

from typing import Any, NamedTuple

import numpy as np

from streammf.learning.arguments import Batch, Mark, Marks, frozen
from streammf.learning.draws import fill_normal
from streammf.learning.options import LearningOptions
from streammf.learning.room import spaced
from streammf.learning.tables import TABLES, Array, Axis, Dimensions, State, Table


class Model(NamedTuple):
    """Everything that a learner changes."""

    state: State
    marks: Marks
    counts: Array


def _columns(number: int, table: Table, rows: int, dimensions: Dimensions, seed: int) -> Any:
    keys = np.random.default_rng((seed, number)).integers(0, 2**63, rows, dtype=np.uint64)
    arrays = []
    for place, (_, column) in enumerate(table.items()):
        array = spaced(column.shape(rows, dimensions), column.dtype, column.fill)
        if column.scale:
            fill_normal(array, 0, keys, number * 100 + place, column.scale)
        arrays.append(array)
    return table.columns(*arrays)


def model(options: LearningOptions, users: int, items: int, events: int, partitions: int = 1) -> Model:
    """A new model with room for this many rows; all users, items and partitions count as registered."""
    rows = {Axis.USER: users, Axis.ITEM: items, Axis.SEEN: events, Axis.PARTITION: partitions, Axis.MODEL: 1}
    rows |= {Axis.RECENT: options.recent, Axis.ATTRIBUTE: max(options.attributes, 1)}
    state = State._make((_columns(n, t, rows[t.axis], options.dimensions, options.seed) for n, t in enumerate(TABLES)))
    counts = np.array([0 if axis == Axis.SEEN else rows[axis] for axis in Axis], np.int64)
    capacity = {table.name: rows[table.axis] for table in TABLES}
    marks = Marks._make(_unmarked(capacity[name]) for name in Marks._fields)
    return Model(state, marks, counts)


def _unmarked(rows: int) -> Mark:
    return Mark(np.zeros(rows, np.float32), np.zeros(rows, np.int32), np.zeros(1, np.int64))


def batch(
    user: Any, item: Any, value: Any = None, weight: Any = None, time: Any = None, partition: Any = None, offset: Any = None
) -> Batch:
    """A batch of these columns; what is not given is 1 (value, weight), 0 (partition), 0, 1, 2 … (offset, time in s)."""
    n = len(user)

    def of(given: Any, default: Any, dtype: str) -> Array:
        return np.array(np.broadcast_to(default if given is None else given, n), dtype)

    order = np.arange(n)
    return Batch(
        of(user, 0, "i4"),
        of(item, 0, "i4"),
        of(value, 1, "f4"),
        of(weight, 1, "f4"),
        of(time, order * 1000 + 1_000_000_000_000, "i8"),
        of(partition, 0, "i4"),
        of(offset, order, "i8"),
    )


def part(whole: Batch, first: int, last: int) -> Batch:
    """Events first .. last - 1 of a batch."""
    return Batch(*(column[first:last] for column in whole))


def random_log(
    seed: int, events: int, users: int = 7, items: int = 12, partitions: int = 2, longest_gap: int = 86_400_000
) -> Batch:
    """A log with everything that a kernel must cope with: late events, repeats, weights (0 among them), gaps in time.

    Without gaps as long as a day no event is too far ahead of the clock to move it.
    """
    chance = np.random.default_rng(seed)
    partition = chance.integers(0, partitions, events)
    offset = np.array([np.sum(partition[:n] == p) for n, p in enumerate(partition)])
    time = 1_600_000_000_000 + np.cumsum(chance.integers(0, longest_gap, events))
    time -= (chance.random(events) < 0.2) * chance.integers(0, 5 * 86_400_000, events)
    return batch(
        user=np.minimum(chance.geometric(0.3, events) - 1, users - 1),
        item=np.minimum(chance.geometric(0.2, events) - 1, items - 1),
        value=chance.integers(1, 6, events),
        weight=chance.choice([0.0, 0.5, 1.0, 2.0], events, p=[0.1, 0.2, 0.5, 0.2]),
        time=time,
        partition=partition,
        offset=offset,
    )


def copied(whole: Model) -> Model:
    """An independent copy."""
    state = State._make(type(table)(*(column.copy() for column in table)) for table in whole.state)
    marks = Marks._make(Mark(*(column.copy() for column in table)) for table in whole.marks)
    return Model(state, marks, whole.counts.copy())


def read_only(state: State) -> State:
    """The state as answers take it."""
    return State._make(type(table)(*map(frozen, table)) for table in state)
