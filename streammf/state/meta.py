"""What a store says about itself: the one record that makes everything beside it mean something.

Rules of this file:
1. It becomes durable in the transaction of the rows that it counts. Nothing in it is only nearly true.
2. A position is the next offset to read; position n of the list belongs to row n of the table `partitions`.
3. What a store was made with is never changed silently: another seed, objective or width is a ConfigurationError that
   names the setting, another set of columns a StoreError that names the columns. But the tables of what is OPTIONAL may come,
   with first values, and go.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple, Protocol

import msgspec

from streammf.errors import ConfigurationError, StoreError
from streammf.learning.tables import OPTIONAL, TABLES, Axis, Dimensions, Table
from streammf.state.records import BlockLayout

#: Rises with every change that an older release could not read.
FORMAT: Final = 1
#: Accepted losses that are kept.
MOST_LOSSES: Final = 1000
#: The topic id of a position that stands in no log: events handed to the library by a caller.
NO_LOG: Final = ""


class Position(NamedTuple):
    """How far one input partition has been learned."""

    topic: str
    partition: int
    next: int
    """The next offset to read."""
    topic_id: str
    """Another id under the same name is another log, in which `next` means nothing."""


LossReason = Literal["expired", "truncated", "recreated", "gone", "late"]
"""How a log can fail a stored position: it begins after it, ends before it, is another log under the same name, has no such
partition; or a partition that was added had lost its beginning before it was met."""


class Loss(NamedTuple):
    """What a log had lost of what was still to be learned, and was accepted."""

    topic: str
    partition: int
    reason: LossReason
    position: int
    """The next offset to read, as it was stored."""
    resumed: int
    """The next offset to read since."""
    events: int
    """How many events it is about, as far as can be told; of a log made anew, those that it held then."""
    topic_id: str
    """Of the log that the position was taken from."""

    @classmethod
    def of(cls, position: Position, reason: LossReason, resumed: int, events: int) -> "Loss":
        """The loss of a stored position."""
        return cls(position.topic, position.partition, reason, position.next, resumed, events, position.topic_id)


class Cleared(NamedTuple):
    """When a restored store forgot, before it learned on; see restoring.py."""

    commit: int
    """The commit that was restored."""
    positions: list[Position]
    """Its positions."""


class Meta(msgspec.Struct, kw_only=True, frozen=True):
    """The record `meta`, without which a store holds no model."""

    objective: str
    seed: int
    dimensions: dict[str, int]
    options: dict[str, Any]
    """All learning options of the last writer, as plain values: what a copy of the store needs to learn on. See `choices`."""
    layout: list[str]
    """A line for every column, in order: how the blocks are to be read."""
    counts: list[int]
    """Rows in use, by Axis."""
    vacant: tuple[int, int] = (0, 0)
    """Of these, forgotten ones that stand for nothing: users, items."""
    positions: list[Position]
    events: int
    """Events applied."""
    cleared: list[Cleared] = []
    """Each time that, restored from a snapshot, it forgot what it had been told after that one was taken."""
    losses: list[Loss] = []
    """Losses of the log that were accepted, the newest last."""
    refused: int = 0
    """Events refused so far, because they named a user or an item that has no row and gets none yet; see admission.py."""
    rejected: int = 0
    """Records rejected so far; the newest of them are kept."""
    commit: int = 0
    """Commits so far. LMDB's own transaction number starts again in a compacting copy, this one does not."""
    owner_epoch: int = 0
    """Which opening for writing wrote this."""
    fleet_generation: int = 0
    """Which division of the users among several trainers this belongs to; 0: there is one trainer."""

    def __post_init__(self) -> None:
        """What was written before an axis was there has no rows on it."""
        self.counts.extend([0] * (len(Axis) - len(self.counts)))

    @property
    def widths(self) -> Dimensions:
        """The dimensions; what was written before blend and stack says nothing of those that they have."""
        return Dimensions(**self.dimensions)

    @property
    def choices(self) -> dict[str, Any]:
        """The options as this release takes them: what was written before blend and stack was learned without them."""
        return {"blend": bool(self.widths.blend), "stack": bool(self.widths.stack), **self.options}


def first_meta(objective: str, seed: int, dimensions: Dimensions, options: dict[str, Any], tables: Sequence[Table]) -> Meta:
    """The meta record of a model that has learned nothing."""
    return Meta(
        objective=objective,
        seed=seed,
        dimensions=dimensions._asdict(),
        options=options,
        layout=lines(tables, dimensions),
        counts=[0] * len(Axis),
        positions=[],
        events=0,
    )


def next_meta(
    meta: Meta, options: dict[str, Any], dimensions: Dimensions, tables: Sequence[Table], losses: Sequence[Loss]
) -> Meta:
    """The meta record that the next writer begins with: its options and tables, and the losses that it has accepted."""
    return msgspec.structs.replace(
        meta,
        options=options,
        dimensions=dimensions._asdict(),
        layout=lines(tables, dimensions),
        losses=[*meta.losses, *losses][-MOST_LOSSES:],
    )


def lines(tables: Sequence[Table], dimensions: Dimensions) -> list[str]:
    """The layout of every column, a line each."""
    found = []
    for table in tables:
        layout = BlockLayout.of(table, dimensions)
        rows = f"{layout.rows} {table.axis.name.lower()} rows a block"
        found += [f"{table.name}.{part.name}: {part.dtype} x {part.width}, {rows}" for part in layout.parts]
    return found


class Described(Protocol):
    """What says how a model was made: a store's meta record, a snapshot's manifest."""

    @property
    def objective(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def dimensions(self) -> dict[str, int]: ...
    @property
    def layout(self) -> list[str]: ...


def require_settings(meta: Described, objective: str, seed: int, dimensions: Dimensions) -> None:
    """Raise ConfigurationError where the configuration asks for another model than the stored one."""
    stored = _settings(meta.objective, meta.seed, Dimensions(**meta.dimensions))
    for name, value in _settings(objective, seed, dimensions).items():
        if stored[name] != value:
            was = msgspec.json.encode(stored[name]).decode()
            raise ConfigurationError(
                f"learning.{name} is {msgspec.json.encode(value).decode()}, but the store was made with {was}: "
                f"set learning.{name} = {was}, or set store.path to another folder to begin anew"
            )


def _settings(objective: str, seed: int, dimensions: Dimensions) -> dict[str, Any]:
    """What shapes a store, by the name of the setting."""
    widths = {name: width for name, width in dimensions._asdict().items() if name not in OPTIONAL}
    chosen = {"blend": bool(dimensions.blend), "stack": bool(dimensions.stack)}
    return {"objective": objective, "seed": seed, **widths, **chosen}


def require_layout(meta: Described, tables: Sequence[Table], dimensions: Dimensions) -> None:
    """Raise StoreError where this release declares other columns than the stored ones.

    Stored tables that are optional, and not among `tables`, are passed over.
    """
    left = {table.name for table in TABLES if table.needs in OPTIONAL} - {table.name for table in tables}
    here, there = lines(tables, dimensions), [line for line in meta.layout if line.partition(".")[0] not in left]
    if here == there:
        return
    only_here = "; ".join(line for line in here if line not in there) or "nothing that the store has not"
    only_there = "; ".join(line for line in there if line not in here) or "nothing that this release has not"
    raise StoreError(
        f"the store was written with other columns, or with the same in another order: this release has {only_here}, "
        f"the store has {only_there}; read it with the release that wrote it, or replay the log into a new store"
    )
