"""A whole log in memory, as rows and numbers in the order of time: what is evaluated, tuned and described.

Rules of this file:
1. Events are checked as the trainer would check them; what is none is counted, with the first reason.
2. In the order of time, and events of one moment in the order of the log. The log's own order is kept only as a count of
   the events that came late.
3. 40 bytes an event. A log that does not fit is not evaluated whole: `replay --limit` makes a smaller one.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streammf.errors import SourceError
from streammf.events.codec import decode
from streammf.events.event import Columns, Control
from streammf.events.files import FileSource
from streammf.events.log import LogSource
from streammf.events.source import Source
from streammf.learning.arguments import Batch
from streammf.learning.compiling import ready
from streammf.learning.options import LearningOptions
from streammf.learning.tables import Array
from streammf.state.ids import Ids
from streammf.state.options import Limits

#: Records read at once: also how often progress is told.
BATCH: Final = 10_000
#: Rows that ids may take here: no fewer than live memory would allow, so that no log is refused here alone.
LIMITS: Final = Limits(100_000_000, 20_000_000)


class Told(NamedTuple):
    """A control event of a log, and what it is about."""

    place: int
    """How many events stand before it."""
    control: Control
    row: int


@dataclass(frozen=True, slots=True)
class WholeLog:
    """Every event of a log, and who and what they are about. Columns have length n, in the order of time."""

    name: str
    users: Ids
    items: Ids
    user: NDArray[np.int32]
    item: NDArray[np.int32]
    value: NDArray[np.float32]
    kind: NDArray[np.int16]
    """Place in `kinds`."""
    time: NDArray[np.int64]
    """ms since the epoch."""
    kinds: list[str]
    late: int
    """Events that the log holds behind an event of a later time."""
    rejected: int
    why_rejected: str
    """What was wrong with the first."""
    user_keys: Array
    """uint64, hashes of the ids, in row order: first values follow from them."""
    item_keys: Array
    told: list[Told] = field(default_factory=list)
    """What the log says of items and users, in order. Without a time of its own it stands at that of the events before it."""

    def __len__(self) -> int:
        return len(self.user)

    def first(self, events: int) -> "WholeLog":
        """The first so many events, with all ids."""
        columns = ("user", "item", "value", "kind", "time")
        told = [one for one in self.told if one.place <= events]
        return replace(self, told=told, **{name: getattr(self, name)[:events] for name in columns})

    def weights(self, options: LearningOptions) -> NDArray[np.float32]:
        """What each event teaches with: the weight of its type, 0 where it is below what counts as positive."""
        of_kind = np.array([options.types[kind] for kind in self.kinds], np.float32)
        weights = of_kind[self.kind]
        if options.objective == "ranking":
            weights[self.value < options.positive_from] = 0.0
        return weights

    def batch(self, options: LearningOptions) -> Batch:
        """All events as kernels take them: one partition, offsets in the order of time."""
        n = len(self)
        offsets = np.arange(n, dtype=np.int64)
        return Batch(self.user, self.item, self.value, self.weights(options), self.time, np.zeros(n, np.int32), offsets)


def open_log(path: Path) -> Source:
    """A file of events, or the folder of an embedded log. Raises SourceError."""
    if path.is_dir():
        return LogSource(path)
    if not path.exists():
        raise SourceError(f"{path} does not exist: LOG is a file (.csv, .jsonl) or the folder of an embedded log")
    return FileSource(path)


class _Reading:
    """What was read so far."""

    def __init__(self, seed: int) -> None:
        ready("any")
        self.users = Ids.anonymous(seed, LIMITS.users, "users")
        self.items = Ids.anonymous(seed, LIMITS.items, "items")
        self.parts: list[tuple[Array, ...]] = []
        self.keys: list[tuple[Array, Array]] = []
        self.kinds: dict[str, int] = {}
        self.told: list[tuple[int, Control, int]] = []
        self.events = 0
        self.rejected = 0
        self.why = ""

    def take(self, columns: Columns) -> None:
        """Note a batch."""
        if columns.rejected and not self.rejected:
            first = columns.rejected[0]
            self.why = f"event {first.offset + 1:,}: {first.reason} ({first.detail})"
        self.rejected += len(columns.rejected)
        user, new_users = self.users.register(columns.users)
        item, new_items = self.items.register(columns.items)
        places = [self.kinds.setdefault(kind, len(self.kinds)) for kind in columns.types]
        self.parts.append((user, item, columns.values, np.array(places, np.int16), columns.times))
        self.keys.append((new_users, new_items))
        for control in columns.controls:
            ids = self.users if control.kind == "user" else self.items
            [row], new = ids.register([control.id])
            self.told.append((self.events + control.before, control, int(row)))
            self.keys.append((new, new[:0]) if control.kind == "user" else (new[:0], new))
        self.events += len(user)

    def whole(self, name: str) -> WholeLog:
        """Everything, in the order of time."""
        user, item, value, kind, times = (np.concatenate(column) for column in zip(*self.parts, strict=True))
        user_keys, item_keys = (np.concatenate(keys) for keys in zip(*self.keys, strict=True))
        late = int((times < np.maximum.accumulate(times)).sum())
        order = np.argsort(times, kind="stable")
        return WholeLog(
            name, self.users, self.items, user[order], item[order], value[order], kind[order], times[order],
            list(self.kinds), late, self.rejected, self.why, user_keys, item_keys, self._places(times, order),
        )  # fmt: skip

    def _places(self, times: NDArray[np.int64], order: NDArray[np.intp]) -> list[Told]:
        """The control events where they stand once the events are in the order of time."""
        latest = np.maximum.accumulate(times)
        in_turn = times[order]
        found = []
        for read, control, row in self.told:
            time = control.time if control.time >= 0 else int(latest[read - 1]) if read else -1
            first, last = np.searchsorted(in_turn, [time, time + 1]).tolist()
            place = first + int(np.count_nonzero(order[first:last] < read))
            found.append(Told(place, control._replace(time=time), row))
        return sorted(found, key=lambda one: one.place)


def read_whole(
    source: Source, name: str, options: LearningOptions, progress: Callable[[int, int], None] = lambda read, of: None
) -> WholeLog:
    """Read a log up to its present end. `progress(done, of)`: records of a log, bytes of a file.

    Raises SourceError, also where there is no event in it.
    """
    least, most = options.scale if options.objective == "rating" else (-np.inf, np.inf)
    ends = {} if isinstance(source, FileSource) else source.ends()  # a file would be read twice
    total = sum(ends.values())
    reading = _Reading(options.seed)
    read = 0
    deadline = time.monotonic() + 10.0
    while not source.exhausted and (not ends or read < total):
        records = source.poll(BATCH, 0.2)
        if records is None:
            if ends and time.monotonic() > deadline:
                raise SourceError(f"{name} says that it holds {total:,} records, but gives no more than {read:,}")
            continue
        deadline = time.monotonic() + 10.0
        read += len(records.values)
        reading.take(decode(records, source.partitions, options.types, (float(least), float(most))))
        progress(*(source.progress() if isinstance(source, FileSource) else (read, total)))
    if not sum(len(part[0]) for part in reading.parts):
        why = f"; the first record that is none: {reading.why}" if reading.why else ""
        raise SourceError(f"there is no event in {name}{why}")
    return reading.whole(name)
