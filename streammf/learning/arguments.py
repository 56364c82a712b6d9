"""What the kernels are called with, and the numba types of it, derived from the declaration of state.

Rules of this file:
1. A learning kernel takes (State, Marks, counts, Batch, rates): writable, C-contiguous, exactly these types.
2. A scoring kernel takes single arrays and accepts read-only ones only; `frozen` makes such views.
"""

from typing import Any, NamedTuple

import numba
import numpy as np

from streammf.learning.tables import TABLES, Array, State

#: numba's stubs leave them untyped.
numba_types: Any = numba.types


#: A number inside a kernel: numba knows its width, Python does not care.
Real = float | np.float32


class Batch(NamedTuple):
    """Events ready to be learned from, in order: arrays of length n."""

    user: Array  # int32, user rows
    item: Array  # int32, item rows
    value: Array  # float32, the target: the rating; not read for ranking
    weight: Array  # float32, the weight of the event's type; 0: count the item as seen, learn nothing
    time: Array  # int64, ms since the epoch
    partition: Array  # int32, rows of the table `partitions`
    offset: Array  # int64


class Mark(NamedTuple):
    """Which rows of one table changed since the last commit, each once, and by how much they were contracted."""

    moved: Array  # float32, (capacity,): 0 = unchanged; else the sum of the steps' contractions (scale-out: §3 `order`)
    rows: Array  # int32, (capacity,): the changed rows, the first `used[0]` hold
    used: Array  # int64, (1,)


class Marks(NamedTuple):
    """One Mark for each table whose rows are many. Tables of one row, and `partitions`, always count as changed."""

    users: Mark
    items: Mark
    implicit: Mark
    neighbours: Mark
    audience: Mark
    solved_users: Mark
    solved_items: Mark
    rated_users: Mark
    rated_items: Mark
    described_users: Mark
    described_items: Mark
    item_values: Mark
    user_values: Mark
    seen: Mark
    recent: Mark


def array_type(dtype: str, ndim: int, *, readonly: bool = False) -> Any:  # noqa: ANN401 - numba's own type objects
    """The numba type of a C-contiguous array."""
    return numba_types.Array(numba.from_dtype(np.dtype(dtype)), ndim, "C", readonly=readonly)


def tuple_type(fields: list[Any], of: type[tuple[Any, ...]]) -> Any:  # noqa: ANN401
    """The numba type of a NamedTuple class whose fields have these numba numba_types."""
    if len(set(fields)) == 1:
        return numba_types.NamedUniTuple(fields[0], len(fields), of)
    return numba_types.NamedTuple(fields, of)


def state_type(*, readonly: bool = False) -> Any:  # noqa: ANN401
    """The numba type of a State."""
    tables = []
    for table in TABLES:
        columns = [array_type(c.dtype, 1 if c.width == 1 else 2, readonly=readonly) for _, c in table.items()]
        tables.append(tuple_type(columns, table.columns))
    return tuple_type(tables, State)


MARK = tuple_type([array_type("f4", 1), array_type("i4", 1), array_type("i8", 1)], Mark)
MARKS = tuple_type([MARK] * len(Marks._fields), Marks)
BATCH = tuple_type([array_type(d, 1) for d in ("i4", "i4", "f4", "f4", "i8", "i4", "i8")], Batch)
STATE = state_type()
FROZEN_STATE = state_type(readonly=True)
COUNTS = array_type("i8", 1)


def frozen(array: Array) -> Array:
    """A read-only view: what scoring kernels take."""
    view = array.view()
    view.flags.writeable = False
    return view
