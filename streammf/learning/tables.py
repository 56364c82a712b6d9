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

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streammf.learning.columns import Column, column
from streammf.learning.dimensions import (
    ATTRIBUTED,
    FEATURES,
    HORIZONS,
    LISTED,
    LISTS,
    MEASURES,
    METHODS,
    OPTIONAL,
    PARTS,
    SEGMENTS,
    SKETCH,
    STACKED,
    TOPS,
    WAYS,
    Axis,
    Dimensions,
)

__all__ = [
    "ATTRIBUTED",
    "FEATURES",
    "HORIZONS",
    "LISTED",
    "LISTS",
    "MEASURES",
    "METHODS",
    "OPTIONAL",
    "PARTS",
    "SEGMENTS",
    "SKETCH",
    "STACKED",
    "TOPS",
    "WAYS",
    "Axis",
    "Column",
    "Dimensions",
    "column",
]

Array = NDArray[Any]


class Users(NamedTuple):
    """One row a user."""

    factor: Array = column("f4", "p_u: taste, beyond what the history says; 0 until it is learned", "factors")
    bias: Array = column("f4", "b_u: how far above the mean this user rates")
    events: Array = column("i4", "events applied, those of weight 0 included")
    taught: Array = column("i4", "events learned from: those of weight > 0")
    last_time: Array = column("i8", "largest event time, ms since the epoch")
    partition: Array = column("i4", "row of the input partition that the user was first met on", fill=-1,
                              refers=Axis.PARTITION)  # fmt: skip
    history_item: Array = column("i4", "item rows of the last events learned from; the n-th stands at n % history",
                                 "history", fill=-1, refers=Axis.ITEM)  # fmt: skip
    history_value: Array = column(
        "f4", "v_j, what each says: 1 + residual of the rating; ranking: 1 (with the blend one place for all)", "spoken"
    )
    history_time: Array = column("u4", "event time of each, seconds since the epoch", "history")
    seen_block: Array = column("i4", "newest block of the chain of seen items", fill=-1, refers=Axis.SEEN)
    seen_count: Array = column("i4", "places taken in the chain; an item that comes back later may take another")


class Items(NamedTuple):
    """One row an item: what a user's vector is multiplied with."""

    factor: Array = column("f4", "q_i", "factors", scale=0.1, merge="sum")
    bias: Array = column("f4", "b_i: how far above the mean the item is rated", merge="sum")
    events: Array = column(
        "i4",
        "events applied, those of weight 0 included; 0: not yet in the catalogue; -1: described, and none yet",
        merge="sum",
        least=-1,
    )
    taught: Array = column("i4", "events learned from: those of weight > 0", merge="sum")
    log_popularity: Array = column("f8", "log of the sum over events of weight · exp(λ (t - 1970)): decayed, with no sweep",
                                   fill=-np.inf, merge="sum")  # fmt: skip
    first_time: Array = column("i8", "event time of the first event, ms since the epoch")
    last_time: Array = column("i8", "largest event time, ms since the epoch", merge="last")


class Implicit(NamedTuple):
    """One row an item: y_i, what having the item in one's history says of one's taste (Koren 2008, SVD++)."""

    factor: Array = column("f4", "y_i", "factors", scale=0.1, merge="sum")


class Neighbours(NamedTuple):
    """One row an item: the items chosen around it by the same people, at most so many, with three weights each.

    Weights and sums grow with time instead of fading: they stand for themselves · 2^(-(now - base) / half-life).
    """

    item: Array = column("i4", "item rows; -1: free, and so are all places behind it", "neighbours", fill=-1, merge="sum",
                         refers=Axis.ITEM)  # fmt: skip
    near: Array = column("f4", "how often among the next few choices, the sooner the more", "neighbours", merge="sum")
    far: Array = column("f4", "how often within the window, before or after", "neighbours", merge="sum")
    next: Array = column("f4", "how often as the very next choice", "neighbours", merge="sum")
    near_sum: Array = column("f4", "sum of what `near` was ever given, places that were taken over included", merge="sum")
    far_sum: Array = column("f4", "the same of `far`", merge="sum")
    next_sum: Array = column("f4", "the same of `next`", merge="sum")
    base: Array = column("i8", "event clock at which the weights of this row stood for themselves, ms", merge="last")


class Audience(NamedTuple):
    """One row an item: who chose it lately, and how many."""

    user: Array = column("i4", "user rows of the last who chose it; the n-th (`met`) stands at n % peers; -1: forgotten",
                         "peers", fill=-1, merge="local", refers=Axis.USER)  # fmt: skip
    met: Array = column("i4", "choices by users whose history did not hold it yet", merge="sum")
    popularity: Array = column("f8", "log of the sum over events of weight · exp(λ (t - 1970)), for each half-life", "horizons",
                               fill=-np.inf, merge="sum")  # fmt: skip
    in_recent: Array = column("i4", "its events in the ring of recent ones", merge="local")
    in_latest: Array = column("i4", "its events among the newest of that ring", merge="local")


class SolvedUsers(NamedTuple):
    """One row a user: taste by least squares over all pairs (Hu, Koren, Volinsky 2008)."""

    factor: Array = column("f4", "x_u; 0 until it is solved for", "solved")
    time: Array = column("i8", "event clock when it was last solved for, ms; -1: never", fill=-1)


class SolvedItems(NamedTuple):
    """One row an item: its vector by least squares."""

    factor: Array = column("f4", "q_i", "solved", scale=0.1, merge="sum")
    time: Array = column("i8", "event clock when it was last solved for, ms; -1: never", fill=-1, merge="last")


class RatedUsers(NamedTuple):
    """One row a user: how far above the mean this user rates, as a damped mean. In quarters of the scale, as all of ratings."""

    sum: Array = column("f4", "sum of weight · (rating - μ - the item's level)")
    weight: Array = column("f4", "sum of the weights")


class RatedItems(NamedTuple):
    """One row an item: its level, and which other items the same people rated above or below what was expected."""

    sum: Array = column("f8", "sum of weight · (rating - μ - the user's level)", merge="sum")
    weight: Array = column("f8", "sum of the weights", merge="sum")
    trend: Array = column("f4", "decayed mean of the last residuals", merge="local")
    other: Array = column("i4", "item rows, each within the set of places that its hash names; -1: free", "corated",
                          fill=-1, merge="sum", refers=Axis.ITEM)  # fmt: skip
    product: Array = column("f4", "sum of weight · x · y over people; x, y: residuals of this item and of the other", "corated",
                            merge="sum")  # fmt: skip
    energy: Array = column("f4", "sum of weight · (x² + y²) / 2", "corated", merge="sum")
    support: Array = column("f4", "sum of the weights: how many people", "corated", merge="sum")


class DescribedItems(NamedTuple):
    """One row an item: what producers say of it."""

    attribute: Array = column("i4", "rows of the values of its attributes; -1: free, and so are all behind it", ATTRIBUTED,
                              fill=-1, merge="last", refers=Axis.ATTRIBUTE)  # fmt: skip
    hidden: Array = column("i4", "1: kept out of answers", merge="last")


class DescribedUsers(NamedTuple):
    """One row a user: what producers say of it."""

    attribute: Array = column("i4", "rows of the values of its attributes; -1: free, and so are all behind it", ATTRIBUTED,
                              fill=-1, refers=Axis.ATTRIBUTE)  # fmt: skip


class Values(NamedTuple):
    """One row a value of attributes: decayed means over the events of the items, or of the users, that have it."""

    factor: Array = column("f4", "mean of q_i, or of p_u", "factors", merge="local")
    solved: Array = column("f4", "mean of their vectors by least squares", "solved", merge="local")
    bias: Array = column("f4", "mean of b_i, or of b_u", merge="local")
    level: Array = column("f4", "mean of their levels", merge="local")
    events: Array = column("i8", "events that these are of", merge="sum")


class Describing(NamedTuple):
    """One row: how far items and users are described."""

    catalogue: Array = column("i8", "rows of items up to the last that was described", merge="local")
    users: Array = column("i8", "rows of users up to the last that was described", merge="local")
    hidden: Array = column("i8", "items that are hidden", merge="sum")


class Seen(NamedTuple):
    """A block of a chain: 15 item rows and a link, 64 bytes."""

    items: Array = column("i4", "item rows; -1: free, or forgotten", 15, fill=-1, refers=Axis.ITEM)
    next: Array = column("i4", "the block before this one; -1: the last", fill=-1, refers=Axis.SEEN)


class Recent(NamedTuple):
    """The last events learned from, for negatives and rehearsal. The n-th (whole.taught) stands at n % recent."""

    user: Array = column("i4", "user row", merge="local", fill=-1, refers=Axis.USER)
    item: Array = column("i4", "item row", merge="local", fill=-1, refers=Axis.ITEM)
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
    freed: Array = column("i4", "first block of the chain of those of `seen` that forgotten users gave back; -1: none", fill=-1,
                          merge="local", refers=Axis.SEEN)  # fmt: skip


class Grams(NamedTuple):
    """One row: sums over all rows of least squares. What is new weighs more instead of what is old less, as in Neighbours."""

    user: Array = column("f8", "Σ x x', row by row", "gram", merge="sum")
    item: Array = column("f8", "Σ q q', row by row", "gram", merge="sum")
    users: Array = column("f8", "Σ 1 over users", merge="sum")
    items: Array = column("f8", "Σ 1 over items", merge="sum")
    events: Array = column("f8", "Σ 1 over events", merge="sum")
    base: Array = column("i8", "event clock at which these sums stood for themselves, ms", merge="last")


class Blend(NamedTuple):
    """One row: what the blend has learned about weighing."""

    weight: Array = column("f8", "by how much each weight has moved, segment by segment", "weights", merge="sum")
    square: Array = column("f8", "decayed sum of its squared slopes (AdaGrad); the row of all: unused", "weights", merge="sum")
    curvature: Array = column("f8", "decayed sum of outer products of the slopes of the row of all", "curvature", merge="sum")
    trained: Array = column("i8", "events that the blend learned from", merge="sum")
    catalogue: Array = column("i8", "rows of items met so far", merge="local")


class Stack(NamedTuple):
    """One row: what the stack has learned about weighing, and how well each part foretold lately."""

    weight: Array = column("f8", "what each feature weighs", STACKED, merge="local")
    inverse: Array = column("f8", "inverse of the features' decayed Gram matrix, row by row (recursive least squares)",
                            STACKED**2, merge="local")  # fmt: skip
    squared: Array = column("f8", "decayed sum of each part's squared errors", PARTS, merge="sum")
    absolute: Array = column("f8", "decayed sum of each part's absolute errors", PARTS, merge="sum")
    judged: Array = column("i8", "ratings that went into these", merge="sum")
    serving: Array = column("i4", "the part that predicts", merge="local")


class Measures(NamedTuple):
    """One row: how good the model and each simple method were, foretelling events before they were learned from."""

    counted: Array = column("i8", "events measured", merge="sum")
    stands_for: Array = column("f8", "events that these stand for, together", merge="sum")
    recent: Array = column("f8", "decayed number of measured events", merge="local")
    recent_square: Array = column("f8", "decayed sum of the squares of their weights", merge="local")
    total: Array = column("f8", "sum of what each stands for · its measures, method by method", METHODS * MEASURES, merge="sum")
    window: Array = column("f8", "decayed sum of the same", METHODS * MEASURES, merge="local")
    apart: Array = column("f8", "decayed sum of the squared difference of the first measure of two methods", METHODS * METHODS,
                          merge="local")  # fmt: skip
    serving: Array = column("i4", "the method that answers come from (methods.py); 0: the model itself", merge="local")
    switched: Array = column("i8", "how often that changed", merge="local")
    since: Array = column("i8", "events applied when it changed last", merge="local")
    catalogue: Array = column("i8", "rows of items met so far", merge="local")
    top: Array = column("i4", "the most popular items at each half-life, in no order; -1: free", HORIZONS * TOPS, fill=-1,
                        merge="local", refers=Axis.ITEM)  # fmt: skip
    bar: Array = column("f8", "no more than the least popularity among these, as it is stored", HORIZONS, fill=-1e300,
                        merge="local")  # fmt: skip
    lists: Array = column("i8", "lists that were measured", merge="sum")
    listed: Array = column("i4", "items of the last of them; the n-th stands at n % LISTS", LISTS * LISTED, fill=-1,
                           merge="local", refers=Axis.ITEM)  # fmt: skip


class Newcomers(NamedTuple):
    """One row: how often ids without a row were met lately, as a sketch that never says too little before it fades."""

    met: Array = column("u1", "counters, row of the sketch by row", "sketch", merge="local")
    counted: Array = column("i8", "ids counted since all counters were halved", merge="local")


class Expiry(NamedTuple):
    """One row: how far refused events say that time has come."""

    clock: Array = column(
        "i8", "the latest time that three of them in a row did not come before, ms since the epoch", merge="local"
    )
    times: Array = column("i8", "of the last two, ms since the epoch", 2, merge="local")


class State(NamedTuple):
    """All tables together, as kernels take them."""

    users: Users
    items: Items
    implicit: Implicit
    neighbours: Neighbours
    audience: Audience
    solved_users: SolvedUsers
    solved_items: SolvedItems
    rated_users: RatedUsers
    rated_items: RatedItems
    described_users: DescribedUsers
    described_items: DescribedItems
    item_values: Values
    user_values: Values
    describing: Describing
    seen: Seen
    recent: Recent
    partitions: Partitions
    whole: Whole
    grams: Grams
    blend: Blend
    stack: Stack
    measures: Measures
    newcomers: Newcomers
    expiry: Expiry


class Table(NamedTuple):
    """A table's name, what its rows are, and the class that declares its columns."""

    name: str
    axis: Axis
    columns: type[tuple[Any, ...]]
    needs: str = ""
    """The dimension without which nobody uses it: while that is 0 it has no rows, in memory or in the store. "": none."""

    def items(self) -> list[tuple[str, Column]]:
        """(name, declaration) of every column, in order."""
        defaults: dict[str, Column] = self.columns._field_defaults  # type: ignore[attr-defined]
        return list(defaults.items())


TABLES: Final = (
    Table("users", Axis.USER, Users),
    Table("items", Axis.ITEM, Items),
    Table("implicit", Axis.ITEM, Implicit),
    Table("neighbours", Axis.ITEM, Neighbours, needs="blend"),
    Table("audience", Axis.ITEM, Audience, needs="blend"),
    Table("solved_users", Axis.USER, SolvedUsers, needs="blend"),
    Table("solved_items", Axis.ITEM, SolvedItems, needs="blend"),
    Table("rated_users", Axis.USER, RatedUsers, needs="stack"),
    Table("rated_items", Axis.ITEM, RatedItems, needs="stack"),
    Table("described_users", Axis.USER, DescribedUsers, needs="attributes"),
    Table("described_items", Axis.ITEM, DescribedItems, needs="attributes"),
    Table("item_values", Axis.ATTRIBUTE, Values, needs="attributes"),
    Table("user_values", Axis.ATTRIBUTE, Values, needs="attributes"),
    Table("describing", Axis.MODEL, Describing, needs="attributes"),
    Table("seen", Axis.SEEN, Seen),
    Table("recent", Axis.RECENT, Recent),
    Table("partitions", Axis.PARTITION, Partitions),
    Table("whole", Axis.MODEL, Whole),
    Table("grams", Axis.MODEL, Grams, needs="blend"),
    Table("blend", Axis.MODEL, Blend, needs="blend"),
    Table("stack", Axis.MODEL, Stack, needs="stack"),
    Table("measures", Axis.MODEL, Measures),
    Table("newcomers", Axis.MODEL, Newcomers, needs="admission"),
    Table("expiry", Axis.MODEL, Expiry, needs="expiry"),
)


def in_use(tables: Sequence[Table], dimensions: Dimensions) -> tuple[Table, ...]:
    """Those of `tables` that a model of these dimensions has rows of."""
    return tuple(table for table in tables if not table.needs or getattr(dimensions, table.needs))


def row_bytes(table: Table, dimensions: Dimensions) -> int:
    """Bytes of one row of `table`."""
    return sum(np.dtype(c.dtype).itemsize * dimensions.of(c.width) for _, c in table.items())
