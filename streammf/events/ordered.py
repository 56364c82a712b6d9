"""A log read again in an order that is known: that in which it was learned from.

Rules of this file:
1. It gives exactly the records up to the ends that it was told, and then it is exhausted.
2. What comes before its turn waits in memory: as much as the partitions stood apart from one another.
3. A record that the order names and the log no longer has is a DataLossError.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streammf.errors import DataLossError
from streammf.events.records import PlainRecords
from streammf.events.source import Bounds, Partition, Records, Source, Standing

#: Records asked for at once, and how long a poll of them may take, s. A log that is silent for so often has no more.
AT_ONCE: Final = 10_000
POLL_SECONDS: Final = 1.0
SILENCES: Final = 10


class _Waiting:
    """Records of one partition that were read and not yet given, in order."""

    def __init__(self) -> None:
        self._records: deque[tuple[int, bytes | None, int, bytes | None]] = deque()
        """(offset, value, timestamp, key)"""

    def add(self, records: Records, places: NDArray[np.intp]) -> None:
        for i in places.tolist():
            self._records.append((int(records.offsets[i]), records.values[i], records.timestamp(i), records.key(i)))

    def take(self, end: int, most: int) -> list[tuple[int, bytes | None, int, bytes | None]]:
        """Up to `most` of those before `end`."""
        taken: list[tuple[int, bytes | None, int, bytes | None]] = []
        while self._records and self._records[0][0] < end and len(taken) < most:
            taken.append(self._records.popleft())
        return taken


class Ordered:
    """A source whose records come in the order of `runs`: (partition, offset after the run), and end at `ends`.

    It has the partitions of `ends`, in that order: the one in which they were met.
    """

    def __init__(self, source: Source, runs: Iterable[tuple[Partition, int]], ends: Mapping[Partition, int]) -> None:
        self._source = source
        self.partitions = tuple(ends)
        self.exhausted = False
        self._waiting = {partition: _Waiting() for partition in ends}
        self._left = deque(runs)
        self._ends = dict(ends)
        self._reached = dict(source.positions())
        self._next = {partition: self._reached[partition] for partition in ends}

    def topic_ids(self) -> dict[str, str]:
        """As the log says."""
        return self._source.topic_ids()

    def seek(self, positions: Mapping[Partition, int]) -> None:
        """Only before the first poll."""
        self._source.seek(positions)
        self._reached = dict(self._source.positions())
        self._next = {partition: self._reached[partition] for partition in self._ends}

    def poll(self, most: int, timeout: float) -> PlainRecords | None:
        """The records that are due, of one partition; None once there are no more."""
        while self._left:
            partition, end = self._left[0]
            taken = self._waiting[partition].take(end, most)
            if taken:
                return self._records(partition, taken)
            if self._reached[partition] >= end:
                self._left.popleft()
                self._next[partition] = max(end, self._next[partition])
            else:
                self._read(partition, end)
        self.exhausted = True
        return None

    def positions(self) -> dict[Partition, int]:
        """After everything that poll has returned; at the end, after what is the log's own too."""
        return {p: self._ends.get(p, n) for p, n in self._next.items()} if not self._left else dict(self._next)

    def ends(self) -> dict[Partition, int]:
        """Where it stops."""
        return dict(self._ends)

    def bounds(self) -> dict[Partition, Bounds]:
        """What of the log is read again."""
        bounds = self._source.bounds()
        return {partition: Bounds(bounds[partition].first, end) for partition, end in self._ends.items()}

    def check(self) -> None:
        """As the log says."""
        self._source.check()

    def standing(self) -> Standing:
        """Everything up to the ends can be read."""
        return Standing(self._ends, self._ends, "")

    def advise(self, positions: Mapping[Partition, int]) -> None:
        """Nobody is told of positions that were passed before."""

    def close(self) -> None:
        """Let go of the log."""
        self._source.close()

    def _records(self, partition: Partition, taken: list[tuple[int, bytes | None, int, bytes | None]]) -> PlainRecords:
        offsets, values, timestamps, keys = zip(*taken, strict=True)
        self._next[partition] = offsets[-1] + 1
        return PlainRecords(
            values=values,
            partitions=np.full(len(taken), self.partitions.index(partition), np.int32),
            offsets=np.array(offsets, np.int64),
            positions=dict(self._next),
            timestamps=timestamps,
            keys=keys,
        )

    def _read(self, partition: Partition, end: int) -> None:
        """Read on until something came. Raises DataLossError where the log stays silent before `end`."""
        for _ in range(SILENCES):
            records = self._source.poll(AT_ONCE, POLL_SECONDS)
            if records is not None:
                for index, partition_there in enumerate(self._source.partitions):
                    if partition_there in self._waiting:
                        self._waiting[partition_there].add(records, np.flatnonzero(records.partitions == index))
                self._reached = dict(records.positions)
                return
            self._reached = dict(self._source.positions())
            if self._reached[partition] >= end or self._source.exhausted:
                break
        if self._reached[partition] < end:
            raise DataLossError(
                f"{partition.topic}/{partition.number} was learned up to {end:,}, the log gives nothing after "
                f"{self._reached[partition]:,}: it is not the whole log any more"
            )
