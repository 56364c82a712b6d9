"""The contract between a log of events and whoever reads it.

Rules of this file:
1. A position is always the *next* offset to read. No other convention exists anywhere in StreamMF.
2. A source never repairs, skips or resets by itself: what it cannot deliver exactly is a SourceError or a DataLossError.
3. Records arrive in the log's own order within a partition; partitions may interleave.
4. Whatever a batch holds, its `positions` are the positions after it, so batch and positions can become durable together.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Partition(NamedTuple):
    """One ordered piece of a log. The embedded log and a file are one partition, number 0."""

    topic: str
    number: int


class Bounds(NamedTuple):
    """What a partition holds: the offsets from `first` on, up to and without `end`."""

    first: int
    end: int


class Standing(NamedTuple):
    """How a log stands, as far as it is known."""

    ends: Mapping[Partition, int]
    """The next offset that will be written to each partition, open transactions included; the last known one where some of
    the log is away."""
    readable: Mapping[Partition, int]
    """Up to where each can be read: an open transaction stops readers before it, and they are not caught up then."""
    trouble: str
    """Why the log, or some of it, cannot be reached at the moment; empty where it can."""


class Records(Protocol):
    """A batch of raw records, in the order in which they are to be learned from.

    Timestamps and keys are asked for one at a time, because most events need neither.
    """

    @property
    def values(self) -> Sequence[bytes | None]:
        """What was written; None: a null value."""
        ...

    @property
    def partitions(self) -> NDArray[np.int32]:
        """(n,) index into `Source.partitions`."""
        ...

    @property
    def offsets(self) -> NDArray[np.int64]:
        """(n,)"""
        ...

    @property
    def positions(self) -> Mapping[Partition, int]:
        """The next offset of *every* partition of the source after this batch, control records of the log included."""
        ...

    def timestamp(self, i: int) -> int:
        """Record i's own timestamp, ms since the epoch; -1 where the log has none."""
        ...

    def key(self, i: int) -> bytes | None:
        """Record i's key."""
        ...


class Source(Protocol):
    """An ordered, replayable log of events."""

    partitions: tuple[Partition, ...]
    """All partitions, in an order that does not change while the source is open. `poll` may add new ones at the end; these
    are read from their beginning."""

    def topic_ids(self) -> dict[str, str]:
        """The identity of each topic: another id under the same name is another log, and positions in it mean nothing."""
        ...

    def bounds(self) -> dict[Partition, Bounds]:
        """What each partition holds; asks the log. Raises SourceError."""
        ...

    def check(self) -> None:
        """Raise DataLossError where another log stands under this one's name by now. From any thread; takes seconds at most.

        Called after a poll and before what it delivered becomes durable, it proves that the events are this log's. A log that
        cannot be reached is not an error here.
        """
        ...

    def seek(self, positions: Mapping[Partition, int]) -> None:
        """Read on from these positions; a partition that is not named starts at its beginning.

        Raises DataLossError where a position lies outside what the log holds.
        """
        ...

    def poll(self, most: int, timeout: float) -> Records | None:
        """At most `most` records; waits up to `timeout` seconds for the first one, never for more. None: there was none.

        Raises SourceError (unreachable, unreadable) and DataLossError.
        """
        ...

    def positions(self) -> dict[Partition, int]:
        """The next offset of every partition after everything that poll has returned."""
        ...

    def ends(self) -> dict[Partition, int]:
        """The next offset that will be written to each partition, for lag; may ask the log."""
        ...

    def standing(self) -> Standing:
        """Ends and trouble, for those who watch; may ask the log, for some seconds. From any thread.

        A log that cannot be reached is not an error here. Raises SourceError where it can never be read again.
        """
        ...

    def advise(self, positions: Mapping[Partition, int]) -> None:
        """These positions are durable now: tell the log, for lag tools only. Never read back; a no-op where logs keep none."""
        ...

    @property
    def exhausted(self) -> bool:
        """True once nothing can ever follow: the end of a file. A log that may grow never says so."""
        ...

    def close(self) -> None:
        """Let go of the log. Idempotent; no other call may follow."""
        ...


class Sink(Protocol):
    """Where events are written: the other end of a source."""

    def append(self, key: bytes | None, value: bytes, timestamp: int) -> None:
        """Hand over one record (timestamp: ms since the epoch). May wait where the log is slower than the caller.

        key None: none. A log that knows no missing key takes an empty one.
        """
        ...

    def flush(self) -> dict[Partition, int]:
        """Return once everything appended is durable: for each partition written to, the offset of the last record.

        Raises SourceError with the log's own reason where a record was refused.
        """
        ...

    def close(self) -> None:
        """Flush and let go. Idempotent."""
        ...
