"""What an event is, and how a batch of them stands in memory.

Rules of this file:
1. An event is what DESIGN calls it: user, item, type, value, ts, id. Everything else that a producer adds is ignored.
2. Nothing leaves here unchecked: ids are 1..255 bytes of UTF-8, values finite, timestamps in milliseconds and in range.
3. A batch is columns, not objects: what follows is done once a batch, never once an event. Control events, which are few, are
   objects beside them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Annotated, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streammf.events.source import Partition

#: Bytes of UTF-8; LMDB and the id heap store one length byte.
MOST_ID_BYTES: Final = 255
#: Largest |value| of an event. Ratings and weights are far below; beyond it float32 products lose meaning.
MOST_VALUE: Final = 1e6
#: ms since the epoch: from 1970 to 2106, where seconds still fit 32 bits unsigned.
MOST_TIME: Final = 4_294_967_295_000

#: Unit → ms in a million of it. Whole numbers, because a float64 does not hold ns.
UNITS: Final = {"seconds": 1_000_000_000, "microseconds": 1_000, "nanoseconds": 1}
#: ms: a time that is earlier than 1973 in one unit, and later in another, is not in the first.
EARLIEST: Final = 100_000_000_000

#: Why a record cannot be learned from. `malformed`: no JSON or MessagePack map; `missing`: user or item; `id`, `type`,
#: `value`, `time`: that field is of the wrong kind or out of range; `poison`: the trainer died of it, again and again.
REASONS: Final = ("malformed", "missing", "id", "type", "value", "time", "unknown_type", "control", "null", "poison")

#: Types that change state other than by learning. They never count as clicks.
CONTROL_TYPES: Final = frozenset({"forget_user", "delete_item", "item", "user"})

#: Those after which an id is gone: what follows in the log may bring it anew.
ERASING: Final = frozenset({"forget_user", "delete_item"})

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_ID_BYTES)]


class Event(msgspec.Struct, gc=False, omit_defaults=True):
    """One thing that one user did with one item."""

    user: Id
    item: Id
    type: str = "click"
    value: Annotated[float, msgspec.Meta(ge=-MOST_VALUE, le=MOST_VALUE)] = 1.0
    ts: Annotated[int, msgspec.Meta(ge=0, le=MOST_TIME * 1_000_000)] | None = None
    """ms since the epoch; None: the record's own timestamp. Another unit gets past the decoder, to be told from nonsense."""
    id: str | None = None


def unit_of(time: int) -> str:
    """The unit, other than ms, in which alone this is a time between 1973 and 2106; empty: there is none.

    As ms, seconds of our days are weeks of 1970, and microseconds are beyond 2106: the ranges do not meet.
    """
    for unit, factor in UNITS.items():
        if EARLIEST <= time * factor // 1_000_000 <= MOST_TIME:
            return "" if EARLIEST <= time <= MOST_TIME else unit
    return ""


@dataclass(slots=True)
class Rejected:
    """A record that cannot be learned from, whole, with the reason."""

    partition: Partition
    offset: int
    reason: str
    """One of REASONS."""
    detail: str
    value: bytes | None
    key: bytes | None
    timestamp: int


class Attributes(NamedTuple):
    """What a producer says of an item or of a user."""

    categories: tuple[str, ...] = ()
    """Each once, in the order given; of a user the segment first."""
    title: str | None = None
    hidden: bool = False
    """Keep the item out of answers."""


NO_ATTRIBUTES: Final = Attributes()


class Control(NamedTuple):
    """A record that changes state other than by learning."""

    kind: str
    """One of CONTROL_TYPES."""
    id: str
    """Of the user or the item that it is about."""
    attributes: Attributes
    """Of kinds `item` and `user`."""
    partition: int
    """Index into Source.partitions."""
    offset: int
    time: int
    """ms since the epoch; -1: unknown."""
    before: int
    """How many events of the batch stand before it."""


def moved(controls: Sequence[Control], kept: NDArray[np.bool_]) -> list[Control]:
    """The same in a batch of whose events only those that `kept`, (n,), names are left."""
    if not controls:
        return []
    before = np.concatenate(([0], np.cumsum(kept))).tolist()
    return [control._replace(before=before[control.before]) for control in controls]


@dataclass(slots=True)
class Columns:
    """The events of one batch that passed every check, in order; all columns have the same length n."""

    users: list[str]
    items: list[str]
    types: list[str]
    values: NDArray[np.float32]
    """(n,) the events' values as sent."""
    times: NDArray[np.int64]
    """(n,) ms since the epoch."""
    partitions: NDArray[np.int32]
    """(n,) index into Source.partitions."""
    offsets: NDArray[np.int64]
    """(n,)"""
    rejected: list[Rejected]
    """What did not pass, in order."""
    units: dict[str, int] = field(default_factory=dict)
    """Events whose time was in another unit, converted or rejected: unit → number."""
    ids: list[str] = field(default_factory=list)
    """The events' own ids, empty where there is none: (n,) where they were asked for, else nothing."""
    controls: list[Control] = field(default_factory=list)
    """The control events among them, in order."""

    def only(self, kept: NDArray[np.bool_]) -> "Columns":
        """The events that `kept`, (n,), names; everything that was rejected stays."""
        named = kept.tolist()
        return Columns(
            users=list(compress(self.users, named)),
            items=list(compress(self.items, named)),
            types=list(compress(self.types, named)),
            values=self.values[kept],
            times=self.times[kept],
            partitions=self.partitions[kept],
            offsets=self.offsets[kept],
            rejected=self.rejected,
            units=self.units,
            ids=list(compress(self.ids, named)),
            controls=moved(self.controls, kept),
        )
