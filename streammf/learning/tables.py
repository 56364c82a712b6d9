"""Every piece of model state, declared once.

Rules of this file:
1. A table is a NamedTuple class: its fields are the columns, a field's default is the column's declaration. An instance of the
   same class holds the arrays. Live memory, store, digest, growth and recovery are generic over `TABLES`; the types of the
   kernels' arguments follow from it. A new column is one line here and a line in a kernel.
2. User state and item state stand in tables of their own (users can move between machines, items are replicated).
3. Row numbers are stored state and mean nothing outside the process; what leaves it carries ids.
4. Everything global is additive or owned by one row: no state is only a running average.
5. Initial values are a pure function of (seed, id), never of row numbers or of the order of arrival.
"""

from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Axis(IntEnum):
    """What the rows of a table are. `counts[axis]` is the number of rows in use."""

    USER = 0
    ITEM = 1
    SEEN = 2
    """Blocks of the chains of seen items; allocated by the learning kernels."""
    PARTITION = 3
    """Input partitions, in the order in which this store first met them."""
    RECENT = 4
    """A ring of fixed length."""
    MODEL = 5
    """One row."""


class Dimensions(NamedTuple):
    """The widths that a configuration chooses. Fixed for the life of a store."""

    factors: int = 32
    history: int = 32
    recent: int = 20_000

    def of(self, width: int | str) -> int:
        """The number that a column's width stands for."""
        return width if isinstance(width, int) else int(getattr(self, width))


class Column(NamedTuple):
    """One column: type, width (a number, or the name of a dimension), first value, and what it means."""

    dtype: str
    width: int | str
    scale: float
    """Standard deviation of the normal first value, a function of (seed, id, column, position); 0: the constant `fill`."""
    fill: float
    merge: str
    """How two shards' changes combine: `owned` (one shard's row), `sum` (add the changes), `last` (by time), `local`."""
    meaning: str

    def shape(self, rows: int, dimensions: Dimensions) -> tuple[int, ...]:
        """A column declared with width 1 is one-dimensional, any other is (rows, width)."""
        return (rows,) if self.width == 1 else (rows, dimensions.of(self.width))


def column(
    dtype: str, meaning: str, width: int | str = 1, *, scale: float = 0.0, fill: float = 0.0, merge: str = "owned"
) -> Any:  # noqa: ANN401 - the default of a field whose instances hold an array
    """Declare a column; see Column."""
    return Column(dtype, width, scale, fill, merge, meaning)


class Users(NamedTuple):
    """One row a user."""

    factor: Array = column("f4", "p_u: taste, beyond what the history says; 0 until it is learned", "factors")
    bias: Array = column("f4", "b_u: how far above the mean this user rates")
    events: Array = column("i4", "events applied, those of weight 0 included")
    taught: Array = column("i4", "events learned from: those of weight > 0")
    last_time: Array = column("i8", "largest event time, ms since the epoch")
    partition: Array = column("i4", "row of the input partition that the user was first met on", fill=-1)
    history_item: Array = column(
        "i4", "item rows of the last events learned from; the n-th stands at n % history", "history", fill=-1
    )
    history_value: Array = column("f4", "v_j, what each says: 1 + residual of the rating; ranking: 1", "history")
    history_time: Array = column("u4", "event time of each, seconds since the epoch", "history")
    seen_block: Array = column("i4", "newest block of the chain of seen items", fill=-1)
    seen_count: Array = column("i4", "places taken in the chain; an item that comes back later may take another")


class Items(NamedTuple):
    """One row an item: what a user's vector is multiplied with."""

    factor: Array = column("f4", "q_i", "factors", scale=0.1, merge="sum")
    bias: Array = column("f4", "b_i: how far above the mean the item is rated", merge="sum")
    events: Array = column("i4", "events applied, those of weight 0 included; 0: not yet in the catalogue", merge="sum")
    taught: Array = column("i4", "events learned from: those of weight > 0", merge="sum")
    log_popularity: Array = column("f8", "log of the sum over events of weight · exp(λ (t - 1970)): decayed, with no sweep",
                                   fill=-np.inf, merge="sum")  # fmt: skip
    first_time: Array = column("i8", "event time of the first event, ms since the epoch")
    last_time: Array = column("i8", "largest event time, ms since the epoch", merge="last")


class Implicit(NamedTuple):
    """One row an item: y_i, what having the item in one's history says of one's taste (Koren 2008, SVD++)."""

    factor: Array = column("f4", "y_i", "factors", scale=0.1, merge="sum")


class Seen(NamedTuple):
    """A block of a chain: 15 item rows and a link, 64 bytes."""

    items: Array = column("i4", "item rows; -1: free", 15, fill=-1)
    next: Array = column("i4", "the block before this one; -1: the last", fill=-1)


class Recent(NamedTuple):
    """The last events learned from, for negatives and rehearsal. The n-th (whole.taught) stands at n % recent."""

    user: Array = column("i4", "user row", merge="local", fill=-1)
    item: Array = column("i4", "item row", merge="local", fill=-1)
    value: Array = column("f4", "target; rating: in quarters of the scale from its middle", merge="local")
    weight: Array = column("f4", "what it taught with: the type's weight, less for a late event", merge="local")
    time: Array = column("i8", "event time, ms since the epoch", merge="local")


class Partitions(NamedTuple):
    """One row an input partition."""

    events: Array = column("i8", "events applied from it")
    clock: Array = column("i8", "largest event time met on it, ms since the epoch")


class Whole(NamedTuple):
    """One row: what is true of the model as a whole."""

    events: Array = column("i8", "events applied, those of weight 0 included", merge="sum")
    taught: Array = column("i8", "events learned from: those of weight > 0", merge="sum")
    clock: Array = column("i8", "the event clock: largest event time, ms since the epoch", merge="last")
    ahead: Array = column("i8", "events in a row that claim to be far ahead of the clock", merge="local")
    ahead_time: Array = column("i8", "the earliest time that these claim, ms since the epoch", merge="local")
    value_sum: Array = column(
        "f8", "sum of weight · target, in quarters of the scale from its middle; μ follows from it", merge="sum"
    )
    value_count: Array = column("f8", "sum of the weights of the targets", merge="sum")


class State(NamedTuple):
    """All tables together, as kernels take them."""

    users: Users
    items: Items
    implicit: Implicit
    seen: Seen
    recent: Recent
    partitions: Partitions
    whole: Whole


class Table(NamedTuple):
    """A table's name, what its rows are, and the class that declares its columns."""

    name: str
    axis: Axis
    columns: type[tuple[Any, ...]]

    def items(self) -> list[tuple[str, Column]]:
        """(name, declaration) of every column, in order."""
        defaults: dict[str, Column] = self.columns._field_defaults  # type: ignore[attr-defined]
        return list(defaults.items())


TABLES: Final = (
    Table("users", Axis.USER, Users),
    Table("items", Axis.ITEM, Items),
    Table("implicit", Axis.ITEM, Implicit),
    Table("seen", Axis.SEEN, Seen),
    Table("recent", Axis.RECENT, Recent),
    Table("partitions", Axis.PARTITION, Partitions),
    Table("whole", Axis.MODEL, Whole),
)


def row_bytes(table: Table, dimensions: Dimensions) -> int:
    """Bytes of one row of `table`."""
    return sum(np.dtype(c.dtype).itemsize * dimensions.of(c.width) for _, c in table.items())
