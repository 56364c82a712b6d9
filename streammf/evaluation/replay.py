"""Writes a log's events to a sink, in order, as fast as it takes them or at a multiple of the speed of the events.

Rules of this file:
1. Event time goes along: the record's timestamp is the event's. The key is the user, whose order partitions keep then.
2. An event is passed on as it is, byte for byte; what cannot be read as one is counted and left out, never repaired.
3. Control events are passed on in their places, whatever the plan: it chooses among events.
4. It neither opens nor closes anything, and what it says it wrote is durable: the sink was flushed. Without
   offsets of the sink it was the sink that failed, and nobody knows how much of what it was given is there.
"""

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from streammf.events.codec import decode
from streammf.events.event import Columns
from streammf.events.source import Partition, Records, Sink, Source

#: Records read at once: also how often progress is told.
BATCH: Final = 2_000
#: Seconds without a record after which a log that may grow counts as read to its end.
_PATIENCE: Final = 0.2
#: Seconds ahead of the plan from which on a paced replay pauses; below it, pausing costs more than it is worth.
_AHEAD: Final = 0.01
#: Seconds; a longer pause is slept in pieces, so that progress is told meanwhile.
_LONGEST_SLEEP: Final = 0.5


class Appendable(NamedTuple):
    """What is written to a log: an event or a control event."""

    key: bytes
    """Whom or what it is about."""
    value: bytes
    time: int
    """ms since the epoch; of a control event that names none, now."""
    is_control: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Which events, and how fast."""

    since: int | None = None
    """First event time, ms since the epoch."""
    until: int | None = None
    """Event time, ms since the epoch, from which on events are left out."""
    limit: int | None = None
    """Most events to write."""
    speed: float | None = None
    """Seconds of event time to a second of real time; None: no pauses."""

    def chooses(self, moment: int) -> bool:
        """Whether an event of this time is to be written."""
        return (self.since is None or moment >= self.since) and (self.until is None or moment < self.until)


@dataclass(slots=True)
class Replayed:
    """What was done so far."""

    written: int = 0
    left_out: int = 0
    """Events outside the chosen time."""
    controls: int = 0
    """Control events written beside them, whatever their time."""
    unreadable: int = 0
    first_unreadable: int | None = None
    """Offset of the first record that was none."""
    why_unreadable: str = ""
    """What was wrong with it."""
    first_time: int | None = None
    """Of the first event written, ms since the epoch."""
    last_time: int | None = None
    """Largest event time written, ms since the epoch."""
    seconds: float = 0.0
    last_offsets: dict[Partition, int] = field(default_factory=dict)
    """Of the sink; filled in when everything is durable."""


def replay(
    source: Source,
    sink: Sink,
    types: Collection[str],
    plan: Plan = Plan(),
    progress: Callable[[Replayed], None] = lambda done: None,
    before_first: Callable[[int], None] = lambda moment: None,
    done: Replayed | None = None,
) -> Replayed:
    """Copy what `plan` chooses. Events of a type that is not in `types` count as unreadable. Raises SourceError.

    `before_first` is told the time of the first event before anything is written: the sink may refuse so old a log.
    `done`: where to count, for who wants to know it after an error too. It has offsets then, unless the sink is to blame.
    """
    done = Replayed() if done is None else done
    began = time.monotonic()

    def tell() -> None:
        done.seconds = time.monotonic() - began
        progress(done)

    try:
        for key, value, moment, is_control in _events(source, types, done, tell):
            if done.written == plan.limit:
                break
            if is_control:
                sink.append(key, value, moment)
                done.controls += 1
                continue
            if not plan.chooses(moment):
                done.left_out += 1
                continue
            if done.first_time is None or done.last_time is None:
                before_first(moment)
                done.first_time = done.last_time = moment
            if plan.speed is not None:
                _pause(sink, began + (moment - done.first_time) / 1000 / plan.speed, tell)
            sink.append(key, value, moment)
            done.written += 1
            done.last_time = max(done.last_time, moment)
    finally:
        done.last_offsets = sink.flush()
        tell()
    return done


def appendable(records: Records, columns: Columns) -> Iterator[Appendable]:
    """Every event and every control event of a batch of one partition, in order, their values as they came."""
    told = int(time.time() * 1000)
    named = [*zip(columns.offsets.tolist(), columns.users, columns.times.tolist(), strict=True)]
    for control in reversed(columns.controls):
        named.insert(control.before, (control.offset, control.id, control.time if control.time >= 0 else told))
    rows = np.searchsorted(records.offsets, [offset for offset, _, _ in named]).tolist()
    controls = {control.offset for control in columns.controls}
    for row, (offset, key, moment) in zip(rows, named, strict=True):
        value = records.values[row]
        assert value is not None  # neither files nor lines have null values
        yield Appendable(key.encode(), value, moment, offset in controls)


def _events(source: Source, types: Collection[str], done: Replayed, tell: Callable[[], None]) -> Iterator[Appendable]:
    """The same for the log to its end."""
    while (records := source.poll(BATCH, _PATIENCE)) is not None:
        columns = decode(records, source.partitions, types)
        if columns.rejected and done.first_unreadable is None:
            first = columns.rejected[0]
            done.first_unreadable, done.why_unreadable = first.offset, f"{first.reason} ({first.detail})"
        done.unreadable += len(columns.rejected)
        yield from appendable(records, columns)
        tell()


def _pause(sink: Sink, due: float, tell: Callable[[], None]) -> None:
    """Sleep until `due`; readers see what was written before."""
    if due - time.monotonic() < _AHEAD:
        return
    sink.flush()
    while (ahead := due - time.monotonic()) > 0:
        time.sleep(min(ahead, _LONGEST_SLEEP))
        tell()
